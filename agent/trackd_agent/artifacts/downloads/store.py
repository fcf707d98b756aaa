"""Contents of a server of ours, many at a time: from its disk where it is this machine's, else by
one request for many small files. What it does not give comes as from any other server.

A downloaded file never shares its inode with the server's files: who edits it would edit what the
server keeps. The kernel copies (where the disk can, it shares the blocks until one side writes)
what was verified before and lies unchanged where it lay; everything else is read and hashed.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from trackd_agent.artifacts.contents import Stamp
from trackd_agent.artifacts.downloads.placing import LARGE_BYTES, Placing, Source, SourceGone
from trackd_agent.upstream import RequestFailed, RetryClass, ask
from trackd_proto import chunks as protocol
from trackd_proto.chunk_encoding import DamagedChunk, decompressed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trackd_agent.artifacts.contents import Bytes
    from trackd_agent.artifacts.downloads.entries import Entry
    from trackd_agent.artifacts.downloads.placing import Placed, VerifiedFile
    from trackd_agent.artifacts.downloads.progress import Version
    from trackd_agent.artifacts.downloads.tools import Tools

_EXTENTS = "/api/v1/contents/extents"
_READ = "/api/v1/contents/read"
_QUESTION_S = 120.0
_PIECE_BYTES = 1024 * 1024
#: Files that are asked for together, and the bytes of one answer.
_SMALL_BYTES = 256 * 1024
_ANSWER_BYTES = 8 * 1024 * 1024
_LENGTH = struct.Struct("<Q")
_LEFT_OUT = 2**64 - 1
_FORBIDDEN, _NOT_IMPLEMENTED = 403, 501
_KEY = re.compile(r"[0-9a-zA-Z_-]+(/[0-9a-zA-Z_-]+)*")
#: Key of a file in the server's folder, place in it, length there, and the bytes that it stands
#: for: more if it is a compressed chunk.
Range = tuple[str, int, int, int]


class _Extents(msgspec.Struct):
    folder: str
    files: list[list[Range] | None]


_extents = msgspec.msgpack.Decoder(_Extents)


class OwnStore:
    """The contents of one server of ours.

    Args:
        version: at that server.
        placing: where files go.
        tools: threads and limits.
    """

    def __init__(self, version: Version, placing: Placing, tools: Tools) -> None:
        #: Bytes that travelled.
        self.fetched_bytes = 0
        self._version = version
        self._placing = placing
        self._tools = tools
        self._reads_disk = version.upstream.is_local
        self._reads_many = True

    @classmethod
    async def find(cls, version: Version, placing: Placing, tools: Tools) -> OwnStore | None:
        """Return the store of a server; None: it is none of ours."""
        upstream, manner = version.upstream, version.manner
        features = await ask(upstream, manner, _QUESTION_S, lambda: upstream.features(manner))
        return cls(version, placing, tools) if protocol.FEATURE in features else None

    async def place(self, entries: Sequence[Entry]) -> list[Placed]:
        """Place what the store gives; the rest is not in the result.

        Raises:
            DiskFull: there is no room.
        """
        placed: list[Placed] = []
        if self._reads_disk:
            placed = await self._from_disk(entries)
        settled = {each.entry.path for each in placed}
        small = [
            entry
            for entry in entries
            if entry.path not in settled and entry.size is not None and entry.size <= _SMALL_BYTES
        ]
        for group in _groups(small):
            if self._reads_many:
                placed += await self._from_answer(group)
        return placed

    # -- from the server's disk --------------------------------------------------------------

    async def _from_disk(self, entries: Sequence[Entry]) -> list[Placed]:
        answer = await self._ask(_EXTENTS, entries)
        found = None if answer is None else _places(answer)
        if found is None or len(found.files) != len(entries):
            self._reads_disk = False  # another way is left
            return []
        return await self._tools.in_thread(self._copy, entries, found)

    def _copy(self, entries: Sequence[Entry], found: _Extents) -> list[Placed]:
        with _Packs(Path(found.folder)) as packs:
            there = (
                (entry, partial(self._fill, packs, ranges))
                for entry, ranges in zip(entries, found.files, strict=True)
                if ranges is not None
            )
            return self._placing.place(Source.STORE, there)

    def _fill(self, packs: _Packs, ranges: Sequence[Range], new: VerifiedFile) -> None:
        """Fill a file from packs: by the kernel where these very bytes were verified before.

        Raises:
            SourceGone: the bytes are not there (any more), or may not be read.
        """
        entry, known = new.entry, self._placing.known
        began_ns = time.time_ns()
        is_plain = all(stored == length for _, _, stored, length in ranges)
        is_copied = is_plain and (entry.size or 0) >= LARGE_BYTES
        stamps = packs.stamps(ranges) if is_copied else []
        place = _place_of(ranges, stamps, entry.algorithm) if is_copied else b""
        if place and known.get(place) == entry.raw_digest:
            for key, offset, length, _ in ranges:
                new.copy_known(packs.open(key), offset, offset + length)
            if packs.stamps(ranges) != stamps:
                raise SourceGone
        else:
            new.append_all(packs.pieces(ranges))
        new.finish(keep=False)
        if place and all(stamp.tells_changes_since(began_ns) for stamp in stamps):
            known.put(place, entry.raw_digest)

    # -- through the network -----------------------------------------------------------------

    async def _from_answer(self, entries: Sequence[Entry]) -> list[Placed]:
        answer = await self._ask(_READ, entries)
        if answer is None:
            self._reads_many = False
            return []
        self.fetched_bytes += len(answer)
        contents = [
            (entry, partial(_fill_from, pieces)) for entry, pieces in _split(entries, answer)
        ]
        return await self._tools.in_thread(self._placing.place, Source.NETWORK, contents)

    async def _ask(self, path: str, entries: Sequence[Entry]) -> bytes | None:
        """Return the server's answer; None: it has none for us."""
        upstream, manner = self._version.upstream, self._version.manner
        names = [(entry.algorithm, entry.raw_digest, entry.size) for entry in entries]
        body = msgspec.msgpack.encode({"files": names})

        async def attempt() -> bytes | None:
            try:
                return await upstream.call("POST", path, body, len(body), manner)
            except RequestFailed as failure:
                if _is_not_served(failure):
                    return None
                raise

        return await ask(upstream, manner, _QUESTION_S, attempt)


