"""What runs, streams, files and keys mean. Synchronous services over `store` and `blobs`.

Knows nothing of HTTP or GraphQL: it takes plain values, returns plain values, and raises
`DomainError`. Every call blocks and belongs into a worker thread. Called by `api`.
"""
