"""The frame format that spool and journal share. This module is its specification.

A rank stores every record as one frame in its spool, sends the same bytes to
the agent, and the agent appends the same bytes to its journal: one encode, one
format, one set of rules for damage.

Segment file
    A 64-byte segment header, then frames. Names: ``<first_seq:020d>.seg`` in a
    folder that belongs to one producer. A segment may be preallocated: zeros
    after the last frame mean "nothing here yet".

Segment header, little endian (64 bytes)
    ====== ===== ==========================================================
    offset bytes meaning
    ====== ===== ==========================================================
    0      8     magic ``TRKDSEG1``
    8      2     format version (1)
    10     6     zero
    16     8     hash of the run (see `trackd_proto.layout.run_hash`)
    24     8     producer
    32     8     sequence number of the first frame
    40     8     creation time, nanoseconds since 1970
    48     12    zero
    60     4     CRC-32 of bytes 0..59
    ====== ===== ==========================================================
    The header only helps to find a segment's place; every frame describes
    itself, so a damaged header loses nothing.

Frame, little endian, each starting at a multiple of 8 bytes
    ====== ===== ==========================================================
    offset bytes meaning
    ====== ===== ==========================================================
    0      2     magic 0xD7A5
    2      1     kind of record (`trackd_proto.records.Kind`)
    3      1     flags (0 in version 1)
    4      4     length of the payload in bytes
    8      8     producer: random per session, so that a frame of an older
                 file never validates in a newer one
    16     8     sequence number, from 1, without gaps per producer
    24     4     CRC-32 (zlib) of bytes 0..23 and the payload
    28     n     payload
    28+n   0..7  zeros up to the next multiple of 8
    ====== ===== ==========================================================

Damage
    A frame is good when magic, length and CRC agree. Where one is not, readers
    search the next multiple of 8 at which a good frame of the same producer
    starts, and report what they skipped. At the end of a file an incomplete
    frame or zeros are the torn tail: not damage, only the place where the
    writer stopped.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

FRAME_MAGIC = 0xD7A5
FRAME_HEADER_BYTES = 28
FRAME_ALIGN_BYTES = 8
MAX_FRAME_PAYLOAD_BYTES = 8 * 1024 * 1024

SEGMENT_MAGIC = b"TRKDSEG1"
SEGMENT_HEADER_BYTES = 64
FORMAT_VERSION = 1

#: Header fields before the CRC: magic, kind, flags, payload length, producer, sequence number.
HEAD = struct.Struct("<HBBIQQ")
_CRC = struct.Struct("<I")
_SEGMENT = struct.Struct("<8sH6xQQQQ12x")
_MAGIC_BYTES = struct.pack("<H", FRAME_MAGIC)
_PADDING = tuple(b"\0" * n for n in range(FRAME_ALIGN_BYTES))


class Frame(NamedTuple):
    """One good frame as a reader sees it."""

    kind: int
    flags: int
    seq: int
    payload: memoryview


class Damage(NamedTuple):
    """Bytes that hold no good frame although good frames follow (or a whole one was expected)."""

    offset: int
    length: int


def frame_size(payload_bytes: int) -> int:
    """Return the bytes that a frame with such a payload takes, padding included."""
    return (FRAME_HEADER_BYTES + payload_bytes + 7) & ~7


def encode_frame(kind: int, producer: int, seq: int, payload: bytes, flags: int = 0) -> bytes:
    """Return one frame, padded to a multiple of 8 bytes."""
    head = HEAD.pack(FRAME_MAGIC, kind, flags, len(payload), producer, seq)
    crc = zlib.crc32(payload, zlib.crc32(head))
    padding = _PADDING[-(FRAME_HEADER_BYTES + len(payload)) & 7]
    return b"".join((head, _CRC.pack(crc), payload, padding))


def may_hold(data: bytes | memoryview, kind: int) -> bool:
    """Tell whether a blob of frames may hold one of a kind; cheap, and rarely yes by chance."""
    return struct.pack("<HBB", FRAME_MAGIC, kind, 0) in bytes(data)


def encode_segment_header(run_hash: int, producer: int, first_seq: int, created_ns: int) -> bytes:
    """Return the 64-byte header of a segment file."""
    body = _SEGMENT.pack(SEGMENT_MAGIC, FORMAT_VERSION, run_hash, producer, first_seq, created_ns)
    return body + _CRC.pack(zlib.crc32(body))


class SegmentHeader(NamedTuple):
    """Decoded header of a segment file."""

    version: int
    run_hash: int
    producer: int
    first_seq: int
    created_ns: int


def decode_segment_header(data: bytes | memoryview) -> SegmentHeader | None:
    """Return the header at the start of ``data``, or None when it is damaged or missing."""
    if len(data) < SEGMENT_HEADER_BYTES:
        return None
    body = bytes(data[: SEGMENT_HEADER_BYTES - 4])
    (crc,) = _CRC.unpack_from(data, SEGMENT_HEADER_BYTES - 4)
    if crc != zlib.crc32(body):
        return None
    magic, version, run_hash, producer, first_seq, created_ns = _SEGMENT.unpack(body)
    if magic != SEGMENT_MAGIC:
        return None
    return SegmentHeader(version, run_hash, producer, first_seq, created_ns)


class Scanner:
    """Iterates over the good frames in a buffer, going on behind damage.

    Args:
        data: the buffer; kept alive by the payload views that are handed out.
        start: where to begin; a multiple of 8.
        producer: only frames of this producer are good. None: the producer of the first
            good frame.

    After the iteration `good_end` is the offset behind the last good frame,
    `damages` what was skipped between good frames, and everything behind
    `good_end` the torn tail.
    """

    def __init__(
        self, data: bytes | bytearray | memoryview, start: int = 0, producer: int | None = None
    ) -> None:
        self._data = memoryview(data)
        self._start = start
        self.producer = producer
        self.good_end = start
        self.damages: list[Damage] = []

    def __iter__(self) -> Iterator[Frame]:
        data = self._data
        end = len(data)
        at = self._start
        unpack_head = HEAD.unpack_from
        unpack_crc = _CRC.unpack_from
        crc32 = zlib.crc32
        # Made-up headers could claim overlapping payloads without end: the work stays linear.
        patience_bytes = MAX_FRAME_PAYLOAD_BYTES + 8 * end
        while at + FRAME_HEADER_BYTES <= end:
            magic, kind, flags, length, producer, seq = unpack_head(data, at)
            body = at + FRAME_HEADER_BYTES
            stop = body + length
            if (
                magic == FRAME_MAGIC
                and stop <= end
                and length <= MAX_FRAME_PAYLOAD_BYTES
                and producer == (producer if self.producer is None else self.producer)
            ):
                payload = data[body:stop]
                (crc,) = unpack_crc(data, at + 24)
                if crc == crc32(payload, crc32(data[at : at + 24])):
                    self.producer = producer
                    if at != self.good_end:
                        self.damages.append(Damage(self.good_end, at - self.good_end))
                    at = (stop + 7) & ~7
                    self.good_end = at if at <= end else end
                    yield Frame(kind, flags, seq, payload)
                    continue
                patience_bytes -= length
                if patience_bytes < 0:
                    return
            at = self._next_candidate(at + FRAME_ALIGN_BYTES)

    def _next_candidate(self, at: int) -> int:
        """Return the next multiple of 8 at which a frame magic stands, or the end."""
        data = self._data
        chunk_bytes = 64 * 1024
        while at < len(data):
            chunk = bytes(data[at : at + chunk_bytes])
            found = chunk.find(_MAGIC_BYTES)
            while found != -1 and found % FRAME_ALIGN_BYTES:
                found = chunk.find(_MAGIC_BYTES, found + 1)
            if found != -1:
                return at + found
            at += chunk_bytes
        return len(data)
