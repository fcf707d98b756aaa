"""Tables of storage: what lies on the disk, whose it is, and what must go.

`objects` is the ledger: one row for every stored object, with its kind, owner and bytes; the sum
over it is what the server stores. `doomed_blobs` names blobs that must not exist once nothing
uploads them.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text

from trackd_server.store.tables.schema import metadata

objects = Table(
    "objects",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("owner_run", Integer, ForeignKey("runs.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("bytes", Integer, nullable=False),
)

doomed_blobs = Table("doomed_blobs", metadata, Column("blob_key", Text, primary_key=True))

Index("objects_by_run", objects.c.owner_run)
