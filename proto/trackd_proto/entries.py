"""The file beside a record whose manifest is too large for it: entries in blocks.

``TENT1`` and a line feed, then for each block its length (u32, little endian) and a MessagePack
list of at most 4,096 `ArtifactEntry`, sorted by path. A reader holds one block at a time, so that
a manifest of any size is read in little memory. Files of the first version (one list of all
entries) are read, too, at once.
"""

from __future__ import annotations

import struct
from itertools import islice
from typing import IO, TYPE_CHECKING

import msgspec

from trackd_proto.records import ArtifactEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAGIC = b"TENT1\n"
BLOCK_ENTRIES = 4096
#: A damaged length is not believed.
_MAX_BLOCK_BYTES = 256 * 1024 * 1024
_LENGTH = struct.Struct("<I")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[ArtifactEntry]).decode


def write_blocks(file: IO[bytes], entries: Iterable[ArtifactEntry]) -> None:
    """Write entries, which are sorted by path.

    Raises:
        OSError: the file cannot be written.
    """
    file.write(MAGIC)
    for block in blocks_of(entries):
        data = _encode(block)
        file.write(_LENGTH.pack(len(data)))
        file.write(data)


def blocks_of(entries: Iterable[ArtifactEntry]) -> Iterator[list[ArtifactEntry]]:
    """Yield entries in blocks, as a file of them would be read."""
    left = iter(entries)
    while block := list(islice(left, BLOCK_ENTRIES)):
        yield block


def read_blocks(file: IO[bytes]) -> Iterator[list[ArtifactEntry]]:
    """Yield the entries of a file, a block at a time.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged.
    """
    start = file.read(len(MAGIC))
    if start != MAGIC:
        yield from blocks_of(_decode(start + file.read()))
        return
    while head := file.read(_LENGTH.size):
        size_bytes = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else -1
        data = file.read(size_bytes) if 0 <= size_bytes <= _MAX_BLOCK_BYTES else b""
        if len(data) != size_bytes:
            raise ValueError("the file of entries ends within a block")
        yield _decode(data)
