"""The chunk protocol's half of storage: packs that agents send, and files made of their chunks."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import xxhash

from trackd_proto import chunks as protocol
from trackd_proto.chunks import InvalidPack, PackEntry
from trackd_server.domain import threads
from trackd_server.domain.errors import Conflict, InvalidRequest, NotFound, Unavailable
from trackd_server.domain.storage import chunk_rows, contents, reading
from trackd_server.domain.storage.chunk_rows import NOTHING_FREED
from trackd_server.domain.storage.pack_writer import PackWriter
from trackd_server.domain.storage.receive import MD5, XXH128, DigestMismatch, Tools

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from sqlalchemy import Connection

    from trackd_server.blobs import BlobFolder
    from trackd_server.domain.storage.contents import ContentName
    from trackd_server.domain.storage.flow import Flow
    from trackd_server.domain.storage.reading import Extent
    from trackd_server.domain.storage.verifying import Verifier

#: Raw bytes of a digest, by algorithm (both have 128 bits).
DIGEST_BYTES = 16
#: Chunks that one transaction makes files of: 0.1 s.
CHUNKS_AT_ONCE = 4_000


@dataclass(frozen=True)
class Assembly:
    """A file as a row of chunks."""

    name: tuple[str, bytes, int]
    chunks: list[bytes]


def require_pending(connection: Connection, version_id: int) -> None:
    """Check that files may still be sent for a version."""
    row = connection.exec_driver_sql(
        "SELECT state FROM versions WHERE id = ?", (version_id,)
    ).one_or_none()
    if row is None:
        raise NotFound("The artifact does not exist (any more): create it again.")
    if row.state != "PENDING":
        raise Conflict(f"The artifact is {row.state}: only a pending one takes files.")


def checked_name(algorithm: object, digest: object, size: object) -> tuple[str, bytes, int]:
    """Return what names a content, as it came from outside."""
    if algorithm not in (MD5, XXH128):
        raise InvalidRequest(f"Unknown algorithm {algorithm!r}: use {MD5} or {XXH128}.")
    if not isinstance(digest, bytes) or len(digest) != DIGEST_BYTES:
        raise InvalidRequest(f"A digest has {DIGEST_BYTES} raw bytes.")
    if not isinstance(size, int) or not 0 <= size < 1 << 62:
        raise InvalidRequest(f"Invalid size {size!r}: use a number of bytes.")
    return str(algorithm), digest, size


class PackArrival:
    """One pack on its way in: each chunk is verified, new ones are written. Blocks."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._rest = b""
        self._entries: list[PackEntry] | None = None
        self._next = 0
        self._known: set[bytes] = set()
        self._writer: PackWriter | None = None

    def feed(self, block: bytes) -> None:
        """Take the next bytes of the body."""
        data = memoryview(b"".join((self._rest, block)) if self._rest else block)
        at = 0
        if self._entries is None:
            at = self._take_header(bytes(data[: 8 + 36 * protocol.MAX_PACK_CHUNKS]))
        if self._entries is not None:
            at = self._take_chunks(self._entries, data, at)
        if self._writer is not None:
            self._writer.flush()
        self._rest = bytes(data[at:])

    def finish(self, version_id: int) -> int:
        """Make the chunks known; return how many of them are new."""
        if self._entries is None or self._next < len(self._entries) or self._rest:
            raise InvalidPack("The pack ends early, or goes on after its last chunk.")
        if self._writer is not None:
            self._writer.close()
        with self._tools.database.write() as connection:
            require_pending(connection, version_id)
            if self._writer is None:
                return 0
            _, freed = chunk_rows.adopt(
                connection, self._writer.key, self._writer.placed, version_id
            )
        stored = len(self._writer.placed)
        self._writer = None
        self._tools.reclaimer.finish(freed)
        return stored

    def abandon(self) -> None:
        """Let go of what came, unless it is known by now."""
        if self._writer is not None:
            self._writer.abandon()
            self._tools.doomed.delete([self._writer.key])

    def _take_header(self, data: bytes) -> int:
        """Read the header once it is whole; return where the chunks begin, 0 before that."""
        if len(data) < 8 or len(data) < (size := protocol.header_bytes(data[:8])):
            return 0
        self._entries = protocol.parse_header(data[:size])
        with self._tools.database.read() as connection:
            names = (entry.name for entry in self._entries)
            self._known = set(chunk_rows.known(connection, names))
        return size

    def _take_chunks(self, entries: Sequence[PackEntry], data: memoryview, at: int) -> int:
        """Store the chunks that are whole; return where the next one begins."""
        while self._next < len(entries) and at + entries[self._next].length <= len(data):
            entry = entries[self._next]
            chunk = data[at : at + entry.length]
            if protocol.chunk_name(chunk) != entry.name:
                raise DigestMismatch(f"Chunk {self._next} of the pack is not {entry.name.hex()}.")
            self._write(entry.name, chunk)
            self._next += 1
            at += entry.length
        return at

    def _write(self, name: bytes, chunk: memoryview) -> None:
        if name in self._known:
            return
        if self._writer is None:
            self._writer = PackWriter(self._tools.blobs, self._tools.doomed.new_key())
        self._writer.add(name, chunk)
        self._known.add(name)