def _is_not_served(failure: RequestFailed) -> bool:
    """Tell whether the server, or a proxy before it, does not do this for us: files come singly."""
    is_refused = failure.retry_class in (RetryClass.PARKED, RetryClass.TOO_LARGE)
    return is_refused or failure.status in (_FORBIDDEN, _NOT_IMPLEMENTED)


class _Packs:
    """Files in the server's folder, opened once each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: dict[str, int] = {}
        self._stack = ExitStack()

    def __enter__(self) -> _Packs:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def pieces(self, ranges: Iterable[Range]) -> Iterator[bytes]:
        """Yield the bytes of ranges.

        Raises:
            SourceGone: they are not there (any more), damaged, or may not be read.
        """
        for key, offset, stored, length in ranges:
            if stored == length:
                yield from self._pieces(key, offset, stored)
            else:
                yield self._chunk(key, offset, stored, length)

    def _pieces(self, key: str, offset: int, length: int) -> Iterator[bytes]:
        end = offset + length
        while offset < end:
            piece = self._read(key, offset, min(_PIECE_BYTES, end - offset))
            yield piece
            offset += len(piece)

    def _chunk(self, key: str, offset: int, stored: int, length: int) -> bytes:
        """Return what a compressed chunk stands for."""
        if not 0 < stored < length <= protocol.MAX_CHUNK_BYTES:
            raise SourceGone
        try:
            return decompressed(self._read(key, offset, stored), length)
        except DamagedChunk as error:
            raise SourceGone from error

    def _read(self, key: str, offset: int, length: int) -> bytes:
        """Return what can be read at once of a range: one byte at least."""
        try:
            piece = os.pread(self.open(key), length, offset)
        except (OSError, OverflowError, ValueError) as error:  # no place on a disk
            raise SourceGone from error
        if not piece:
            raise SourceGone
        return piece

    def stamps(self, ranges: Iterable[Range]) -> list[Stamp]:
        """Return what tells whether the files of ranges change; raises as `open` does."""
        return [Stamp.of(self.open(key)) for key in dict.fromkeys(key for key, *_ in ranges)]

    def open(self, key: str) -> int:
        """Return the descriptor of a file.

        Raises:
            SourceGone: it is not there (any more), or may not be read.
        """
        descriptor = self._opened.get(key)
        if descriptor is None:
            if not _KEY.fullmatch(key):
                raise SourceGone
            try:
                descriptor = os.open(self._folder / key, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except (OSError, ValueError) as error:
                raise SourceGone from error
            self._opened[key] = descriptor
            self._stack.callback(os.close, descriptor)
        return descriptor


def _fill_from(pieces: Iterable[Bytes], new: VerifiedFile) -> None:
    new.append_all(pieces)
    new.finish(keep=True)


def _place_of(ranges: Sequence[Range], stamps: Sequence[Stamp], algorithm: str) -> bytes:
    """Return what names bytes on the disk: where they lie, in which files, as they are now."""
    place = msgspec.msgpack.encode((algorithm, ranges, stamps))
    return hashlib.blake2b(place, digest_size=16).digest()


def _places(answer: bytes) -> _Extents | None:
    """Return where contents lie; None: the answer is none."""
    try:
        return _extents.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _groups(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Yield files that one answer may hold together."""
    group: list[Entry] = []
    size_bytes = 0
    for entry in entries:
        size = entry.size or 0
        if group and size_bytes + size > _ANSWER_BYTES:
            yield group
            group, size_bytes = [], 0
        group.append(entry)
        size_bytes += size
    if group:
        yield group


def _split(entries: Sequence[Entry], answer: bytes) -> Iterator[tuple[Entry, list[memoryview]]]:
    """Yield the contents in an answer; one that is cut off gives what it has."""
    view = memoryview(answer)
    for entry in entries:
        if len(view) < _LENGTH.size:
            return
        (length,) = _LENGTH.unpack_from(view)
        view = view[_LENGTH.size :]
        if length == _LEFT_OUT:
            continue
        if len(view) < length:
            return
        yield entry, [view[:length]]
        view = view[length:]
