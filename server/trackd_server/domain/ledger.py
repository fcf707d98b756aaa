"""The ledger: one row for every stored object, written in the transaction that stores it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.sqlite import insert

from trackd_server.store.tables import doomed_blobs, files, objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from trackd_server.blobs import BlobFolder
    from trackd_server.store import Database

#: Kind of a file's ledger row; rows of streams have the stream file's name as kind.
FILE_KIND = "file"

_set_bytes = insert(objects)
_set_bytes = _set_bytes.on_conflict_do_update(
    index_elements=["kind", "owner_run", "name"], set_={"bytes": _set_bytes.excluded.bytes}
)


@dataclass(frozen=True)
class Usage:
    """What the server stores, by kind, beside what lies on disk."""

    by_kind: dict[str, int]
    file_bytes: int
    blob_bytes_on_disk: int
    database_bytes_on_disk: int


def record(connection: Connection, kind: str, run_id: int, name: str, size: int) -> None:
    """Say how many bytes the object `name` of a run has now."""
    connection.execute(_set_bytes, {"kind": kind, "owner_run": run_id, "name": name, "bytes": size})


def forget(connection: Connection, kind: str, run_id: int, name: str) -> None:
    """Take one object out of the ledger."""
    connection.execute(
        delete(objects).where(
            objects.c.kind == kind, objects.c.owner_run == run_id, objects.c.name == name
        )
    )


def usage(database: Database, blobs: BlobFolder) -> Usage:
    """Return the ledger's sums and the figures of the disk."""
    with database.read() as connection:
        rows = connection.execute(
            select(objects.c.kind, func.sum(objects.c.bytes)).group_by(objects.c.kind)
        ).all()
        in_files = connection.execute(select(func.coalesce(func.sum(files.c.bytes), 0))).scalar()
    return Usage(
        {kind: int(total) for kind, total in rows},
        int(in_files or 0),
        blobs.total_bytes(),
        database.size_bytes(),
    )


def doom(connection: Connection, keys: Sequence[str]) -> None:
    """Note blobs that must not exist, in the transaction that lets go of them."""
    if keys:
        statement = insert(doomed_blobs).on_conflict_do_nothing()
        connection.execute(statement, [{"blob_key": key} for key in keys])


def spare(connection: Connection, key: str) -> None:
    """Take back the note on a blob that a file now owns."""
    connection.execute(delete(doomed_blobs).where(doomed_blobs.c.blob_key == key))


def discard(database: Database, blobs: BlobFolder, keys: Sequence[str]) -> None:
    """Delete doomed blobs and, once they are gone, their notes."""
    for key in keys:
        blobs.delete(key)
    for start in range(0, len(keys), 500):
        with database.write() as connection:
            some = keys[start : start + 500]
            connection.execute(delete(doomed_blobs).where(doomed_blobs.c.blob_key.in_(some)))


def sweep(database: Database, blobs: BlobFolder) -> int:
    """Delete what a killed server left half-done. Only at start: uploads are noted too."""
    with database.read() as connection:
        keys = connection.execute(select(doomed_blobs.c.blob_key)).scalars().all()
    discard(database, blobs, keys)
    return len(keys)