class PackIntake:
    """What agents send and ask of chunks and contents, for a pending version."""

    def __init__(self, tools: Tools, flow: Flow, verifier: Verifier) -> None:
        self._tools = tools
        self._flow = flow
        self._verifier = verifier

    async def receive(self, version_id: int, body: AsyncIterator[bytes]) -> int:
        """Store a pack; return how many chunks of it are new.

        Raises:
            InvalidRequest: The pack is broken; nothing is stored.
            OSError: There is no room, or the disk fails; nothing is stored.
        """
        arrival = PackArrival(self._tools)
        done = False
        try:
            with self._flow.blocks(body) as blocks:
                await blocks.pump([await blocks.read()], arrival.feed)
            stored = await self._flow.call(arrival.finish, version_id)
            done = True
        except InvalidPack as error:
            raise InvalidRequest(str(error)) from error
        finally:
            if not done:
                await threads.clean_up(arrival.abandon)
        return stored

    def known(self, version_id: int, wanted: Sequence[ContentName]) -> list[bool]:
        """Keep for the version what is stored of some contents; tell which these are. Blocks."""
        with self._tools.database.write() as connection:
            require_pending(connection, version_id)
            found = contents.find_whole(connection, wanted)
            contents.hold(connection, version_id, found.values())
        return [name in found for name in wanted]

    def missing(self, names: Sequence[bytes]) -> list[int]:
        """Return the places of those names that no chunk has. Blocks."""
        with self._tools.database.read() as connection:
            stored = chunk_rows.known(connection, set(names))
        return [place for place, name in enumerate(names) if name not in stored]

    def assemble(self, version_id: int, files: Sequence[Assembly]) -> list[bytes]:
        """Make contents of chunks and keep them for the version; return chunks that are missing.

        The digest of a file of several chunks is taken as the agent says: its chunks were
        verified. `fsck --verify` computes it. One transaction takes some thousand chunks.

        Raises:
            DigestMismatch: A file's length or (for one chunk) digest is not what its chunks make.
        """
        self._verify_small(files)
        missing: dict[bytes, None] = {}
        for some in _groups(files):
            large = len(some) == 1 and len(some[0].chunks) > CHUNKS_AT_ONCE
            lacking = (
                self._assemble_large(version_id, some[0])
                if large
                else self._assemble_some(version_id, some)
            )
            missing |= dict.fromkeys(lacking)
        return list(missing)

    def _assemble_large(self, version_id: int, file: Assembly) -> list[bytes]:
        """Make a content as an upload does: it arrives some chunks at a time."""
        with self._tools.database.read() as connection:
            stored = chunk_rows.sized(connection, set(file.chunks))
        missing = [name for name in set(file.chunks) if name not in stored]
        if missing:
            return missing
        _require_length(file.name[2], sum(stored[name][1] for name in file.chunks))
        with self._tools.database.write() as connection:
            require_pending(connection, version_id)
            arriving = contents.begin(connection)
        freed, start = NOTHING_FREED, 0
        try:
            for at in range(0, len(file.chunks), CHUNKS_AT_ONCE):
                some = file.chunks[at : at + CHUNKS_AT_ONCE]
                with self._tools.database.write() as connection:
                    now = chunk_rows.sized(connection, set(some))
                    missing = [name for name in set(some) if name not in now]  # deleted since
                    if missing:
                        return missing
                    places: list[tuple[int, int]] = []
                    for name in some:
                        places.append((start, now[name][0]))
                        start += now[name][1]
                    contents.add_chunks(connection, arriving, places)
            with self._tools.database.write() as connection:
                require_pending(connection, version_id)
                content_id, freed = contents.end(connection, arriving, *file.name)
                contents.hold(connection, version_id, [content_id])
                arriving = 0
            return []
        finally:
            if arriving:
                with self._tools.database.write() as connection:
                    freed = contents.release(connection, {arriving: 1})
            self._tools.reclaimer.finish(freed)

    def _assemble_some(self, version_id: int, files: Sequence[Assembly]) -> list[bytes]:
        with self._tools.database.write() as connection:
            require_pending(connection, version_id)
            names = {name for file in files for name in file.chunks}
            stored = chunk_rows.sized(connection, names)
            whole = {
                file.name: file.chunks
                for file in files
                if all(name in stored for name in file.chunks)
            }
            for name, chunks in whole.items():
                _require_length(name[2], sum(stored[chunk][1] for chunk in chunks))
            content_ids, freed = contents.make_many(connection, whole, stored)
            contents.hold(connection, version_id, content_ids)
        if freed != NOTHING_FREED:
            self._tools.reclaimer.finish(freed)
        return [name for name in names if name not in stored]

    def _verify_small(self, files: Sequence[Assembly]) -> None:
        """Check the digests of files that have one chunk or none.

        A chunk that turns out to be damaged is marked, so that it is missing.
        """
        single: dict[bytes, list[Assembly]] = {}
        for file in files:
            if len(file.chunks) == 1:
                single.setdefault(file.chunks[0], []).append(file)
            elif not file.chunks:
                _require_digest(file, b"")
        with self._tools.database.read() as connection:
            found = reading.extents_of_chunks(connection, single)
        with _OpenPacks(self._tools.blobs) as packs:
            for extent in found:
                try:
                    data = packs.read(extent)
                    for file in single[bytes(extent.blake3)]:
                        _require_digest(file, data)
                except (DigestMismatch, OSError) as error:
                    if self._verifier.mark(extent):
                        continue
                    if isinstance(error, FileNotFoundError):
                        problem = "A pack was moved just now: send the request again."
                        raise Unavailable(problem) from error
                    raise


