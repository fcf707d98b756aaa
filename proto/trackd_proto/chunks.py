"""Chunks: the pieces in which trackd stores and sends files, and the pack that carries them.

A file of at most `WHOLE_BYTES` is one chunk. Larger ones are cut by content: FastCDC (Xia et al.,
2020) with chunks of 16 KiB to 256 KiB, 64 KiB aimed at, so that equal parts of two files make
equal chunks wherever they lie. A chunk's name is its BLAKE3-256 digest. Agent and server cut with
this one function, so what one of them cut is known to the other.

A pack is what `PUT .../packs` carries::

    "TPK1", u32 count, count * (32 bytes name, u32 length), the chunks' bytes one after another

Numbers are little-endian. Needs the packages blake3 and pyfastcdc.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3
from pyfastcdc import FastCDC

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: The feature of `serverInfo` that says that a server takes chunks.
FEATURE = "TRACKD_CHUNKS"
#: Files up to this size are one chunk.
WHOLE_BYTES = 64 * 1024
MIN_CHUNK_BYTES = 16 * 1024
AVERAGE_CHUNK_BYTES = 64 * 1024
MAX_CHUNK_BYTES = 256 * 1024
NAME_BYTES = 32
PACK_MAGIC = b"TPK1"
#: Most bytes of chunks in one pack, and most chunks (a header of 2.25 MiB).
MAX_PACK_BYTES = 64 * 1024 * 1024
MAX_PACK_CHUNKS = 65_536
#: Most files in one `known` or `contents` request, and most names in one `missing`.
MAX_FILES_AT_ONCE = 10_000
MAX_NAMES_AT_ONCE = 262_144

#: Bytes of a file that are read at a time.
_READ_BYTES = 2 * 1024 * 1024
_HEAD = struct.Struct("<4sI")
_ENTRY = struct.Struct("<32sI")


class Chunk(NamedTuple):
    """One piece of a file: its name and where its bytes are."""

    name: bytes
    data: memoryview


class Cut(NamedTuple):
    """One piece of a file that is read where it is needed: its name and where it lies."""

    name: bytes
    start: int
    length: int


class PackEntry(NamedTuple):
    """One line of a pack's header."""

    name: bytes
    length: int


class InvalidPack(ValueError):
    """The bytes are no pack, or more than a pack may hold."""


def chunk_name(data: bytes | bytearray | memoryview) -> bytes:
    """Return the name of a chunk: the 32 bytes of its BLAKE3 digest."""
    return blake3(data).digest()


class Cutter:
    """Cuts one file, given in blocks of any size, into chunks. For one thread at a time.

    Args:
        is_inside: the first block follows a chunk of the same file.
    """

    def __init__(self, *, is_inside: bool = False) -> None:
        self._cdc = FastCDC(AVERAGE_CHUNK_BYTES, min_size=MIN_CHUNK_BYTES, max_size=MAX_CHUNK_BYTES)
        self._rest: bytes | memoryview = b""
        self._cutting = is_inside

    def feed(self, block: bytes) -> Iterator[Chunk]:
        """Yield the chunks that are complete; they are valid as long as they are held.

        Take all of them before feeding the next block.
        """
        data = memoryview(b"".join((self._rest, block)) if self._rest else block)
        self._cutting = self._cutting or len(data) > WHOLE_BYTES
        start = 0
        if self._cutting:
            for piece in self._cdc.cut_buf(data):
                end = piece.offset + piece.length
                if end == len(data):
                    break  # what follows may belong to it
                part = data[start:end]
                yield Chunk(chunk_name(part), part)
                start = end
        self._rest = bytes(data[start:])

    def finish(self) -> Iterator[Chunk]:
        """Yield the last chunk; an empty file has none."""
        if self._rest:
            part = memoryview(self._rest)
            self._rest = b""
            yield Chunk(chunk_name(part), part)


