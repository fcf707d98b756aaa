"""Readers: whole frames in order, behind damage too, never more than a slice in memory.

A reader walks over segment files by `pread` (what was just appended comes from the page cache),
drops what it has had by sequence number, and counts what it had to leave out.
"""

from __future__ import annotations

import itertools
import operator
import os
from typing import TYPE_CHECKING

from trackd_agent.journal.segments import (
    Segment,
    find_frame_that_crosses_end,
    find_seq,
    frame_bytes_at,
    list_segments,
)
from trackd_proto.frames import (
    FRAME_ALIGN_BYTES,
    SEGMENT_HEADER_BYTES,
    Damage,
    Frame,
    Scanner,
    decode_segment_header,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trackd_agent.journal.journal import Journal

DEFAULT_SLICE_BYTES = 256 * 1024
_SEQ_OF = operator.attrgetter("seq")
_SMALLEST_SLICE_BYTES = 4096
#: How many claimed frames that reach beyond a slice are tried in one damaged slice: enough for
#: any accident, and a bound on the work that a hostile writer can cause.
_CROSSINGS_TRIED = 16


class SegmentReader:
    """Follows the segments of one producer; base of the readers below.

    Attributes:
        position_seq: the last number that was handed out, or skipped for good.
        damages: what held no good frame, by offset in its segment.
        missing: ranges of numbers that are nowhere, first and last included.
        torn_bytes: what stands behind the last good frame of all.
    """

    def __init__(self, producer: int | None, after_seq: int) -> None:
        self.position_seq = after_seq
        self.producer = producer
        self.damages: list[Damage] = []
        self.missing: list[tuple[int, int]] = []
        self.torn_bytes = 0
        self._segment: Segment | None = None
        self._is_sealed = False  # a newer segment was seen: this one will not change any more
        self._descriptor = -1
        self._at = 0
        self._skipped_from = -1  # where the damage starts that the reader is in; -1: none
        self._skipped_content_end = -1  # behind the last byte of it that is not zero
        self._crossings_tried = 0

    def close(self) -> None:
        """Close the open file. Reading on is possible: it starts at `position_seq` again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self._segment = None

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            self.close()

    def read(self, max_bytes: int = DEFAULT_SLICE_BYTES) -> list[Frame]:
        """Return the next frames, about `max_bytes` of them (a single frame may be larger).

        An empty list says that the reader has caught up; later calls go on.
        """
        max_bytes = max(max_bytes, _SMALLEST_SLICE_BYTES) & ~(FRAME_ALIGN_BYTES - 1)
        while self._segment is not None or self._open_next():
            frames = self._read_slice(max_bytes)
            if frames is None:
                if not self._leave_segment():
                    break
            elif fresh := self._take_new(frames):
                return fresh
        return []

    # -- what the kinds of readers differ in -----------------------------------------------

    def _segments(self) -> Sequence[Segment]:
        """Return the segments that are there now, oldest first."""
        raise NotImplementedError

    def _readable_bytes(self) -> int:
        """Return how far the open segment may be read."""
        raise NotImplementedError

    def _is_final(self) -> bool:
        """Return whether the readable bytes of the open segment will never change."""
        raise NotImplementedError

    def _end_seq(self) -> int:
        """Return the number that a reader which has caught up stands at; 0: nobody knows."""
        return 0

    # -- within one segment ----------------------------------------------------------------

    def _read_slice(self, max_bytes: int) -> list[Frame] | None:
        """Return the next good frames of the open segment; None at its present end."""
        want_bytes = max_bytes
        while (left_bytes := self._readable_bytes() - self._at) > 0:
            data = os.pread(self._descriptor, min(want_bytes, left_bytes), self._at)
            if not data:
                return None
            scanner = Scanner(data, producer=self.producer)
            frames = list(scanner)
            if frames:
                self.producer = scanner.producer
                self._take_damages(scanner.damages)
                self._at += scanner.good_end
                return frames
            frame_bytes = frame_bytes_at(data, self.producer)
            if len(data) < frame_bytes <= left_bytes and want_bytes <= max_bytes:
                want_bytes = frame_bytes  # one frame that is larger than the slice
                continue
            if not self._is_final():
                return None  # a frame may come to stand here
            is_last = len(data) >= left_bytes
            want_bytes = max_bytes
            self._skip(data[:max_bytes], is_last=is_last and len(data) <= max_bytes)
        return None

    def _skip(self, data: bytes, *, is_last: bool) -> None:
        """Go on behind a slice without a good frame, or at one that may cross its end."""
        step = len(data)
        if not is_last:
            step &= ~(FRAME_ALIGN_BYTES - 1)
            if self._crossings_tried < _CROSSINGS_TRIED:
                step = find_frame_that_crosses_end(data, self.producer)
                self._crossings_tried += 1
            else:
                self._crossings_tried = 0
        if self._skipped_from < 0:
            self._skipped_from = self._at
        if content_bytes := len(data[:step].rstrip(b"\0")):
            self._skipped_content_end = self._at + content_bytes
        self._at += step

    def _take_damages(self, damages: list[Damage]) -> None:
        """Note what was skipped before the good frames that were now found."""
        self._crossings_tried = 0
        for offset, length in damages:
            if offset == 0 and self._skipped_from >= 0:
                length += self._at - self._skipped_from
                offset -= self._at - self._skipped_from
                self._skipped_from = -1
            self.damages.append(Damage(self._at + offset, length))
        if self._skipped_from >= 0:
            self.damages.append(Damage(self._skipped_from, self._at - self._skipped_from))
        self._skipped_from = self._skipped_content_end = -1

    def _take_new(self, frames: list[Frame]) -> list[Frame]:
        """Return the frames that were not handed out before, and note numbers left out."""
        position = self.position_seq
        if all(map(operator.eq, map(_SEQ_OF, frames), itertools.count(position + 1))):
            self.position_seq = position + len(frames)  # as usual: nothing to drop or to note
            return frames
        fresh: list[Frame] = []
        for frame in frames:
            seq = frame.seq
            if seq <= position:
                continue
            if seq != position + 1:
                self.missing.append((position + 1, seq - 1))
            fresh.append(frame)
            position = seq
        self.position_seq = position
        return fresh

    # -- from segment to segment -----------------------------------------------------------

    def _open_next(self) -> bool:
        """Open the segment that may hold the next number, or else the first behind it."""
        segments = self._segments()
        first = 0
        for index, segment in enumerate(segments):
            if segment.first_seq <= self.position_seq + 1:
                first = index
        return any(self._open(segment) for segment in segments[first:])

    def _open(self, segment: Segment) -> bool:
        try:
            descriptor = os.open(segment.path, os.O_RDONLY)
        except FileNotFoundError:  # released meanwhile; its numbers show as missing, if they were
            return False
        self.close()
        self._descriptor = descriptor
        self._segment = segment
        self._is_sealed = False
        header = decode_segment_header(os.pread(descriptor, SEGMENT_HEADER_BYTES, 0))
        self._at = SEGMENT_HEADER_BYTES if header else 0
        if self.producer is None and header:
            self.producer = header.producer
        if segment.first_seq <= self.position_seq:
            end = self._readable_bytes()
            self._at = find_seq(descriptor, self._at, end, self.position_seq, self.producer)
        return True

    def _leave_segment(self) -> bool:
        """Go on to the next segment; False when there is none (yet)."""
        assert self._segment is not None
        following = [s for s in self._segments() if s.first_seq > self._segment.first_seq]
        if following and not self._is_sealed:
            self._is_sealed = True  # it may have grown before the newer one was made: look again
            return True
        if not following:
            self._note_end()
            return False
        self._note_skipped(torn=False)
        if not any(self._open(segment) for segment in following):
            self.close()
        return self._descriptor >= 0

    def _note_skipped(self, *, torn: bool) -> None:
        """Judge what was skipped up to the end of a segment: zeros are only unused space."""
        if self._skipped_content_end >= 0:
            length = self._skipped_content_end - self._skipped_from
            if torn:
                self.torn_bytes += length
            else:
                self.damages.append(Damage(self._skipped_from, length))
        self._skipped_from = self._skipped_content_end = -1

    def _note_end(self) -> None:
        """Note what is missing at the present end of the last segment."""
        end_seq = self._end_seq()
        if end_seq > self.position_seq:
            self.missing.append((self.position_seq + 1, end_seq))
            self.position_seq = end_seq
        self._note_skipped(torn=not end_seq)


class JournalReader(SegmentReader):
    """Follows a living journal; belongs to the journal's owner thread.

    What the journal acknowledged is final, so a reader that has caught up always stands at
    `journal.last_seq`: numbers that turned out unreadable are in `missing`.
    """

    def __init__(self, journal: Journal, after_seq: int) -> None:
        super().__init__(journal.producer, after_seq)
        self._journal = journal

    def _segments(self) -> Sequence[Segment]:
        return self._journal.segments

    def _readable_bytes(self) -> int:
        assert self._segment is not None
        return self._segment.size_bytes

    def _is_final(self) -> bool:
        return True

    def _end_seq(self) -> int:
        return self._journal.last_seq


class FolderReader(SegmentReader):
    """Reads a journal or spool folder that nobody, or somebody else, writes to."""

    def __init__(self, folder: Path, producer: int | None, after_seq: int, *, live: bool) -> None:
        super().__init__(producer, after_seq)
        self._folder = folder
        self._live = live

    def _segments(self) -> Sequence[Segment]:
        segments = list_segments(self._folder)
        for segment in segments:
            segment.first_seq = _first_seq_by_header(segment)
        return sorted(segments, key=lambda segment: segment.first_seq)

    def _readable_bytes(self) -> int:
        return os.fstat(self._descriptor).st_size

    def _is_final(self) -> bool:
        return self._is_sealed or not self._live


def _first_seq_by_header(segment: Segment) -> int:
    """Return what the header says; the name of a copied file may be wrong."""
    try:
        with segment.path.open("rb", buffering=0) as file:
            header = decode_segment_header(file.read(SEGMENT_HEADER_BYTES))
    except FileNotFoundError:
        header = None
    return header.first_seq if header else segment.first_seq


def read_folder(
    folder: Path, producer: int | None = None, after_seq: int = 0, *, live: bool = False
) -> FolderReader:
    """Return a reader of a journal or spool folder without opening it as a journal.

    Args:
        folder: where the segments lie; changed in no way.
        producer: whose frames count; None: whoever the first segment belongs to.
        after_seq: the last number that the caller has.
        live: somebody may be writing: what is not a frame yet may become one. Otherwise the
            end of the files is the end of the log.
    """
    return FolderReader(folder, producer, after_seq, live=live)
