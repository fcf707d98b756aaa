"""Cutting contents that came as whole files: no byte is written, only rows are.

A content of `uncut_contents` ends with one chunk that is not cut yet. A step reads a part of it,
cuts it as any file is cut, and puts the chunks' rows before what is left, in one transaction: so a
killed server goes on where it was, and at any moment the books are exact. Chunks that are stored
elsewhere are referenced there; their bytes in this pack are waste, given back after the last step.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

from trackd_proto.chunks import cut_file
from trackd_server.domain import threads
from trackd_server.domain.errors import Unavailable
from trackd_server.domain.storage import chunk_rows, contents
from trackd_server.domain.storage.chunk_rows import NOTHING_FREED, Freed, Placed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from trackd_server.domain.storage.receive import Tools

log = logging.getLogger(__name__)

#: Bytes that one step cuts, about.
STEP_BYTES = 64 * 1024 * 1024
#: How long one request waits for what is not cut; it is sent again then.
PATIENCE_S = 10.0


class _Rest(NamedTuple):
    """What is not cut of a content: the chunk, where it lies, and the byte where it starts."""

    chunk_id: int
    pack_id: int
    blob_key: str
    offset: int
    length: int
    start: int


class Indexer:
    """Cuts what was taken over whole. For any thread; one of them cuts at a time."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._lock = threading.Lock()
        self._cutting = threading.Lock()
        self._waiting: dict[int, int] = {}
        self._limiter: anyio.CapacityLimiter | None = None

    def recover(self) -> None:
        """Take up what a killed server left: call once at the start."""
        with self._tools.database.read() as connection:
            query = "SELECT content_id, version_id FROM uncut_contents"
            rows = connection.exec_driver_sql(query).all()
        with self._lock:
            self._waiting |= {row.content_id: row.version_id for row in rows}

    def add(self, content_id: int, version_id: int) -> None:
        """Note a content that is to be cut, and which version brought it."""
        with self._lock:
            self._waiting[content_id] = version_id

    def work(self) -> bool:
        """Cut a part of what waits; tell whether there is more."""
        with self._lock:
            content_id = next(iter(self._waiting), None)
        if content_id is None:
            return False
        self._step(content_id)
        return True

    async def catch_up(self, version_id: int) -> None:
        """Cut what other versions of a version's collection brought, so that chunks are found.

        Raises:
            Unavailable: It takes too long; a request that is sent again goes on with it.
        """
        if not self._waiting:
            return
        if self._limiter is None:  # made late: it wants a running event loop
            self._limiter = anyio.CapacityLimiter(1)
        until = time.monotonic() + PATIENCE_S
        waiting = await threads.call(self._akin, version_id)
        for content_id in waiting:
            while content_id in self._waiting:
                if time.monotonic() > until:
                    raise Unavailable("The version before is being indexed: send it again.")
                await threads.call(self._step, content_id, limiter=self._limiter)

    def _akin(self, version_id: int) -> list[int]:
        """Return what waits of the other versions of a version's collection."""
        with self._tools.database.read() as connection:
            rows = connection.exec_driver_sql(
                "SELECT u.content_id FROM uncut_contents u JOIN versions v ON v.id = u.version_id"
                " WHERE v.id != ? AND v.collection_id ="
                " (SELECT collection_id FROM versions WHERE id = ?)",
                (version_id, version_id),
            )
            return [row.content_id for row in rows]

    def _step(self, content_id: int) -> None:
        freed = NOTHING_FREED
        with self._cutting:
            if content_id not in self._waiting:
                return
            try:
                with self._tools.database.read() as connection:
                    rest = _rest(connection, content_id)
                cuts = [] if rest is None else self._cut(rest)
                with self._tools.database.write() as connection:
                    if rest is None or rest != _rest(connection, content_id):
                        is_done = _forgotten(connection, content_id)
                    else:
                        freed, is_done = _noted(connection, content_id, rest, cuts)
            except OSError as error:
                # The next start tries again; until then the content is read as it is.
                facts = {"content": content_id, "error": str(error)}
                log.warning("content_not_cut", extra={"facts": facts})
                is_done = True
            if is_done:
                with self._lock:
                    self._waiting.pop(content_id, None)
        self._tools.reclaimer.finish(freed)

    def _cut(self, rest: _Rest) -> list[Placed]:
        """Read and cut the next part; return its chunks by their places in the pack."""
        try:
            descriptor = self._tools.blobs.open(rest.blob_key)
        except FileNotFoundError:  # the content was deleted: the rows say so by now, or never
            with self._tools.database.read() as connection:
                if chunk_rows.column(connection, _EXISTS, [rest.chunk_id]):
                    raise
            return []
        end = rest.offset + rest.length
        try:
            cuts = cut_file(descriptor, rest.offset, end, STEP_BYTES, is_inside=rest.start > 0)
        except EOFError as error:
            raise OSError(f"The pack {rest.blob_key} ends early.") from error
        finally:
            os.close(descriptor)
        return [Placed.plain(cut.name, cut.start, cut.length) for cut in cuts]


