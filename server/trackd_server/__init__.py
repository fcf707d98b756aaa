"""The embedded backend: the W&B HTTP protocol over SQLite and a folder of blobs, one process.

Rooms, each may import those below it: `app` (command line, composition, lifecycle), `api` (HTTP:
GraphQL, file_stream, transfers, pages), `domain` (what runs, streams and files mean), `store`
(tables and transactions) and `blobs` (bytes of files). Never imports the agent or the SDK.
"""

__version__ = "0.1.0"
