"""The file_stream of one writer: line offsets, request bodies, size limits, one request at a time.

Owns what the W&B protocol says about `POST …/file_stream`. Must not know how lines come about.
Called by `runs`.
"""

from trackd_agent.filestream.body import (
    FileStreamConfig,
    Offsets,
    Outgoing,
    Request,
    requests_of,
)
from trackd_agent.filestream.stream import FileStream, late_file_name, shared_headers

__all__ = [
    "FileStream",
    "FileStreamConfig",
    "Offsets",
    "Outgoing",
    "Request",
    "late_file_name",
    "requests_of",
    "shared_headers",
]