_EXISTS = "SELECT id FROM cdc_chunks WHERE id IN (SELECT value FROM json_each(?))"


def _rest(connection: Connection, content_id: int) -> _Rest | None:
    """Return what is not cut of a content; None: nothing, or it was deleted."""
    row: Any = connection.exec_driver_sql(
        "SELECT k.id, k.pack_id, p.blob_key, k.offset, k.bytes, c.bytes - k.bytes"
        " FROM uncut_contents u JOIN contents c ON c.id = u.content_id"
        " JOIN cdc_chunks k ON k.id = u.chunk_id JOIN packs p ON p.id = k.pack_id"
        " WHERE u.content_id = ? AND c.refs > 0",
        (content_id,),
    ).one_or_none()
    return None if row is None else _Rest(*row)


def _forgotten(connection: Connection, content_id: int) -> bool:
    """Take back the note on a content that was deleted; tell whether it was."""
    if _rest(connection, content_id) is not None:
        return False
    connection.exec_driver_sql("DELETE FROM uncut_contents WHERE content_id = ?", (content_id,))
    return True


def _noted(
    connection: Connection, content_id: int, rest: _Rest, cuts: Sequence[Placed]
) -> tuple[Freed, bool]:
    """Put chunks in the place of what they were cut of; tell what is waste, if that was the end."""
    ids, new_bytes, freed = chunk_rows.add(connection, rest.pack_id, cuts)
    cut_bytes = sum(chunk.length for chunk in cuts)
    connection.exec_driver_sql(
        "DELETE FROM content_chunks WHERE content_id = ? AND start = ?", (content_id, rest.start)
    )
    places = [(rest.start + chunk.offset - rest.offset, ids[chunk.name]) for chunk in cuts]
    contents.add_chunks(connection, content_id, places)
    is_done = cut_bytes == rest.length
    if is_done:
        connection.exec_driver_sql("DELETE FROM cdc_chunks WHERE id = ?", (rest.chunk_id,))
        connection.exec_driver_sql("DELETE FROM uncut_contents WHERE content_id = ?", (content_id,))
        connection.exec_driver_sql("UPDATE packs SET to_compress = 1 WHERE id = ?", (rest.pack_id,))
    else:
        connection.exec_driver_sql(
            "INSERT INTO content_chunks (content_id, start, chunk_id) VALUES (?, ?, ?)",
            (content_id, rest.start + cut_bytes, rest.chunk_id),
        )
        connection.exec_driver_sql(
            "UPDATE cdc_chunks SET offset = offset + ?, bytes = bytes - ?,"
            " stored_bytes = stored_bytes - ? WHERE id = ?",
            (cut_bytes, cut_bytes, cut_bytes, rest.chunk_id),
        )
    waste = chunk_rows.shrink(connection, {rest.pack_id: cut_bytes - new_bytes})
    return freed + (waste if is_done else NOTHING_FREED), is_done
