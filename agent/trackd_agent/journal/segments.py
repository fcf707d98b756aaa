"""Segment files on disk: names, creation, whole writes, and finding the end after a crash.

Every call here that changes the disk goes through `os`, so that tests can stop, fail or forget
each of them one by one.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from trackd_proto.frames import (
    FRAME_ALIGN_BYTES,
    FRAME_HEADER_BYTES,
    FRAME_MAGIC,
    HEAD,
    MAX_FRAME_PAYLOAD_BYTES,
    Scanner,
    encode_segment_header,
    frame_size,
)
from trackd_proto.layout import SEGMENT_SUFFIX, segment_name

TORN_SUFFIX = ".torn"
#: Recovery looks at the end of a segment in windows that grow from this size.
TAIL_WINDOW_BYTES = 256 * 1024
_BIGGEST_FRAME_BYTES = frame_size(MAX_FRAME_PAYLOAD_BYTES)
_PROBE_BYTES = 64 * 1024
_MAGIC = FRAME_MAGIC.to_bytes(2, "little")


@dataclass(slots=True)
class Segment:
    """One segment file of a journal or spool."""

    path: Path
    first_seq: int
    size_bytes: int


def list_segments(folder: Path) -> list[Segment]:
    """Return the segments in a folder, oldest first; other files are ignored."""
    found: list[Segment] = []
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            number = entry.name.removesuffix(SEGMENT_SUFFIX)
            if number == entry.name or not (number.isascii() and number.isdigit()):
                continue
            with suppress(FileNotFoundError):  # released meanwhile
                size_bytes = entry.stat(follow_symlinks=False).st_size
                found.append(Segment(Path(entry.path), int(number), size_bytes))
    return sorted(found, key=lambda segment: segment.first_seq)


def create_segment(folder: Path, run_hash: int, producer: int, first_seq: int) -> tuple[Path, int]:
    """Create a segment that holds only its header; return its path and its open descriptor.

    Raises:
        OSError: it could not be created; nothing is left behind.
    """
    path = folder / segment_name(first_seq)
    with suppress(FileNotFoundError):
        path.unlink()  # left by an attempt that failed half-way; the owner knows every real one
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        write_whole(descriptor, encode_segment_header(run_hash, producer, first_seq, _now_ns()))
    except BaseException:
        os.close(descriptor)
        with suppress(OSError):
            path.unlink()
        raise
    return path, descriptor


def _now_ns() -> int:
    return time.time_ns()


def write_whole(descriptor: int, data: bytes | memoryview) -> None:
    """Append all of `data`, however many calls that takes.

    Raises:
        OSError: some or all of it was not written; the caller cuts the file back.
    """
    written = 0
    while True:
        try:
            count = os.write(descriptor, memoryview(data)[written:] if written else data)
        except InterruptedError:
            continue
        if not count:
            raise OSError(errno.EIO, "write() took nothing")
        written += count
        if written >= len(data):
            return


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def skip_frames(frames: memoryview, count: int) -> memoryview:
    """Return what follows the first `count` frames of a blob; empty when there are not so many."""
    at = 0
    unpack_from = HEAD.unpack_from
    for _ in range(count):
        if at + FRAME_HEADER_BYTES > len(frames):
            return frames[len(frames) :]
        at += (FRAME_HEADER_BYTES + unpack_from(frames, at)[3] + 7) & ~7
    return frames[at:]


def frame_bytes_at(data: bytes | memoryview, producer: int | None, at: int = 0) -> int:
    """Return the size that a frame header at `at` claims; 0 where there is none of the producer."""
    if at + FRAME_HEADER_BYTES > len(data):
        return 0
    magic, _, _, length, owner, _ = HEAD.unpack_from(data, at)
    if magic != FRAME_MAGIC or length > MAX_FRAME_PAYLOAD_BYTES or owner != (producer or owner):
        return 0
    return frame_size(length)


def find_frame_that_crosses_end(data: bytes, producer: int | None) -> int:
    """Return where behind the start a frame may begin that reaches beyond the end of `data`.

    Without one: the last multiple of 8 from which a header would reach beyond the end.
    """
    last = (len(data) - FRAME_HEADER_BYTES) & ~(FRAME_ALIGN_BYTES - 1)
    found = data.find(_MAGIC, FRAME_ALIGN_BYTES)
    while 0 <= found < last:
        if not found % FRAME_ALIGN_BYTES:
            claimed = frame_bytes_at(data, producer, found)
            if found + claimed > len(data):
                return found
        found = data.find(_MAGIC, found + 1)
    return max(last, FRAME_ALIGN_BYTES)


def find_seq(descriptor: int, start: int, end: int, seq: int, producer: int | None) -> int:
    """Return an offset from which every frame behind `seq` can be read, found by bisection.

    Numbers grow along a segment, so one good frame in the middle tells which half to take. Where
    the middle shows none, the later half is given up as a hint only: less is skipped.
    """
    while end - start > 2 * _PROBE_BYTES:
        middle = (start + end) // 2 & ~(FRAME_ALIGN_BYTES - 1)
        scanner = Scanner(os.pread(descriptor, _PROBE_BYTES, middle), producer=producer)
        frame = next(iter(scanner), None)
        if frame is None or frame.seq > seq:
            end = middle
        else:
            start = middle
    return start