def _groups(files: Sequence[Assembly]) -> Iterator[list[Assembly]]:
    """Yield files in order, each time about as many as have `CHUNKS_AT_ONCE` chunks; one at least.

    A file of more is a group of its own.
    """
    some: list[Assembly] = []
    count = 0
    for file in files:
        if some and count + len(file.chunks) > CHUNKS_AT_ONCE:
            yield some
            some, count = [], 0
        some.append(file)
        count += len(file.chunks)
    yield some


def _require_length(announced: int, length: int) -> None:
    if length != announced:
        raise DigestMismatch(
            f"The chunks of a file have {length} bytes, announced were {announced}."
        )


def _require_digest(file: Assembly, data: bytes) -> None:
    algorithm, digest, size = file.name
    _require_length(size, len(data))
    hashed = hashlib.md5(data, usedforsecurity=False) if algorithm == MD5 else xxhash.xxh3_128(data)
    if hashed.digest() != digest:
        raise DigestMismatch(
            f"The {algorithm} of a file's bytes is {hashed.hexdigest()}, announced was "
            f"{digest.hex()}."
        )


class _OpenPacks:
    """Reads chunks from packs, the last pack kept open: neighbours come one after another."""

    def __init__(self, blobs: BlobFolder) -> None:
        self._blobs = blobs
        self._key: str = ""
        self._descriptor = -1

    def __enter__(self) -> _OpenPacks:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def read(self, extent: Extent) -> bytes:
        """Return a chunk's bytes."""
        if extent.blob_key != self._key:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._key, self._descriptor = extent.blob_key, -1
            self._descriptor = self._blobs.open(extent.blob_key)
        return reading.Range.of(extent, 0, extent.bytes).read(self._descriptor)
