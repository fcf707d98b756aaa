"""The sender's way through a spool: whole frames in order, in pieces."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from trackd_proto.frames import SEGMENT_HEADER_BYTES, frame_size

if TYPE_CHECKING:
    from trackd.recording.spool import Segment, Spool

_UNPACK_LENGTH = struct.Struct("<I").unpack_from
_LENGTH_OFFSET = 4


class Piece(NamedTuple):
    """Consecutive whole frames of one segment."""

    first_seq: int
    frame_count: int
    segment: Segment
    start: int
    end: int

    @property
    def size_bytes(self) -> int:
        """Length of the frames together."""
        return self.end - self.start

    def frames(self) -> bytes:
        """Return the frames."""
        return self.segment.content()[self.start : self.end]


class SpoolReader:
    """The sender's position in a spool: hands out consecutive frames in pieces."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._segment = spool.first_segment
        self._offset = SEGMENT_HEADER_BYTES
        self.next_seq = self._segment.first_seq

    def seek(self, after_seq: int) -> bool:
        """Go on behind this sequence number; False when frames before it are already gone."""
        segment = self._spool.first_segment
        found = segment.first_seq <= after_seq + 1
        while segment.next is not None and segment.tail[1] <= after_seq:
            segment = segment.next
        self._segment = segment
        self._offset = SEGMENT_HEADER_BYTES
        self.next_seq = segment.first_seq
        end, last = segment.tail
        while self.next_seq <= min(after_seq, last) and self._offset < end:
            self._offset += self._frame_bytes(segment, self._offset)
            self.next_seq += 1
        return found

    def read(self, max_bytes: int, max_frames: int) -> Piece | None:
        """Return the next frames, or None when caught up.

        At least one frame is returned where there is one, however large it is.
        """
        while True:
            segment = self._segment
            following = segment.next  # read first: when it is set, the tail is final
            end, last = segment.tail
            if self._offset < end:
                break
            if following is None:
                return None
            self._segment = following
            self._offset = SEGMENT_HEADER_BYTES
            self.next_seq = following.first_seq
        first, start = self.next_seq, self._offset
        if end - start > max_bytes or last - first >= max_frames:
            end, last = self._cut(segment, max_bytes, max_frames)
        self._offset = end
        self.next_seq = last + 1
        return Piece(first, last - first + 1, segment, start, end)

    def _cut(self, segment: Segment, max_bytes: int, max_frames: int) -> tuple[int, int]:
        at, seq = self._offset, self.next_seq
        at += self._frame_bytes(segment, at)
        end = segment.tail[0]
        for _ in range(max_frames - 1):
            if at >= end:
                break
            following = at + self._frame_bytes(segment, at)
            if following - self._offset > max_bytes:
                break
            at = following
            seq += 1
        return at, seq

    @staticmethod
    def _frame_bytes(segment: Segment, offset: int) -> int:
        (length,) = _UNPACK_LENGTH(segment.content(), offset + _LENGTH_OFFSET)
        return frame_size(length)
