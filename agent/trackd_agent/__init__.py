"""The agent: one daemon per node and user that keeps what ranks log and brings it to servers.

Rooms, from the outside in: `daemon` (process, command line), `rpc` (services), `runs` (what a
run means), `filestream` and `monitor`, `transfer`, `upstream`, `journal`, `core`. A room imports
only rooms further in. Never imported by the SDK or the server: they meet on the wire.
"""

__version__ = "0.1.0"
