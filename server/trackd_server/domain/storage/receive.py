"""Taking in whole files: cut, hashed and stored while they arrive, in bounded memory.

A file that fits one block is stored by one transaction. A larger one is a content on its way in
(`contents.ARRIVING`) from its first block on: chunks that are stored already are referenced by the
transaction that finds them, new ones by the one that closes their pack, so that nothing can delete
what an upload counts on, and a start after a crash lets go of it all. Reading the next block,
hashing this one and cutting it run beside each other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import xxhash

from trackd_proto.chunks import Chunk, Cutter
from trackd_server.domain import threads
from trackd_server.domain.errors import InvalidRequest
from trackd_server.domain.storage import blob_writing, chunk_rows, contents
from trackd_server.domain.storage.chunk_rows import NOTHING_FREED, Freed
from trackd_server.domain.storage.doomed import Doomed
from trackd_server.domain.storage.pack_writer import PackWriter
from trackd_server.domain.storage.reclaim import Reclaimer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Connection

    from trackd_server.blobs import BlobFolder, Stored
    from trackd_server.domain.storage.flow import Flow
    from trackd_server.store import Database

#: Digest algorithms of contents.
MD5, XXH128 = "MD5", "XXH128"
#: A pack is closed when it has so many bytes.
PACK_BYTES = 32 * 1024 * 1024


class DigestMismatch(InvalidRequest):
    """The bytes that came are not those that were announced."""

    code = "DIGEST_MISMATCH"


@dataclass(frozen=True)
class Expected:
    """What a client announced: the digest's raw bytes, and the length if it said so."""

    algorithm: str
    digest: bytes
    bytes: int | None = None


@dataclass(frozen=True)
class Received:
    """What became of an upload."""

    content_id: int
    bytes: int
    md5: bytes


class Keep(Protocol):
    """Takes a content into somebody's keeping, inside the transaction that makes it."""

    def __call__(self, connection: Connection, content_id: int, /) -> None:
        """Note the content and `contents.retain` it; an exception undoes the upload."""
        ...


@dataclass(frozen=True)
class Tools:
    """What uploads share."""

    database: Database
    blobs: BlobFolder
    doomed: Doomed
    reclaimer: Reclaimer

    @classmethod
    def of(cls, database: Database, blobs: BlobFolder) -> Tools:
        """Return the tools of one server."""
        doomed = Doomed(database, blobs)
        return cls(database, blobs, doomed, Reclaimer(database, blobs, doomed))


class _Digests:
    """MD5 always, XXH128 if it is expected; blocks."""

    def __init__(self, expected: Expected | None) -> None:
        self._expected = expected
        self._md5 = hashlib.md5(usedforsecurity=False)
        asked = expected is not None and expected.algorithm == XXH128
        self._xxh128 = xxhash.xxh3_128() if asked else None
        self.bytes = 0

    def update(self, block: bytes) -> None:
        self.bytes += len(block)
        self._md5.update(block)
        if self._xxh128 is not None:
            self._xxh128.update(block)

    @property
    def md5(self) -> bytes:
        return self._md5.digest()

    def checked(self) -> tuple[str, bytes, int]:
        """Return algorithm, digest and length; DigestMismatch if others were expected."""
        algorithm, digest = MD5, self.md5
        if self._xxh128 is not None:
            algorithm, digest = XXH128, self._xxh128.digest()
        wanted = self._expected
        if wanted is not None:
            if wanted.bytes is not None and wanted.bytes != self.bytes:
                raise DigestMismatch(
                    f"{self.bytes} bytes arrived, {wanted.bytes} were announced: send the file "
                    "again."
                )
            if wanted.digest != digest:
                raise DigestMismatch(
                    f"The {algorithm} of what arrived is {digest.hex()}, {wanted.digest.hex()} was "
                    "announced: send the file again."
                )
        return algorithm, digest, self.bytes


