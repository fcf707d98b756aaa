"""The rank's own copy of what it logged: a bounded queue of frames in mapped segment files.

A frame (`trackd_proto.frames`) that `append` stored survives SIGKILL of this process, because
the segment is a shared mapping of a preallocated file. The sender reads the same frames and
drops whole segments once the agent holds them durably.

Threads: any number of writers (serialised by one lock that is never held across I/O, except
where a segment must be made on the spot) and one reader, the sender. The reader takes no lock:
`Segment.tail` and `Segment.next` are published by single attribute stores, in that order of
meaning: when `next` is set, `tail` is final.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
import threading
import time
import zlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackd_proto import layout
from trackd_proto.frames import (
    FRAME_HEADER_BYTES,
    FRAME_MAGIC,
    HEAD,
    MAX_FRAME_PAYLOAD_BYTES,
    SEGMENT_HEADER_BYTES,
    encode_segment_header,
    frame_size,
)
from trackd_proto.records import Gap, Kind, encode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PACK_HEAD = HEAD.pack
_PACK_CRC = struct.Struct("<I").pack
#: An attempt to make a segment that failed (full disk) is repeated at most this often.
_RETRY_S = 0.1
_FULL_POLL_S = 0.005
#: Room kept for one GAP record, so that the end of a loss can always be written.
_GAP_BYTES = 128
#: From this size on a record is written by a system call, which copies it three times as fast as
#: a store into pages of the mapping that were never touched.
_LARGE_BYTES = 16 * 1024
#: Full segments that stay mapped. A mapping holds a descriptor, and a process has few of these.
_MAPPED_SEGMENTS = 4
#: Room that a segment keeps for the end of the run: a GAP and an EXIT record, whatever the disk.
_END_BYTES = 2 * _GAP_BYTES


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """How large a spool may become and what happens then."""

    segment_bytes: int = 1 << 20
    max_bytes: int = 1 << 30
    #: Longest time that one `append` waits for room before it drops.
    max_block_s: float = 1.0


class Segment:
    """One mapped segment file."""

    __slots__ = ("capacity", "descriptor", "first_seq", "map", "next", "path", "tail")

    def __init__(self, path: Path, capacity: int) -> None:
        self.path = path
        self.capacity = capacity
        self.first_seq = 0
        self.next: Segment | None = None
        #: Offset behind the last whole frame, and its sequence number.
        self.tail: tuple[int, int] = (SEGMENT_HEADER_BYTES, 0)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        #: Open while it is written.
        self.descriptor = os.open(path, flags, 0o600)
        try:
            # Reserving the blocks now makes a full disk an error here, and never a SIGBUS later.
            os.posix_fallocate(self.descriptor, 0, capacity)
            self.map = mmap.mmap(self.descriptor, capacity)
        except OSError:
            self.seal()
            path.unlink(missing_ok=True)
            raise

    def write(self, at: int, head: bytes, payload: bytes | bytearray) -> bool:
        """Write a large frame; False where that does not work, and the mapping has to do."""
        try:
            return os.pwritev(self.descriptor, (head, payload), at) == len(head) + len(payload)
        except OSError:
            return False

    def seal(self) -> None:
        """Nothing more is written."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def unmap(self) -> None:
        """Give up the mapping and its descriptor until somebody reads."""
        self.seal()
        self.map.close()

    def content(self) -> mmap.mmap:
        """Return the mapping, made anew where it was given up.

        Raises:
            OSError: the file is gone, or the process has no descriptor left.
        """
        if self.map.closed:
            with self.path.open("rb") as file:
                self.map = mmap.mmap(file.fileno(), self.capacity, access=mmap.ACCESS_READ)
        return self.map

    def discard(self) -> None:
        """Unmap and delete the file."""
        self.unmap()
        self.path.unlink(missing_ok=True)


