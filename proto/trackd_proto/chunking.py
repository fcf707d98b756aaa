"""How files are cut into chunks, and how chunks travel: the same on both sides.

Cutting is content-defined (FastCDC, Xia et al. 2016, normalised chunking level 1): at least 16,
about 64 and at most 256 KiB, so that a change moves only the cuts beside it. A file of up to
64 KiB is one chunk. A chunk is known by its BLAKE3-256.

A pack is chunks on their way to a server: ``TPK1``, their number (u32), for each its BLAKE3 (32
bytes) and its length (u32), then the bytes of all, in that order. Numbers are little endian.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import blake3
import pyfastcdc

if TYPE_CHECKING:
    from collections.abc import Iterable

MIN_CHUNK_BYTES = 16 * 1024
AVERAGE_CHUNK_BYTES = 64 * 1024
MAX_CHUNK_BYTES = 256 * 1024
#: Files up to this size are not cut.
WHOLE_FILE_BYTES = AVERAGE_CHUNK_BYTES
#: Of a chunk's id.
ID_BYTES = 32
PACK_MAGIC = b"TPK1"

_CUTTER = pyfastcdc.FastCDC(AVERAGE_CHUNK_BYTES, min_size=MIN_CHUNK_BYTES, max_size=MAX_CHUNK_BYTES)
_HEAD = struct.Struct("<4sI")
_MEMBER = struct.Struct(f"<{ID_BYTES}sI")


class PackMember(NamedTuple):
    """One chunk of a pack."""

    chunk_id: bytes
    size_bytes: int


def cut(data: bytes | bytearray | memoryview, *, is_last: bool) -> list[int]:
    """Return the lengths of the chunks at the beginning of a part of a file.

    Args:
        data: from the end of the chunk before.
        is_last: whether the file ends with it. Otherwise what is left uncut (less than the
            longest chunk) belongs in front of what comes next.
    """
    lengths: list[int] = []
    left_bytes = len(data)
    for chunk in _CUTTER.cut_buf(data):
        if left_bytes < MAX_CHUNK_BYTES and not is_last:
            break  # more bytes may move this cut
        lengths.append(chunk.length)
        left_bytes -= chunk.length
    return lengths


def chunk_id(data: bytes | bytearray | memoryview) -> bytes:
    """Return the BLAKE3-256 of a chunk."""
    return blake3.blake3(data).digest()


def pack_head(members: Iterable[PackMember]) -> bytes:
    """Return what stands in a pack before the bytes of its chunks."""
    packed = [_MEMBER.pack(*member) for member in members]
    return _HEAD.pack(PACK_MAGIC, len(packed)) + b"".join(packed)


def pack_head_bytes(start: bytes) -> int:
    """Return the size of a pack's head.

    Args:
        start: at least its first 8 bytes.

    Raises:
        ValueError: this is no pack.
    """
    if len(start) < _HEAD.size:
        raise ValueError(f"pack: {len(start)} bytes are less than its head of {_HEAD.size}")
    magic, count = _HEAD.unpack_from(start)
    if magic != PACK_MAGIC:
        raise ValueError(f"pack: begins with {magic!r} instead of {PACK_MAGIC!r}")
    return _HEAD.size + count * _MEMBER.size


def pack_members(head: bytes) -> list[PackMember]:
    """Return the chunks of a pack, in order.

    Args:
        head: of the size that `pack_head_bytes` tells.

    Raises:
        ValueError: this is no whole head.
    """
    size_bytes = pack_head_bytes(head)
    if len(head) < size_bytes:
        raise ValueError(f"pack: its head has {len(head)} of {size_bytes} bytes")
    return [PackMember(*m) for m in _MEMBER.iter_unpack(head[_HEAD.size : size_bytes])]
