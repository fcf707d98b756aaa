"""Run files: announced, uploaded, listed, downloaded, deleted."""

from __future__ import annotations

import base64
import json
import mimetypes
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, Select, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from trackd_server.domain import names, run_records
from trackd_server.domain.errors import NotFound
from trackd_server.domain.listing import pages
from trackd_server.domain.listing.pages import Order
from trackd_server.domain.storage import Freed, doomed
from trackd_server.store.tables import files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sqlalchemy import Connection

    from trackd_server.blobs import Stored
    from trackd_server.domain.listing.pages import Page, Range
    from trackd_server.domain.run_records import RunPath
    from trackd_server.domain.storage import Storage

_BY_NAME = Order("name", files.c.name, descending=False)


@dataclass(frozen=True)
class FilePath:
    """Where a run file lies."""

    run: RunPath
    name: str


class Files:
    """The files of all runs."""

    def __init__(self, storage: Storage) -> None:
        self._database = storage.database
        self._blobs = storage.blobs
        self._storage = storage

    def announce(self, path: RunPath, wanted: list[str]) -> int:
        """Check the names that a client is going to upload; return the run's number."""
        for name in wanted:
            names.file_name(name)
        with self._database.read() as connection:
            return run_records.by_path(connection, path).id

    def begin_upload(self, path: FilePath) -> str:
        """Reserve a key for an upload; if the server dies before its end, the blob is swept."""
        names.file_name(path.name)
        with self._database.read() as connection:
            run_records.by_path(connection, path.run)
        return self._storage.doomed.new_key()

    async def receive(self, key: str, body: AsyncIterator[bytes]) -> Stored:
        """Store the bytes of an upload."""
        return await self._storage.write(key, body)

    def end_upload(self, path: FilePath, stored: Stored) -> None:
        """Put an uploaded blob in the place of the file's former one."""
        with self._database.write() as connection:
            run = run_records.by_path(connection, path.run)
            former = find(connection, run.id, path.name)
            statement = insert(files)
            new = statement.excluded
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["run_id", "name"],
                    set_={
                        "blob_key": new.blob_key,
                        "bytes": new.bytes,
                        "md5": new.md5,
                        "updated_at": new.updated_at,
                    },
                ),
                {
                    "run_id": run.id,
                    "name": path.name,
                    "blob_key": stored.key,
                    "bytes": stored.bytes,
                    "md5": stored.md5,
                    "updated_at": time.time(),
                },
            )
            doomed.spare(connection, stored.key)
            dead = (former.blob_key,) if former else ()
            doomed.doom(connection, dead)
        self._storage.finish(Freed(keys=dead))

    def abandon(self, key: str) -> None:
        """Remove what an upload left, unless a row owns it: then it ended all the same."""
        with self._database.read() as connection:
            is_noted = doomed.is_noted(connection, key)
        if is_noted:
            self._storage.doomed.delete([key])

    def get(self, path: FilePath) -> Row[Any]:
        """Return a file's row."""
        with self._database.read() as connection:
            run = run_records.by_path(connection, path.run)
            row = find(connection, run.id, path.name)
        if row is None:
            raise NotFound(f"Run {path.run} has no file {path.name!r}.")
        return row

    def stream(self, row: Row[Any], start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes `start` to `end` (exclusive) of a file."""
        return self._blobs.stream(row.blob_key, start, end)

    def read(self, row: Row[Any]) -> bytes:
        """Return the bytes of a small file."""
        return self._blobs.read(row.blob_key)

    def delete(self, opaque_ids: list[str]) -> None:
        """Delete files by their ids."""
        numbers = [names.row_number("File", opaque) for opaque in opaque_ids]
        with self._database.freeing() as connection:
            rows = connection.execute(select(files).where(files.c.id.in_(numbers))).all()
            keys = tuple(row.blob_key for row in rows)
            doomed.doom(connection, keys)
            connection.execute(delete(files).where(files.c.id.in_(numbers)))
        self._storage.finish(Freed(keys=keys))


def chosen(
    run_id: int, wanted: Sequence[str] = (), pattern: str | None = None
) -> Select[*tuple[Any, ...]]:
    """Return the query of a run's files: all, those of some names, or like a pattern of SQL."""
    query = select(files).where(files.c.run_id == run_id)
    if wanted:
        these = func.json_each(json.dumps(list(wanted))).table_valued("value")
        query = query.where(files.c.name.in_(select(these.c.value)))
    if pattern:
        query = query.where(files.c.name.regexp_match(_like(pattern)))
    return query


def page(
    connection: Connection, rows: Select[*tuple[Any, ...]], asked: Range
) -> tuple[Page, Sequence[Row[Any]]]:
    """Return one page of chosen files, by name."""
    found = pages.page(connection, rows, files.c.id, _BY_NAME, asked)
    shown = connection.execute(select(files).where(files.c.id.in_(found.ids)))
    return found, shown.all()


def size(connection: Connection, rows: Select[*tuple[Any, ...]]) -> int:
    """Return how many files are chosen."""
    query = rows.with_only_columns(func.count())
    return int(connection.execute(query).scalar() or 0)


def listing(connection: Connection, run_id: int) -> list[Row[Any]]:
    """Return a run's files by name."""
    return list(connection.execute(chosen(run_id).order_by(files.c.name)).all())


def first(connection: Connection, run_id: int, limit: int) -> list[Row[Any]]:
    """Return at most `limit` of a run's files, by name."""
    query = chosen(run_id).order_by(files.c.name).limit(limit)
    return list(connection.execute(query).all())


def count(connection: Connection, run_id: int) -> int:
    """Return how many files a run has."""
    return size(connection, chosen(run_id))


def mime_type(name: str) -> str:
    """Return the type of a file's content, guessed from its name."""
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def base64_md5(hex_digest: str) -> str:
    """Return a digest as clients compare it."""
    return base64.b64encode(bytes.fromhex(hex_digest)).decode()


def find(connection: Connection, run_id: int, name: str) -> Row[Any] | None:
    """Return the row of a run's file; None if there is none of this name."""
    query = select(files).where(files.c.run_id == run_id, files.c.name == name)
    return connection.execute(query).one_or_none()


def _like(pattern: str) -> str:
    """Return what finds the same texts; atomic groups, else a few `%` would search for ever."""
    first, *others = ["".join(_one(c) for c in part) for part in pattern.split("%")]
    *inner, last = others or [""]
    found = "".join(f"(?>.*?{part})" for part in inner) + (f".*{last}" if others else "")
    return rf"(?s)\A{first}{found}\Z"


def _one(character: str) -> str:
    return "." if character == "_" else re.escape(character)
