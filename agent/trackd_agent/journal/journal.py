"""The journal of one producer: appended by one owner, followed by readers, released by segment."""

from __future__ import annotations

import os
import threading
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Self

from trackd_agent.core.errors import InvalidRequest, JournalFull
from trackd_agent.journal.checkpoints import generation_of
from trackd_agent.journal.reader import JournalReader
from trackd_agent.journal.recovery import recover
from trackd_agent.journal.segments import (
    TORN_SUFFIX,
    Segment,
    create_segment,
    skip_frames,
    sync_folder,
    write_whole,
)
from trackd_proto.frames import (
    FRAME_ALIGN_BYTES,
    FRAME_MAGIC,
    HEAD,
    SEGMENT_HEADER_BYTES,
    encode_frame,
)

if TYPE_CHECKING:
    from pathlib import Path

    from trackd_agent.journal.config import JournalConfig

_SMALLEST_FRAME_BYTES = 32
_RETRY_AFTER_S = 1.0


class Receipt(NamedTuple):
    """Answer to a received blob."""

    acked_seq: int  # highest sequence number that the journal holds
    rewind: bool  # the blob left a gap: nothing was taken, the rank resends from acked_seq + 1


class Journal:
    """Append-only log of one producer in a folder of its own.

    One owner thread calls everything; `sync` alone may run in another thread meanwhile. Dirty
    data and new names reach the disk with `sync`, which the owner calls every
    `config.sync_interval_s` while `is_dirty`.
    """

    def __init__(self, folder: Path, producer: int, run_hash: int, config: JournalConfig) -> None:
        self.folder = folder
        self.producer = producer
        self.last_seq = 0
        self.size_bytes = 0
        #: Highest number that is known to survive a power cut.
        self.synced_seq = 0
        #: What recovery cut from the end of the last segment.
        self.torn_bytes = 0
        self._run_hash = run_hash
        self._config = config
        self._segments: list[Segment] = []
        self._descriptor = -1
        self._tail_is_clean = True
        # Shared with a `sync` in a worker thread, hence guarded by `_guard`:
        self._guard = threading.Lock()
        self._syncing = threading.Lock()
        self._is_dirty = False
        self._sealed_unsynced: list[int] = []
        self._folders_unsynced: list[Path] = []

    @classmethod
    def open(cls, folder: Path, producer: int, run_hash: int, config: JournalConfig) -> Self:
        """Create the journal in `folder`, or recover the one that is there.

        Raises:
            JournalFull: the folder cannot be written.
        """
        journal = cls(folder, producer, run_hash, config)
        try:
            journal._make_folder()
            journal._recover()
        except OSError as error:
            journal.close()
            raise _full(f"journal in {folder} cannot be opened", error) from error
        except BaseException:
            journal.close()
            raise
        return journal

    # -- writing ---------------------------------------------------------------------------

    def receive(
        self,
        first_seq: int,
        count: int,
        frames: bytes | memoryview,
        crc32: int | None,
        *,
        accept_gap: bool = False,
    ) -> Receipt:
        """Take over `count` consecutive frames that start with `first_seq`, by one write.

        What the journal already holds is dropped by number. With `accept_gap` a blob that
        leaves a gap is taken all the same (the missing records exist nowhere any more). Without a
        `crc32` the blob did not travel: it was read from a file.

        Raises:
            InvalidRequest: the blob does not match its CRC, or is no row of frames.
            JournalFull: not written, nothing taken over; the next call tries again.
        """
        last = self.last_seq
        if not count:
            return Receipt(last, first_seq > last + 1)
        if crc32 is not None and zlib.crc32(frames) != crc32:
            raise InvalidRequest(
                "FRAMES_DAMAGED", f"frames from {first_seq} do not match their CRC; send them again"
            )
        if first_seq != last + 1:
            if first_seq + count <= last + 1:
                return self._receipt()
            if first_seq > last + 1 and not accept_gap:
                return Receipt(last, rewind=True)
        self._check(first_seq, count, frames)
        if first_seq <= last:
            frames = skip_frames(memoryview(frames), last + 1 - first_seq)
        self._append(frames, max(first_seq, last + 1))
        self.last_seq = first_seq + count - 1
        return self._receipt()

    def append(self, kind: int, payload: bytes) -> int:
        """Append one record of the agent itself; return its sequence number.

        Raises:
            JournalFull: not written; the next call tries again.
        """
        seq = self.last_seq + 1
        self._append(encode_frame(kind, self.producer, seq, payload), seq)
        self.last_seq = seq
        self._receipt()
        return seq

    def _receipt(self) -> Receipt:
        # Also for what came before: an earlier call may have written and then failed to sync.
        if self._is_dirty and self._config.sync == "always":
            self.sync()
        return Receipt(self.last_seq, rewind=False)

    def _check(self, first_seq: int, count: int, frames: bytes | memoryview) -> None:
        """Refuse what would break the journal's form; frames are checked one by one when read."""
        size = len(frames)
        if size % FRAME_ALIGN_BYTES or count * _SMALLEST_FRAME_BYTES > size:
            raise InvalidRequest(
                "FRAMES_MALFORMED", f"{size} bytes cannot hold {count} frames padded to 8 bytes"
            )
        magic, _, _, _, producer, seq = HEAD.unpack_from(frames)
        if (magic, producer, seq) != (FRAME_MAGIC, self.producer, first_seq):
            raise InvalidRequest(
                "FRAMES_MALFORMED",
                f"the first frame is number {seq} of producer {producer:016x}, "
                f"not {first_seq} of {self.producer:016x}",
            )

    def _append(self, data: bytes | memoryview, first_seq: int) -> None:
        size = len(data)
        if self.size_bytes + size > self._config.max_bytes:
            raise JournalFull(
                "JOURNAL_QUOTA",
                f"journal in {self.folder} would exceed max_bytes={self._config.max_bytes}; "
                "wait for the upload or raise the quota",
                retry_after_s=_RETRY_AFTER_S,
            )
        try:
            self._cut_back()
            active = self._segments[-1] if self._segments else None
            if active is None or (
                active.size_bytes + size > self._config.segment_max_bytes
                and active.size_bytes > SEGMENT_HEADER_BYTES
            ):
                active = self._roll(first_seq)
            self._tail_is_clean = False
            write_whole(self._descriptor, data)
            self._tail_is_clean = True
        except OSError as error:
            with suppress(OSError):  # else the next append cuts first, or recovery does
                self._cut_back()
            raise _full(f"journal in {self.folder} cannot be written", error) from error
        active.size_bytes += size
        self.size_bytes += size
        self._is_dirty = True

    def _cut_back(self) -> None:
        """Remove what a failed write left behind the last whole frame."""
        if not self._tail_is_clean:
            os.ftruncate(self._descriptor, self._segments[-1].size_bytes)
            self._tail_is_clean = True

    def _roll(self, first_seq: int) -> Segment:
        path, descriptor = create_segment(self.folder, self._run_hash, self.producer, first_seq)
        segment = Segment(path, first_seq, SEGMENT_HEADER_BYTES)
        with self._guard:
            if self._descriptor >= 0:
                self._sealed_unsynced.append(self._descriptor)
            self._descriptor = descriptor
            self._folders_unsynced.append(self.folder)
            self._is_dirty = True
        self._segments.append(segment)
        self.size_bytes += segment.size_bytes
        return segment

    # -- durability ------------------------------------------------------------------------

    @property
    def is_dirty(self) -> bool:
        """Whether `sync` has something to do."""
        return self._is_dirty

    def sync(self) -> None:
        """Make everything appended so far survive a power cut. May run in a worker thread.

        Raises:
            JournalFull: the disk refused; everything stays marked for the next call.
        """
        with self._syncing:
            with self._guard:
                sealed, self._sealed_unsynced = self._sealed_unsynced, []
                folders, self._folders_unsynced = self._folders_unsynced, []
                # Cleared before the sync: what is appended meanwhile marks it dirty again.
                self._is_dirty = False
                through_seq = self.last_seq if self._descriptor >= 0 else self.synced_seq
                # A descriptor of our own: the owner may roll or close meanwhile.
                active = os.dup(self._descriptor) if self._descriptor >= 0 else -1
            failed = True
            try:
                for descriptor in (*sealed, active):
                    if descriptor >= 0:
                        os.fdatasync(descriptor)
                for folder in dict.fromkeys(folders):
                    sync_folder(folder)
                self.synced_seq = through_seq
                failed = False
            except OSError as error:
                raise _full(f"journal in {self.folder} cannot reach the disk", error) from error
            finally:
                self._after_sync(active, sealed, folders, failed=failed)

    def _after_sync(
        self, active: int, sealed: list[int], folders: list[Path], *, failed: bool
    ) -> None:
        with self._guard:
            if active >= 0:
                os.close(active)
            if failed and self._descriptor >= 0:  # not closed meanwhile: all of it once more
                self._sealed_unsynced = sealed + self._sealed_unsynced
                self._folders_unsynced = folders + self._folders_unsynced
                self._is_dirty = True
                return
        for descriptor in sealed:
            os.close(descriptor)

    # -- reading and ending ----------------------------------------------------------------

    def reader(self, after_seq: int) -> JournalReader:
        """Return a reader of everything behind `after_seq`, now and in future."""
        return JournalReader(self, after_seq)

    @property
    def segments(self) -> list[Segment]:
        """The segments, oldest first; belongs to the journal."""
        return self._segments

    def release(self, through_seq: int) -> int:
        """Delete the whole segments that hold nothing behind `through_seq`; return freed bytes.

        Only what lies before synced records goes: after a power cut the newest segment that is
        left must know how far the journal had come. So the newest segment always stays.

        Raises:
            JournalFull: the disk refused; the next call tries again.
        """
        freed = 0
        before_seq = min(through_seq + 1, self.synced_seq)
        while len(self._segments) > 1 and self._segments[1].first_seq <= before_seq:
            oldest = self._segments[0]
            try:
                oldest.path.unlink(missing_ok=True)
                oldest.path.with_name(oldest.path.name + TORN_SUFFIX).unlink(missing_ok=True)
            except OSError as error:
                raise _full(f"{oldest.path} cannot be deleted", error) from error
            self._segments.pop(0)
            freed += oldest.size_bytes
            self.size_bytes -= oldest.size_bytes
        return freed

    def close(self) -> None:
        """Close the files; what is not synced is left to the kernel."""
        with self._guard:
            for descriptor in (self._descriptor, *self._sealed_unsynced):
                if descriptor >= 0:
                    os.close(descriptor)
            self._descriptor = -1
            self._sealed_unsynced = []
            self._is_dirty = False

    def destroy(self) -> None:
        """Close and delete the whole folder: records first, the latest checkpoint last.

        So a crash on the way leaves the latest checkpoint or none, never an older one.
        """
        self.close()
        for segment in self._segments:
            segment.path.unlink(missing_ok=True)
        self._segments = []
        self.size_bytes = 0
        with suppress(FileNotFoundError):
            for path in sorted(self.folder.iterdir(), key=generation_of):
                path.unlink(missing_ok=True)
            self.folder.rmdir()

    # -- recovery --------------------------------------------------------------------------

    def _make_folder(self) -> None:
        missing = [p for p in (self.folder, *self.folder.parents) if not p.exists()]
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folders_unsynced += [path.parent for path in missing]
        self._is_dirty = bool(missing)

    def _recover(self) -> None:
        config = self._config
        end = recover(self.folder, self._run_hash, self.producer, config.torn_max_bytes)
        self._segments = end.segments
        self._descriptor = end.descriptor
        self.last_seq = end.last_seq
        self.torn_bytes = end.torn_bytes
        self.size_bytes = sum(segment.size_bytes for segment in end.segments)
        self._is_dirty |= bool(end.segments)


def _full(what: str, error: OSError) -> JournalFull:
    return JournalFull(
        "JOURNAL_UNWRITABLE",
        f"{what}: {error.strerror or error}",
        retry_after_s=_RETRY_AFTER_S,
        details={"errno": str(error.errno)},
    )