class Arrival:
    """The storing half of one large upload: blocks are cut and packed. Blocks; one at a time."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._cutter = Cutter()
        self._pack: PackWriter | None = None
        self._places: list[tuple[int, bytes]] = []
        self._end = 0
        self._content_id = 0
        self._is_arriving = False

    def begin(self) -> None:
        """Note that a content is on its way in."""
        with self._tools.database.write() as connection:
            self._content_id = contents.begin(connection)
        self._is_arriving = True

    def feed(self, block: bytes) -> None:
        """Store the chunks that end in this block."""
        self._store(list(self._cutter.feed(block)))

    def finish(self, facts: tuple[str, bytes, int], keep: Keep) -> int:
        """Store the last chunk, name the content and hand it to its keeper."""
        self._store(list(self._cutter.finish()))
        self._close_pack()
        with self._tools.database.write() as connection:
            content_id, freed = contents.end(connection, self._content_id, *facts)
            keep(connection, content_id)
            freed += contents.drop_unneeded(connection, [content_id])
        self._is_arriving = False
        self._tools.reclaimer.finish(freed)
        return content_id

    def abandon(self) -> None:
        """Let go of all that came, unless nothing did yet, or it was handed over by then."""
        if not self._is_arriving:
            return
        if self._pack is not None:
            self._pack.abandon()
            self._tools.doomed.delete([self._pack.key])
        with self._tools.database.write() as connection:
            freed = contents.release(connection, {self._content_id: 1})
        self._tools.reclaimer.finish(freed)

    def _store(self, chunks: list[Chunk]) -> None:
        starts = self._starts(chunks)
        known = self._reference_known(chunks, starts)
        for start, chunk in zip(starts, chunks, strict=True):
            if chunk.name not in known:
                self._write(start, chunk)
        if self._pack is not None:
            self._pack.flush()
            if self._pack.bytes >= PACK_BYTES:
                self._close_pack()

    def _starts(self, chunks: list[Chunk]) -> list[int]:
        starts: list[int] = []
        for chunk in chunks:
            starts.append(self._end)
            self._end += len(chunk.data)
        return starts

    def _reference_known(self, chunks: list[Chunk], starts: list[int]) -> dict[bytes, int]:
        """Reference the chunks that are stored already; return them."""
        with self._tools.database.read() as connection:
            seen = chunk_rows.known(connection, {chunk.name for chunk in chunks})
        if not seen:
            return seen
        with self._tools.database.write() as connection:
            known = chunk_rows.known(connection, seen)  # some may be gone since
            places = [
                (start, known[chunk.name])
                for start, chunk in zip(starts, chunks, strict=True)
                if chunk.name in known
            ]
            contents.add_chunks(connection, self._content_id, places)
        return known

    def _write(self, start: int, chunk: Chunk) -> None:
        if self._pack is None:
            self._pack = PackWriter(self._tools.blobs, self._tools.doomed.new_key())
        if chunk.name not in self._pack:
            self._pack.add(chunk.name, chunk.data)
        self._places.append((start, chunk.name))

    def _close_pack(self) -> None:
        pack = self._pack
        if pack is None:
            return
        pack.close()
        with self._tools.database.write() as connection:
            ids, freed = chunk_rows.adopt(connection, pack.key, pack.placed)
            places = [(start, ids[name]) for start, name in self._places]
            contents.add_chunks(connection, self._content_id, places)
        self._pack, self._places = None, []
        self._tools.reclaimer.finish(freed)


def store_small(tools: Tools, data: bytes, facts: tuple[str, bytes, int], keep: Keep) -> int:
    """Store a file that is in memory as a whole; return its content. Blocks."""
    cutter = Cutter()
    chunks = [*cutter.feed(data), *cutter.finish()]
    with tools.database.read() as connection:
        known = set(chunk_rows.known(connection, {chunk.name for chunk in chunks}))
    while True:
        missing = _store_once(tools, chunks, known, (facts, keep))
        if isinstance(missing, int):
            return missing
        known -= missing  # deleted since: now this upload brings them


def _store_once(
    tools: Tools,
    chunks: list[Chunk],
    known: set[bytes],
    end: tuple[tuple[str, bytes, int], Keep],
) -> int | set[bytes]:
    """Write the chunks that are not known and make the content; or return what was deleted."""
    pack = _written(tools, [chunk for chunk in chunks if chunk.name not in known])
    freed, content_id, missing = NOTHING_FREED, 0, set[bytes]()
    adopted = False
    try:
        with tools.database.write() as connection:
            ids = chunk_rows.known(connection, known)
            missing = known - ids.keys()
            if not missing:
                if pack is not None:
                    new_ids, freed = chunk_rows.adopt(connection, pack.key, pack.placed)
                    ids |= new_ids
                content_id, more = _made(connection, chunks, ids, end)
                freed += more
        adopted = not missing
    finally:
        if pack is not None and not adopted:
            tools.doomed.delete([pack.key])
    tools.reclaimer.finish(freed)
    return missing or content_id


def _made(
    connection: Connection,
    chunks: list[Chunk],
    ids: dict[bytes, int],
    end: tuple[tuple[str, bytes, int], Keep],
) -> tuple[int, Freed]:
    facts, keep = end
    content_id = next(iter(contents.find_whole(connection, [facts]).values()), 0)
    freed = NOTHING_FREED
    if not content_id:
        arriving = contents.begin(connection)
        places: list[tuple[int, int]] = []
        start = 0
        for chunk in chunks:
            places.append((start, ids[chunk.name]))
            start += len(chunk.data)
        contents.add_chunks(connection, arriving, places)
        content_id, freed = contents.end(connection, arriving, *facts)
    keep(connection, content_id)
    return content_id, freed + contents.drop_unneeded(connection, [content_id])


def _written(tools: Tools, chunks: list[Chunk]) -> PackWriter | None:
    if not chunks:
        return None
    pack = PackWriter(tools.blobs, tools.doomed.new_key())
    try:
        for chunk in chunks:
            if chunk.name not in pack:
                pack.add(chunk.name, chunk.data)
        pack.close()
    except BaseException:
        pack.abandon()
        tools.doomed.delete([pack.key])
        raise
    return pack


class Receiver:
    """All uploads of whole files; hands blocking work to worker threads."""

    def __init__(self, tools: Tools, flow: Flow) -> None:
        self._tools = tools
        self._flow = flow

    async def receive(
        self, body: AsyncIterator[bytes], expected: Expected | None, keep: Keep
    ) -> Received:
        """Store a file; return its content, which `keep` has taken into its keeping.

        Raises:
            DigestMismatch: Other bytes were announced; nothing is stored.
            OSError: There is no room, or the disk fails; nothing is stored.
        """
        with self._flow.blocks(body) as blocks:
            digests = _Digests(expected)
            first = await blocks.read()
            second = await blocks.read() if first else b""
            if not second:
                return await self._flow.call(self._whole, first, digests, keep)
            arrival = Arrival(self._tools)
            done = False
            try:
                await self._flow.call(arrival.begin)
                await blocks.pump([first, second], digests.update, arrival.feed)
                content_id = await self._flow.call(arrival.finish, digests.checked(), keep)
                done = True
            finally:
                if not done:
                    await threads.clean_up(arrival.abandon)
            return Received(content_id, digests.bytes, digests.md5)

    async def write(self, key: str, body: AsyncIterator[bytes]) -> Stored:
        """Store a file as it is, as a blob of its own: see `blob_writing.write`."""
        return await blob_writing.write(self._flow, self._tools.blobs, key, body)

    def _whole(self, data: bytes, digests: _Digests, keep: Keep) -> Received:
        digests.update(data)
        content_id = store_small(self._tools, data, digests.checked(), keep)
        return Received(content_id, digests.bytes, digests.md5)