class Spool:
    """A bounded, crash-safe queue of frames of one producer.

    Args:
        folder: made here; belongs to this producer alone.
        producer: identity of the record sequence.
        run_hash: see `trackd_proto.layout.run_hash`.
        limits: bounds.
        is_drained: tells whether somebody takes frames away at the moment; only then is it
            worth to wait for room.

    Raises:
        OSError: the folder or its first segment cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        producer: int,
        run_hash: int,
        limits: SpoolLimits | None = None,
        is_drained: Callable[[], bool] = lambda: False,
    ) -> None:
        self.folder = folder
        self.producer = producer
        self.is_drained = is_drained
        self.last_seq = 0
        #: Records that were not stored, by reason, since the start.
        self.dropped: dict[str, int] = {}
        self._run_hash = run_hash
        self._limits = limits or SpoolLimits()
        self._lock = threading.RLock()
        self._appending = False
        self._deferred: list[tuple[int, bytes]] = []
        self._reserve_bytes = _END_BYTES
        self._unreported = 0  # dropped records that no GAP record tells of yet
        self._gap_reason = ""
        self._retry_at = 0.0
        self._closed = False
        self._maintenance = threading.Lock()
        self._prepared: deque[Segment] = deque()  # at most one; popping it is atomic
        self._full: deque[Segment] = deque()  # mapped still
        self._size_lock = threading.Lock()
        self._size_bytes = 0
        layout.make_private(folder.parent)
        folder.mkdir(mode=0o700)
        self._lock_fd = _hold_lock(folder / layout.SPOOL_LOCK)
        self._head = self._tail = self._make_segment(self._limits.segment_bytes)
        self._install(self._tail, 1)
        self._map: mmap.mmap | _Nowhere = self._tail.map
        self._at = SEGMENT_HEADER_BYTES
        self._usable_bytes = self._tail.capacity - _END_BYTES

    # --- writers -----------------------------------------------------------------------------

    def append(self, kind: int, payload: bytes | bytearray) -> bool:
        """Store one record; return False when there was no room and it was dropped.

        The payload belongs to the caller again afterwards.
        """
        with self._lock:
            if self._appending:
                # A signal handler or finaliser interrupted this very thread inside `append`.
                self._deferred.append((kind, bytes(payload)))
                return True
            self._appending = True
            try:
                return self._store(kind, payload)
            finally:
                try:
                    # Also when a handler recorded something and then raised (KeyboardInterrupt).
                    while self._deferred:
                        self._store(*self._deferred[0])
                        del self._deferred[0]
                finally:
                    self._appending = False

    def _store(self, kind: int, payload: bytes | bytearray) -> bool:
        length = len(payload)
        at = self._at
        end = (at + FRAME_HEADER_BYTES + length + 7) & ~7
        if (end > self._usable_bytes or self._unreported) and not self._make_room(length):
            return False
        at = self._at
        end = (at + FRAME_HEADER_BYTES + length + 7) & ~7
        seq = self.last_seq + 1
        head = _PACK_HEAD(FRAME_MAGIC, kind, 0, length, self.producer, seq)
        crc = zlib.crc32(payload, zlib.crc32(head))
        head += _PACK_CRC(crc)
        if length < _LARGE_BYTES or not self._tail.write(at, head, payload):
            self._map[at : at + FRAME_HEADER_BYTES + length] = head + payload
        # Published only now: a signal that raises above this line leaves nothing half-visible.
        self._tail.tail = (end, seq)
        self._at = end
        self.last_seq = seq
        return True

    def _make_room(self, length: int) -> bool:
        """Make the next frame fit; count it as dropped when that is not possible."""
        if self._closed:
            return False
        if length > MAX_FRAME_PAYLOAD_BYTES:
            return self._drop("record_too_large")
        if self._fits(length):
            return self._report_gap()
        if self._roll_in_time(frame_size(length)):
            return self._report_gap()
        return False

    def _fits(self, length: int) -> bool:
        return self._at + frame_size(length) + self._gap_reserve() <= self._usable_bytes

    def _gap_reserve(self) -> int:
        return _GAP_BYTES if self._unreported else 0

    def _report_gap(self) -> bool:
        count, self._unreported = self._unreported, 0
        if count:
            self._store(Kind.GAP, encode(Gap(count, self._gap_reason)))
        return True

    def _roll_in_time(self, size: int) -> bool:
        """Roll to a new segment, waiting for room where that can help."""
        now = time.monotonic()
        if self._unreported and now < self._retry_at:
            return self._drop(self._gap_reason)
        # Only the first drop of a loss waits: a caller must not be slowed down row by row.
        may_wait = not self._unreported and self.is_drained()
        deadline = now + (self._limits.max_block_s if may_wait else 0.0)
        while True:
            try:
                if self._roll(size + _GAP_BYTES):
                    return True
                reason = "spool_full"
            except OSError:
                reason = "disk_full"
            if time.monotonic() >= deadline:
                self._retry_at = time.monotonic() + _RETRY_S
                return self._drop(reason)
            time.sleep(_FULL_POLL_S)

    def _roll(self, size: int) -> bool:
        """Go on in a new segment; False when the spool is as large as it may be."""
        prepared = self._prepared.popleft() if self._prepared else None
        need = SEGMENT_HEADER_BYTES + size + self._reserve_bytes
        if prepared is not None and need > prepared.capacity:
            self._forget(prepared)
            prepared = None
        if prepared is None:
            capacity = max(self._limits.segment_bytes, -(-need // 4096) * 4096)
            if self._size_bytes + capacity > self._limits.max_bytes:
                return False
            prepared = self._make_segment(capacity)
        if self._at == SEGMENT_HEADER_BYTES:
            # The frame is too large for a segment that is still empty: both would have one name.
            self._tail.path = self._tail.path.rename(self._tail.path.with_suffix(".empty"))
        self._install(prepared, self.last_seq + 1)
        self._tail.next = prepared
        self._tail.seal()
        self._full.append(self._tail)
        self._tail = prepared
        self._map = prepared.map
        self._at = SEGMENT_HEADER_BYTES
        self._usable_bytes = prepared.capacity - self._reserve_bytes
        return True

    def _drop(self, reason: str) -> bool:
        self._unreported += 1
        self._gap_reason = reason
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        return False

    def settle(self) -> None:
        """Write the GAP record of a loss that nothing followed, and open the reserve for the end.

        To be called once, before the EXIT record. Where a signal handler ends the run in the
        middle of an `append` of this very thread, that record comes too late: what the handler
        records from now on is stored at once.
        """
        with self._lock:
            self._appending = False
            while self._deferred:
                self._store(*self._deferred.pop(0))
            self._reserve_bytes = 0
            self._usable_bytes = self._tail.capacity
            if self._unreported and (self._fits(0) or self._roll_quietly()):
                self._report_gap()

    def _roll_quietly(self) -> bool:
        try:
            return self._roll(_GAP_BYTES)
        except OSError:
            return False

    # --- segments ----------------------------------------------------------------------------

    def _make_segment(self, capacity: int) -> Segment:
        name = f"prepared-{os.getpid()}-{time.monotonic_ns()}.tmp"
        segment = Segment(self.folder / name, capacity)
        with self._size_lock:
            self._size_bytes += capacity
        return segment

    def _install(self, segment: Segment, first_seq: int) -> None:
        header = encode_segment_header(self._run_hash, self.producer, first_seq, time.time_ns())
        segment.map[:SEGMENT_HEADER_BYTES] = header
        segment.first_seq = first_seq
        segment.tail = (SEGMENT_HEADER_BYTES, first_seq - 1)
        path = self.folder / layout.segment_name(first_seq)
        segment.path.rename(path)
        segment.path = path

    def _forget(self, segment: Segment) -> None:
        with self._size_lock:
            self._size_bytes -= segment.capacity
        segment.discard()

    # --- the reader --------------------------------------------------------------------------

    @property
    def size_bytes(self) -> int:
        """Bytes of all segment files."""
        return self._size_bytes

    @property
    def first_segment(self) -> Segment:
        """Oldest segment still there."""
        return self._head

    def prepare(self) -> None:
        """Have the next segment ready before a writer needs it; called by the sender."""
        with self._maintenance:
            if self._closed:
                return
            while len(self._full) > _MAPPED_SEGMENTS:
                self._full.popleft().unmap()
            segment_bytes = self._limits.segment_bytes
            half_full = self._at * 2 > self._tail.capacity
            room = self._size_bytes + segment_bytes <= self._limits.max_bytes
            if not self._prepared and half_full and room:
                # On a full disk the writer meets the same error at its roll, and counts there.
                with contextlib.suppress(OSError):
                    self._prepared.append(self._make_segment(segment_bytes))

    def trim(self, acked_seq: int) -> None:
        """Delete the segments of which every frame is acknowledged, except the newest."""
        with self._maintenance:
            while (following := self._head.next) is not None and self._head.tail[1] <= acked_seq:
                done, self._head = self._head, following
                self._forget(done)

    # --- the end -----------------------------------------------------------------------------

    def close(self, *, delete: bool) -> None:
        """Give the folder up.

        Args:
            delete: the agent holds everything: remove the files. Otherwise they stay, for an
                agent that comes later.
        """
        with self._lock, self._maintenance:
            self._closed = True
            # Who comes late, such as an `append` that a signal handler interrupted, writes nowhere.
            self._usable_bytes = 0
            self._map = _Nowhere()
            while self._prepared:
                self._forget(self._prepared.popleft())
            segment: Segment | None = self._head
            while segment is not None:
                segment.discard() if delete else segment.unmap()
                segment = segment.next
            if delete:
                (self.folder / layout.SPOOL_LOCK).unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # a foreign file in it: the agent sweeps
                    self.folder.rmdir()
            os.close(self._lock_fd)

    def abandon_in_child(self) -> None:
        """Drop the inherited lock in a forked child; the parent's lock and files stay as they are.

        A plain close: `LOCK_UN` would release the parent's lock too, and an open inherited
        descriptor would keep the lock when the parent dies.
        """
        os.close(self._lock_fd)
        self._tail.seal()


class _Nowhere:
    """Takes the place of the mapped file of a spool that is closed."""

    def __setitem__(self, where: slice, content: bytes) -> None:
        """Forget it."""


def _hold_lock(path: Path) -> int:
    """Return a descriptor whose exclusive lock tells the agent that this process lives."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor
