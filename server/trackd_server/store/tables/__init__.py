"""The tables, by room. Times are Unix seconds (float); JSON columns hold text, NaN allowed.

Importing this package registers every table with `metadata`, so that `create_all` is complete.
"""

from trackd_server.store.tables import artifacts as artifacts
from trackd_server.store.tables import registry as registry
from trackd_server.store.tables.runs import (
    alerts,
    chunks,
    files,
    projects,
    runs,
    streams,
    writers,
)
from trackd_server.store.tables.schema import HEAD_REVISION, metadata, version
from trackd_server.store.tables.storage import (
    cdc_chunks,
    content_chunks,
    contents,
    damages,
    doomed_blobs,
    packs,
    uncut_contents,
)

__all__ = [
    "HEAD_REVISION",
    "alerts",
    "cdc_chunks",
    "chunks",
    "content_chunks",
    "contents",
    "damages",
    "doomed_blobs",
    "files",
    "metadata",
    "packs",
    "projects",
    "runs",
    "streams",
    "uncut_contents",
    "version",
    "writers",
]
