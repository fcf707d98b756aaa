"""Storage: contents, the chunks they are made of, packs on the disk, and giving space back.

Owns: the tables of `store.tables.storage`, and every file in the blobs folder. Knows nothing of
runs, artifacts or names: who needs a content holds a reference (`contents.retain`), and lets go
of it (`contents.release`) in the transaction in which it stops needing it. Called by the other
rooms of `domain` and by `api`.
"""

from trackd_server.domain.storage.chunk_rows import NOTHING_FREED, Freed
from trackd_server.domain.storage.contents import Content
from trackd_server.domain.storage.receive import (
    MD5,
    XXH128,
    DigestMismatch,
    Expected,
    Keep,
    Received,
)
from trackd_server.domain.storage.storage import Storage

__all__ = [
    "MD5",
    "NOTHING_FREED",
    "XXH128",
    "Content",
    "DigestMismatch",
    "Expected",
    "Freed",
    "Keep",
    "Received",
    "Storage",
]
