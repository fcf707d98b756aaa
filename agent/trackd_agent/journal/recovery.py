"""What a journal does when it is opened after any kind of death: find its end, cut what is torn.

Only the end is looked at, so a journal of gigabytes opens in milliseconds. Damage in the middle
stays where it is; readers skip and report it.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackd_agent.journal.segments import TORN_SUFFIX, Segment, list_segments, write_whole
from trackd_proto.frames import (
    FRAME_ALIGN_BYTES,
    FRAME_MAGIC,
    HEAD,
    MAX_FRAME_PAYLOAD_BYTES,
    SEGMENT_HEADER_BYTES,
    Scanner,
    decode_segment_header,
    encode_segment_header,
    frame_size,
)

if TYPE_CHECKING:
    from pathlib import Path

#: Recovery looks at the end of a segment in windows that grow from this size.
TAIL_WINDOW_BYTES = 256 * 1024
_BIGGEST_FRAME_BYTES = frame_size(MAX_FRAME_PAYLOAD_BYTES)


@dataclass(slots=True)
class Recovered:
    """A journal as it can go on."""

    segments: list[Segment]
    descriptor: int = -1  # of the newest segment, for appending; -1: there is none
    last_seq: int = 0
    torn_bytes: int = 0  # kept aside


def recover(folder: Path, run_hash: int, producer: int, torn_max_bytes: int) -> Recovered:
    """Find the last good frame of the journal in `folder` and cut what is torn behind it.

    Raises:
        OSError: the disk refused; trying again later is safe.
    """
    end = Recovered(list_segments(folder))
    while end.segments:
        newest = end.segments[-1]
        descriptor = os.open(newest.path, os.O_RDWR | os.O_APPEND)
        try:
            tail = _scan_tail(descriptor, producer)
            if tail.torn_bytes:
                end.torn_bytes += _keep_torn_tail(
                    newest.path, descriptor, tail.good_end, torn_max_bytes
                )
            if tail.last_seq is None and len(end.segments) > 1:
                # Created, and the crash came before its first frame: the one before decides.
                newest.path.unlink()
                end.segments.pop()
                os.close(descriptor)
                continue
            _cut(newest, descriptor, tail, run_hash, producer)
        except BaseException:
            os.close(descriptor)
            raise
        end.descriptor = descriptor
        # The name of an empty segment keeps the number that the released ones had reached.
        end.last_seq = newest.first_seq - 1 if tail.last_seq is None else tail.last_seq
        break
    return end


def lost_in_tail(folder: Path, last_seq: int) -> bool:
    """Tell whether a tail that was cut held a record that the journal has not got since.

    Args:
        folder: of the journal.
        last_seq: the last number that it holds now.
    """
    for path in folder.glob("*" + TORN_SUFFIX):
        torn = path.read_bytes()[: HEAD.size]
        if len(torn) < HEAD.size:
            return True
        magic, _, _, _, _, seq = HEAD.unpack(torn)
        if magic != FRAME_MAGIC or seq > last_seq:
            return True
    return False


def _cut(newest: Segment, descriptor: int, tail: _TailScan, run_hash: int, producer: int) -> None:
    """Cut the newest segment to its good part, a whole header at least."""
    if tail.torn_bytes:
        os.ftruncate(descriptor, tail.good_end)
    if tail.good_end < SEGMENT_HEADER_BYTES:
        os.ftruncate(descriptor, 0)
        header = encode_segment_header(run_hash, producer, newest.first_seq, time.time_ns())
        write_whole(descriptor, header)
    newest.size_bytes = max(tail.good_end, SEGMENT_HEADER_BYTES)


@dataclass(slots=True)
class _TailScan:
    """Where the good part of a segment ends."""

    last_seq: int | None  # of the last good frame; None: there is none
    good_end: int  # offset behind it; of the header, if whole, when there is none
    size_bytes: int

    @property
    def torn_bytes(self) -> int:
        """Bytes behind the good part."""
        return self.size_bytes - self.good_end


def _scan_tail(descriptor: int, producer: int) -> _TailScan:
    """Find the last good frame of a segment, looking from its end, not through all of it.

    The window starts at any multiple of 8: the scanner finds the first frame in it by itself,
    and no piece of a payload passes for a frame without the producer's 64 random bits and a CRC.
    """
    size_bytes = os.fstat(descriptor).st_size
    header = decode_segment_header(os.pread(descriptor, SEGMENT_HEADER_BYTES, 0))
    first = SEGMENT_HEADER_BYTES if header else 0
    window_bytes = TAIL_WINDOW_BYTES
    end = size_bytes
    while True:
        start = max(first, (end - window_bytes) & ~(FRAME_ALIGN_BYTES - 1))
        # A frame that starts in the window may end behind it: later windows overlap the earlier.
        data = os.pread(descriptor, window_bytes + _BIGGEST_FRAME_BYTES, start)
        scanner = Scanner(data, producer=producer)
        last_seq = None
        for frame in scanner:
            last_seq = frame.seq
        if last_seq is not None:
            return _TailScan(last_seq, start + scanner.good_end, size_bytes)
        if start <= first:
            return _TailScan(None, first, size_bytes)
        end = start
        window_bytes *= 2


def _keep_torn_tail(segment: Path, descriptor: int, start: int, max_bytes: int) -> int:
    """Copy what stands behind `start` beside the segment, for inspection; return its bytes.

    Zeros are no content: nothing is kept of them. Best effort: a full disk must not stop recovery.
    """
    kept = os.pread(descriptor, max_bytes, start).rstrip(b"\0")
    if kept:
        with suppress(OSError):
            segment.with_name(segment.name + TORN_SUFFIX).write_bytes(kept)
    return len(kept)
