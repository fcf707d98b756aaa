"""Reading contents: which ranges of which packs they are, and their bytes.

A pack may be rewritten or deleted while somebody reads: the ranges are looked up a few hundred at
a time, and looked up again if a pack is not there any more.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio.to_thread

from trackd_server.domain.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sqlalchemy import Connection

    from trackd_server.blobs import BlobFolder
    from trackd_server.store import Database

#: Chunks looked up at once, and bytes handed on at once.
EXTENTS_AT_ONCE = 256
#: Contents whose extents one statement looks up.
CONTENTS_AT_ONCE = 500
PIECE_BYTES = 2 * 1024 * 1024
#: How often a reader looks again where its bytes have moved to.
MAX_MOVES = 5


class Extent(NamedTuple):
    """Where one chunk of a content lies; `start` is its place in the content."""

    start: int
    blob_key: str
    offset: int
    stored_bytes: int
    encoding: str
    blake3: bytes
    bytes: int


@dataclass(frozen=True)
class _Run:
    """Neighbouring bytes of one pack."""

    blob_key: str
    offset: int
    length: int


def extents(
    connection: Connection, content_id: int, start: int = 0, limit: int | None = None
) -> list[Extent]:
    """Return a content's extents in order, from the one that holds byte `start`."""
    found: Any = connection.exec_driver_sql(
        "SELECT cc.start, p.blob_key, c.offset, c.stored_bytes, c.encoding, c.blake3, c.bytes"
        " FROM content_chunks cc JOIN cdc_chunks c ON c.id = cc.chunk_id"
        " JOIN packs p ON p.id = c.pack_id"
        " WHERE cc.content_id = ? AND cc.start >= coalesce((SELECT max(start) FROM content_chunks"
        " WHERE content_id = ? AND start <= ?), 0) ORDER BY cc.start LIMIT ?",
        (content_id, content_id, start, -1 if limit is None else limit),
    )
    return [Extent(*row) for row in found]


def extents_of_many(connection: Connection, content_ids: Sequence[int]) -> dict[int, list[Extent]]:
    """Return the extents of many contents, each in order; one without bytes has none."""
    found: dict[int, list[Extent]] = {content_id: [] for content_id in content_ids}
    for at in range(0, len(content_ids), CONTENTS_AT_ONCE):
        some = tuple(content_ids[at : at + CONTENTS_AT_ONCE])
        marks = ",".join("?" * len(some))
        rows: Any = connection.exec_driver_sql(
            "SELECT cc.content_id, cc.start, p.blob_key, c.offset, c.stored_bytes, c.encoding,"  # noqa: S608
            " c.blake3, c.bytes FROM content_chunks cc JOIN cdc_chunks c ON c.id = cc.chunk_id"
            f" JOIN packs p ON p.id = c.pack_id WHERE cc.content_id IN ({marks})"
            " ORDER BY cc.content_id, cc.start",
            some,
        )
        for content_id, *extent in rows:
            found[content_id].append(Extent(*extent))
    return found


class Reader:
    """Reads contents, in worker threads."""

    def __init__(self, database: Database, blobs: BlobFolder, workers: int = 8) -> None:
        self._database = database
        self._blobs = blobs
        self._limiter: anyio.CapacityLimiter | None = None
        self._workers = workers

    async def stream(self, content_id: int, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes `start` to `end` (exclusive) of a content.

        Raises:
            NotFound: The content was deleted.
            OSError: A pack is missing or cannot be read.
        """
        if self._limiter is None:  # made late: it wants a running event loop
            self._limiter = anyio.CapacityLimiter(self._workers)
        moves = 0
        while start < end:
            runs = await anyio.to_thread.run_sync(
                self._runs, content_id, start, end, limiter=self._limiter
            )
            for run in runs:
                piece = await anyio.to_thread.run_sync(self._read, run, limiter=self._limiter)
                if piece is None:
                    moves += 1
                    if moves > MAX_MOVES:
                        raise OSError(f"The pack {run.blob_key} is missing.")
                    break
                moves = 0
                start += len(piece)
                yield piece

    def read(self, content_id: int, start: int, end: int) -> bytes:
        """Return a small range of a content; blocks. Raises as `stream` does."""
        pieces: list[bytes] = []
        moves = 0
        while start < end:
            for run in self._runs(content_id, start, end):
                piece = self._read(run)
                if piece is None:
                    moves += 1
                    if moves > MAX_MOVES:
                        raise OSError(f"The pack {run.blob_key} is missing.")
                    break
                pieces.append(piece)
                start += len(piece)
        return b"".join(pieces)

    def _runs(self, content_id: int, start: int, end: int) -> list[_Run]:
        """Return the next ranges to read, each of at most `PIECE_BYTES`."""
        with self._database.read() as connection:
            found = extents(connection, content_id, start, EXTENTS_AT_ONCE)
        if not found or found[0].start > start:
            raise NotFound("The file was deleted.")
        runs: list[_Run] = []
        for extent in found:
            if extent.start >= end:
                break
            skip = max(0, start - extent.start)
            length = min(extent.bytes, end - extent.start) - skip
            offset = extent.offset + skip
            last = runs[-1] if runs else None
            if (
                last is not None
                and (last.blob_key, last.offset + last.length) == (extent.blob_key, offset)
                and last.length + length <= PIECE_BYTES
            ):
                runs[-1] = _Run(last.blob_key, last.offset, last.length + length)
                continue
            runs += [
                _Run(extent.blob_key, offset + at, min(PIECE_BYTES, length - at))
                for at in range(0, min(length, PIECE_BYTES * EXTENTS_AT_ONCE), PIECE_BYTES)
            ]
            if length > PIECE_BYTES * EXTENTS_AT_ONCE:
                break  # what follows is looked up when its turn comes
        return runs

    def _read(self, run: _Run) -> bytes | None:
        """Return the bytes of a range; None if the pack is not there any more."""
        try:
            descriptor = self._blobs.open(run.blob_key)
        except FileNotFoundError:
            return None
        try:
            data = os.pread(descriptor, run.length, run.offset)
        finally:
            os.close(descriptor)
        if len(data) != run.length:
            raise OSError(f"The pack {run.blob_key} ends before byte {run.offset + run.length}.")
        return data
