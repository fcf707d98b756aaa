"""How the bytes of a chunk lie in the server's packs: as they are, or as one zstd frame (RFC 8878).

Where a pack is compressed, a chunk is (level 1) if a sample of it, and then all of it, shrinks by a
twentieth at least. The server writes frames; it and agents that read its disk take them apart. A
frame says nothing that is believed: its content has the length that the chunk's row says, or it is
damaged.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from trackd_proto.chunks import MAX_CHUNK_BYTES

if TYPE_CHECKING or sys.version_info < (3, 14):
    from backports import zstd
else:
    from compression import zstd

#: Encodings: bytes as they are, the same of a chunk that is to be cut, and one frame.
RAW, UNCUT, ZSTD = "raw", "uncut", "zstd"
#: A chunk of one block of a disk or less stays as it is: there it has nothing to gain.
MIN_BYTES = 4096
SAMPLE_BYTES = 4096
#: Part of a chunk that its frame may have at most.
MAX_PART = 0.95

_LEVEL = 1
_WINDOW_LOG = (MAX_CHUNK_BYTES - 1).bit_length()
_BOUNDS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}
#: A compressor for each thread: making one costs as much as some chunks.
_of_thread = threading.local()


class DamagedChunk(ValueError):
    """What was read is not what was written."""


def compressed(data: memoryview) -> bytes | None:
    """Return a chunk as a frame; None: it stays as it is, since little or nothing is gained."""
    if len(data) <= MIN_BYTES:
        return None
    sample = data[:SAMPLE_BYTES]
    if len(data) > 2 * SAMPLE_BYTES and len(_frame(sample)) > MAX_PART * len(sample):
        return None
    frame = _frame(data)
    return frame if len(frame) <= MAX_PART * len(data) else None


def decompressed(frame: bytes, length: int) -> bytes:
    """Return the chunk of `length` bytes that is in a frame.

    Raises:
        DamagedChunk: It is not; no more than `length` bytes were made of it to find that out.
    """
    if not 0 < length <= MAX_CHUNK_BYTES:
        raise DamagedChunk(f"A chunk has 1 to {MAX_CHUNK_BYTES} bytes, this one {length}.")
    unpacker = zstd.ZstdDecompressor(options=_BOUNDS)
    try:
        data = unpacker.decompress(frame, max_length=length)
    except zstd.ZstdError as error:
        raise DamagedChunk(str(error)) from error
    if len(data) != length or not unpacker.eof or unpacker.unused_data:
        raise DamagedChunk(f"The frame has another length than the chunk's {length} bytes.")
    return data


def _frame(data: memoryview) -> bytes:
    try:
        compressor: zstd.ZstdCompressor = _of_thread.compressor
    except AttributeError:
        compressor = _of_thread.compressor = zstd.ZstdCompressor(level=_LEVEL)
    return compressor.compress(data, zstd.ZstdCompressor.FLUSH_FRAME)