def cut_file(
    descriptor: int,
    start: int,
    end: int,
    limit_bytes: int,
    *,
    is_inside: bool = False,
    look: Callable[[memoryview], object] | None = None,
) -> list[Cut]:
    """Return the next chunks of a file, as a `Cutter` cuts it; reads into one small buffer.

    Args:
        descriptor: of the file.
        start: where a chunk begins.
        end: where the last one ends.
        limit_bytes: it stops soon behind so many.
        is_inside: another chunk of the same file ends at `start`.
        look: is given the bytes of the chunks.

    Raises:
        EOFError: the file is shorter.
        OSError: it cannot be read.
    """
    cdc = FastCDC(AVERAGE_CHUNK_BYTES, min_size=MIN_CHUNK_BYTES, max_size=MAX_CHUNK_BYTES)
    view = memoryview(bytearray(min(_READ_BYTES, end - start)))
    is_whole = not is_inside and end - start <= WHOLE_BYTES
    cuts: list[Cut] = []
    at = start
    while at < min(end, start + limit_bytes):
        block = view[: min(len(view), end - at)]
        _fill(block, descriptor, at)
        is_last = at + len(block) == end
        done = 0
        ends = (piece.offset + piece.length for piece in cdc.cut_buf(block))
        for stop in (len(block),) if is_whole else ends:
            if stop == len(block) and not is_last:
                break  # what follows may belong to it
            cuts.append(Cut(chunk_name(block[done:stop]), at + done, stop - done))
            done = stop
        if look is not None:
            look(block[:done])
        at += done
    return cuts


def _fill(block: memoryview, descriptor: int, at: int) -> None:
    filled = 0
    while filled < len(block):
        count = os.preadv(descriptor, [block[filled:]], at + filled)
        if not count:
            raise EOFError(f"the file ends at {at + filled}, before {at + len(block)} bytes")
        filled += count


def pack_header(entries: Sequence[PackEntry]) -> bytes:
    """Return what stands before the bytes of a pack's chunks."""
    lines = [_HEAD.pack(PACK_MAGIC, len(entries))]
    lines += [_ENTRY.pack(entry.name, entry.length) for entry in entries]
    return b"".join(lines)


def header_bytes(start: bytes) -> int:
    """Return the length of a pack's header from the first 8 bytes of it.

    Raises:
        InvalidPack: This is no pack, or it says that it holds too many chunks.
    """
    if len(start) < _HEAD.size:
        raise InvalidPack(f"A pack has a header of at least {_HEAD.size} bytes.")
    magic, count = _HEAD.unpack_from(start)
    if magic != PACK_MAGIC:
        raise InvalidPack(f"A pack begins with {PACK_MAGIC!r}, this with {bytes(magic)!r}.")
    if count > MAX_PACK_CHUNKS:
        raise InvalidPack(f"A pack holds at most {MAX_PACK_CHUNKS} chunks, this {count}.")
    return _HEAD.size + count * _ENTRY.size


def parse_header(header: bytes) -> list[PackEntry]:
    """Return the lines of a whole header.

    Raises:
        InvalidPack: A length is out of bounds.
    """
    if len(header) != header_bytes(header[: _HEAD.size]):
        raise InvalidPack(f"The pack's header ends after {len(header)} bytes.")
    entries = [PackEntry(*fields) for fields in _ENTRY.iter_unpack(header[_HEAD.size :])]
    for entry in entries:
        if not 0 < entry.length <= MAX_CHUNK_BYTES:
            raise InvalidPack(
                f"A chunk has 1 to {MAX_CHUNK_BYTES} bytes, {entry.name.hex()} {entry.length}."
            )
    total = sum(entry.length for entry in entries)
    if total > MAX_PACK_BYTES:
        raise InvalidPack(f"A pack holds at most {MAX_PACK_BYTES} bytes, this {total}.")
    return entries


def split_names(names: bytes) -> list[bytes]:
    """Return the names in a row of names.

    Raises:
        InvalidPack: Their length is no multiple of 32.
    """
    if len(names) % NAME_BYTES:
        raise InvalidPack(f"{len(names)} bytes are no row of {NAME_BYTES}-byte names.")
    return [names[at : at + NAME_BYTES] for at in range(0, len(names), NAME_BYTES)]
