"""A storage of its own for a test, with the few rows of versions that it needs."""

from __future__ import annotations

import hashlib
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest.mock import patch

from trackd_server.blobs import BlobFolder
from trackd_server.domain.storage import Storage, contents
from trackd_server.store import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sqlalchemy import Connection

    from trackd_server.domain.storage import Keep, Received


@contextmanager
def opened(folder: Path) -> Generator[Storage]:
    """Open a storage as the server does, with what a killed one left cleared away."""
    database = Database(folder / "trackd.sqlite")
    database.migrate()
    storage = Storage(database, BlobFolder(folder / "blobs"))
    storage.recover()
    try:
        yield storage
    finally:
        database.close()


@contextmanager
def held_writer(database: Database) -> Generator[threading.Event]:
    """Hold the writing transaction; the event tells that somebody waits for it."""
    is_wanted = threading.Event()
    write = database.write

    def wanted() -> AbstractContextManager[Connection]:
        is_wanted.set()
        return write()

    with write(), patch.object(database, "write", wanted):
        yield is_wanted


def new_version(storage: Storage, state: str = "PENDING") -> int:
    """Make a version with all that it hangs on."""
    now = time.time()
    with storage.database.write() as connection:

        def one(query: str, *values: object) -> int:
            return connection.exec_driver_sql(query + " RETURNING id", values).one()[0]

        project = one(
            "INSERT INTO projects (entity, name, created_at) VALUES ('local', ?, ?)", str(now), now
        )
        kind = one(
            "INSERT INTO artifact_types (project_id, name, created_at) VALUES (?, 'data', ?)",
            project,
            now,
        )
        collection = one(
            "INSERT INTO collections (project_id, name, kind, type_id, created_at, updated_at)"
            " VALUES (?, 'c', 'sequence', ?, ?, ?)",
            project,
            kind,
            now,
            now,
        )
        return one(
            "INSERT INTO versions"
            " (collection_id, state, digest, digest_algorithm, created_at, updated_at)"
            " VALUES (?, ?, '', 'MANIFEST_MD5', ?, ?)",
            collection,
            state,
            now,
            now,
        )


def keep(connection: Connection, content_id: int) -> None:
    """Keep a content for nobody in particular."""
    contents.retain(connection, {content_id: 1})


async def pieces(data: bytes, size: int = 60_000) -> AsyncIterator[bytes]:
    """Yield data as a connection does."""
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def put(storage: Storage, data: bytes, keeper: Keep = keep) -> Received:
    """Store data."""
    received = await storage.receive(pieces(data), None, keeper)
    assert received.md5 == hashlib.md5(data).digest()
    assert received.bytes == len(data)
    return received


async def get(storage: Storage, content_id: int, start: int, end: int) -> bytes:
    """Return bytes of a content."""
    return b"".join([piece async for piece in storage.stream(content_id, start, end)])


def let_go(storage: Storage, content_id: int) -> int:
    """Release a content that `keep` keeps; return the bytes freed."""
    with storage.database.write() as connection:
        freed = contents.release(connection, {content_id: 1})
    storage.finish(freed)
    return freed.bytes


def pack_bytes(storage: Storage) -> int:
    """Return the bytes of all packs, by their rows."""
    with storage.database.read() as connection:
        return connection.exec_driver_sql("SELECT coalesce(sum(bytes), 0) FROM packs").one()[0]
