"""Reading contents: which ranges of which packs they are, and their bytes.

A pack may be rewritten or deleted while somebody reads: the ranges are looked up a few hundred at
a time, and looked up again if a pack is not there any more. Of compressed chunks those are taken
apart that have bytes of what was asked for.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

from trackd_proto.chunk_encoding import RAW, ZSTD, DamagedChunk, decompressed
from trackd_server.domain import threads
from trackd_server.domain.errors import DomainError, NotFound
from trackd_server.domain.storage import chunk_rows, contents, damage
from trackd_server.store import DatabaseBusy, DatabaseFull

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from sqlalchemy import Connection

    from trackd_server.blobs import BlobFolder
    from trackd_server.domain.storage.contents import Content
    from trackd_server.store import Database

log = logging.getLogger(__name__)

#: Chunks looked up at once, and bytes handed on at once (a chunk more if one is compressed).
EXTENTS_AT_ONCE = 256
#: Contents whose extents one statement looks up.
CONTENTS_AT_ONCE = 500
PIECE_BYTES = 2 * 1024 * 1024
#: How often a reader looks again where its bytes have moved to.
MAX_MOVES = 5


class DamagedContent(DomainError, OSError):
    """What lies on the disk is not what was stored; the same request fails until it comes again."""

    code = "CONTENT_DAMAGED"
    status = 410  # all clients try a 500 again, some for minutes

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"{problem} `trackd fsck` tells which files are concerned; log them again to repair it."
        )


class Extent(NamedTuple):
    """Where one chunk of a content lies; `start` is its place in the content."""

    start: int
    blob_key: str
    offset: int
    stored_bytes: int
    encoding: str
    blake3: bytes
    bytes: int


class Range(NamedTuple):
    """Bytes of contents that are read at once: neighbours in a pack, or of one compressed chunk."""

    blob_key: str
    offset: int
    stored_bytes: int
    encoding: str
    #: Of the chunk if it is compressed, and which of them are meant.
    bytes: int
    first: int
    last: int

    @classmethod
    def of(cls, extent: Extent, start: int, end: int) -> Range:
        """Return the bytes `start` to `end` of a chunk."""
        if extent.encoding == ZSTD:
            place = (extent.blob_key, extent.offset, extent.stored_bytes, ZSTD, extent.bytes)
            return cls(*place, start, end)
        length = end - start
        return cls(extent.blob_key, extent.offset + start, length, RAW, length, 0, length)

    def joined(self, other: Range) -> Range | None:
        """Return both as one; None: the other does not follow, or one of them is compressed."""
        end = (self.blob_key, self.offset + self.stored_bytes)
        if ZSTD in (self.encoding, other.encoding) or end != other[:2]:
            return None
        length = self.bytes + other.bytes
        return Range(self.blob_key, self.offset, length, RAW, length, 0, length)

    def read(self, descriptor: int) -> bytes:
        """Return the bytes from the opened pack; blocks.

        Raises:
            DamagedContent: They are not there, or no chunk.
            OSError: The disk fails.
        """
        data = os.pread(descriptor, self.stored_bytes, self.offset)
        if len(data) != self.stored_bytes:
            end = self.offset + self.stored_bytes
            raise DamagedContent(f"The pack {self.blob_key} ends before byte {end}.")
        if self.encoding != ZSTD:
            return data
        try:
            chunk = decompressed(data, self.bytes)
        except DamagedChunk as error:
            place = f"The chunk at byte {self.offset} of the pack {self.blob_key}"
            raise DamagedContent(f"{place} cannot be taken apart: {error}") from error
        return chunk[self.first : self.last] if self.last - self.first < self.bytes else chunk


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


def ranges_of_many(
    connection: Connection, content_ids: Iterable[int], limit: int
) -> dict[int, list[Range]]:
    """Return what to read for contents, neighbours as one; a content without bytes has no ranges.

    Once there are more than `limit` ranges, the content of the last one and those of higher numbers
    are left out.
    """
    found: dict[int, list[Range]] = {}
    numbers = sorted(content_ids)
    for at in range(0, len(numbers), CONTENTS_AT_ONCE):
        some = tuple(numbers[at : at + CONTENTS_AT_ONCE])
        found |= {content_id: [] for content_id in some}
        marks = ",".join("?" * len(some))
        rows: Any = connection.exec_driver_sql(
            "SELECT cc.content_id, cc.start, p.blob_key, c.offset, c.stored_bytes, c.encoding,"  # noqa: S608
            " c.blake3, c.bytes FROM content_chunks cc JOIN cdc_chunks c ON c.id = cc.chunk_id"
            f" JOIN packs p ON p.id = c.pack_id WHERE cc.content_id IN ({marks})"
            " ORDER BY cc.content_id, cc.start",
            some,
        )
        for content_id, *fields in rows:
            extent = Extent(*fields)
            ranges = found[content_id]
            before = len(ranges)
            _append(ranges, Range.of(extent, 0, extent.bytes))
            limit -= len(ranges) - before
            if limit < 0:
                rows.close()
                return {number: found[number] for number in found if number < content_id}
    return found


def extents_of_chunks(connection: Connection, names: Iterable[bytes]) -> list[Extent]:
    """Return where those chunks lie that are stored, by pack and offset; they `start` at 0."""
    query = (
        "SELECT 0, p.blob_key, c.offset, c.stored_bytes, c.encoding, c.blake3, c.bytes"
        " FROM cdc_chunks c JOIN packs p ON p.id = c.pack_id"
    )
    rows = chunk_rows.by_names(connection, query, names)
    return sorted((Extent(*row) for row in rows), key=lambda extent: extent[1:3])


def readable(
    connection: Connection, algorithm: str, digest: bytes, size: int | None
) -> Content | None:
    """Return the content of this digest, and of this length if one is given.

    Raises:
        DamagedContent: It is known to be damaged.
    """
    found = contents.find(connection, algorithm, digest, size)
    if found is not None and damage.among(connection, [found.id]):
        raise DamagedContent(f"The {algorithm} {digest.hex()} is damaged on the server's disk.")
    return found


class Reader:
    """Reads contents, in worker threads.

    Args:
        note_unreadable: told a content, and the byte from which on it cannot be read; blocks.
    """

    def __init__(
        self,
        database: Database,
        blobs: BlobFolder,
        note_unreadable: Callable[[int, int], None],
        workers: int = 8,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._note_unreadable = note_unreadable
        self._limiter: anyio.CapacityLimiter | None = None
        self._workers = workers

    async def stream(self, content_id: int, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes `start` to `end` (exclusive) of a content.

        Raises:
            NotFound: The content was deleted.
            DamagedContent: A pack is missing, too short or no chunks.
            OSError: The disk fails.
        """
        if self._limiter is None:  # made late: it wants a running event loop
            self._limiter = anyio.CapacityLimiter(self._workers)
        moves = 0
        try:
            while start < end:
                pieces = await threads.call(
                    self._pieces, content_id, start, end, limiter=self._limiter
                )
                for ranges in pieces:
                    piece = await threads.call(self._read, ranges, limiter=self._limiter)
                    if piece is None:
                        moves = _moved(moves, ranges)
                        break
                    moves = 0
                    start += len(piece)
                    yield piece
        except DamagedContent:
            await threads.call(self._note, content_id, start, limiter=self._limiter)
            raise

    def read(self, content_id: int, start: int, end: int) -> bytes:
        """Return a small range of a content; blocks. Raises as `stream` does."""
        found: list[bytes] = []
        moves = 0
        try:
            while start < end:
                for ranges in self._pieces(content_id, start, end):
                    piece = self._read(ranges)
                    if piece is None:
                        moves = _moved(moves, ranges)
                        break
                    found.append(piece)
                    start += len(piece)
        except DamagedContent:
            self._note(content_id, start)
            raise
        return b"".join(found)

    def _note(self, content_id: int, start: int) -> None:
        """Have it noted what cannot be read; a database that refuses hears of it from the next."""
        try:
            self._note_unreadable(content_id, start)
        except (DatabaseBusy, DatabaseFull) as error:
            facts = {"content": content_id, "error": str(error)}
            log.warning("damage_not_noted", extra={"facts": facts})

    def _pieces(self, content_id: int, start: int, end: int) -> list[list[Range]]:
        """Return the next ranges to read, those together that have about `PIECE_BYTES`."""
        with self._database.read() as connection:
            found = extents(connection, content_id, start, EXTENTS_AT_ONCE)
        if not found or found[0].start > start:
            raise NotFound("The file was deleted.")
        pieces: list[list[Range]] = []
        room = 0
        for extent in found:
            if extent.start >= end:
                break
            skip = max(0, start - extent.start)
            stop = min(extent.bytes, end - extent.start)
            # One that is not cut has any length: what follows it is looked up when its turn comes.
            last = min(stop, skip + PIECE_BYTES * EXTENTS_AT_ONCE)
            while skip < last:
                if room <= 0:
                    pieces.append([])
                    room = PIECE_BYTES
                # A compressed chunk is taken apart once, for one piece.
                step = last - skip if extent.encoding == ZSTD else min(room, last - skip)
                _append(pieces[-1], Range.of(extent, skip, skip + step))
                skip += step
                room -= step
            if last < stop:
                break
        return pieces

    def _read(self, ranges: Sequence[Range]) -> bytes | None:
        """Return the bytes of a piece; None if a pack is not there any more."""
        found: list[bytes] = []
        key, descriptor = "", -1
        try:
            for each in ranges:
                if each.blob_key != key:
                    if descriptor >= 0:
                        os.close(descriptor)
                    key, descriptor = each.blob_key, -1
                    descriptor = self._blobs.open(key)
                found.append(each.read(descriptor))
        except FileNotFoundError:
            return None
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        return found[0] if len(found) == 1 else b"".join(found)


def _append(ranges: list[Range], following: Range) -> None:
    joined = ranges[-1].joined(following) if ranges else None
    if joined is None:
        ranges.append(following)
    else:
        ranges[-1] = joined


def _moved(moves: int, ranges: Sequence[Range]) -> int:
    """Count that a pack was not there; OSError if that happens too often."""
    if moves >= MAX_MOVES:
        keys = ", ".join(sorted({each.blob_key for each in ranges}))
        raise DamagedContent(f"Of the packs {keys} one is missing.")
    return moves + 1
