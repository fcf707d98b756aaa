"""One guest of a run: its spool, and how what is in it gets into the journal of its host."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from trackd_agent.journal import read_folder
from trackd_agent.runs import liveness
from trackd_agent.runs.noted.event_files import folders_of
from trackd_agent.runs.noted.moments import made_s
from trackd_proto.frames import MAX_FRAME_PAYLOAD_BYTES
from trackd_proto.records import Gap, GuestRecords, Kind, encode

if TYPE_CHECKING:
    from pathlib import Path

    from trackd_agent.journal import JournalReader
    from trackd_agent.journal.reader import SegmentReader
    from trackd_agent.runs.writer import Writer
    from trackd_proto.frames import Frame

#: What begins or ends a guest is no begin or end of the run.
OWN_KINDS = frozenset({Kind.START, Kind.EXIT, Kind.STATS})

_NOTE_BYTES = 256 * 1024
#: Room for what stands around the records of a note.
_FRAME_BYTES = MAX_FRAME_PAYLOAD_BYTES - 4096


class Guest:
    """A process that records into the run of another one.

    Args:
        folder: its spool.
        producer: identity of its records.
        seq: number of the last one that is copied.
        origin_s: where the runtimes of the run begin.

    Attributes:
        next_s: when the next record was made; None: there is none now.
        is_done: it is gone and all of it is copied.
        journalled_seq: number in the agent's journal up to which all of it stands.
    """

    def __init__(self, folder: Path, producer: int, seq: int, origin_s: float) -> None:
        self.folder = folder
        self.producer = producer
        self.seq = seq
        self.is_done = False
        self.journalled_seq = 0
        self.next_s: float | None = None
        self._origin_s = origin_s
        self._is_gone = False
        self._reader: SegmentReader | None = None
        self._ahead: deque[Frame] = deque()
        self._made_s = 0.0

    def look(self) -> None:
        """Find out whether the process lives, then what is new."""
        if not self._is_gone and liveness.lock_is_free(self.folder) is not False:
            self._is_gone = True
            self._forget()  # what does not read as a frame now will not become one
        self._read_on()

    @property
    def next_bytes(self) -> int:
        """Size of the next record."""
        return len(self._ahead[0].payload) if self._ahead else 0

    def take(self) -> tuple[Frame, int]:
        """Return the next record, and how many before it are nowhere."""
        frame = self._ahead.popleft()
        lost = frame.seq - self.seq - 1
        self.seq = frame.seq
        self._read_on()
        return frame, lost

    def return_to(self, seq: int) -> None:
        """Forget that anything behind this number was taken."""
        self.seq = seq
        self._forget()

    def settle(self) -> None:
        """Whatever was new was copied, or has to wait."""
        self.is_done = self._is_gone and self._reader is not None and self.next_s is None
        if self.is_done:
            self._forget()

    def _read_on(self) -> None:
        if not self._ahead:
            reader = self._reader = self._reader or read_folder(
                self.folder, self.producer, self.seq, live=not self._is_gone
            )
            with suppress(FileNotFoundError):  # deleted by hand
                self._ahead.extend(reader.read())
        if self._ahead:
            found_s = made_s(self._ahead[0], self._origin_s)
            is_end = self._ahead[0].kind == Kind.EXIT
            self._made_s = max(self._made_s, 0.0 if found_s is None or is_end else found_s)
        self.next_s = self._made_s if self._ahead else None

    def _forget(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None
        self._ahead.clear()
        self.next_s = None


class HostClock:
    """Tells which of the host's records were made before a moment.

    Args:
        reader: of the host's journal, behind what was read of it.
        origin_s: where the runtimes of the run begin.
    """

    def __init__(self, reader: JournalReader, origin_s: float) -> None:
        self._reader = reader
        self._origin_s = origin_s
        self._seq = reader.position_seq
        self._ahead: deque[Frame] = deque()

    def seq_at(self, moment_s: float) -> int:
        """Return the number of the last record made by then; moments do not go back."""
        while self._ahead or self._read_on():
            found_s = made_s(self._ahead[0], self._origin_s)
            if found_s is not None and found_s > moment_s:
                break
            self._seq = self._ahead.popleft().seq
        return self._seq

    def close(self) -> None:
        """Close the journal's file."""
        self._reader.close()

    def _read_on(self) -> bool:
        self._ahead.extend(self._reader.read())
        return bool(self._ahead)


class Notes:
    """Collects what guests recorded and journals it, records of one place together.

    Args:
        host: whose journal takes it.

    Attributes:
        journalled_after_seq: the host's record behind which the last journalled note stands.
    """

    def __init__(self, host: Writer) -> None:
        self.journalled_after_seq = 0
        self._host = host
        self._guest: Guest | None = None
        self._after_seq = 0
        self._first_seq = 0
        self._records: list[tuple[int, bytes]] = []
        self._size_bytes = 0

    def add(self, guest: Guest, after_seq: int) -> None:
        """Take the next record of a guest; it stands behind this one of the host.

        Raises:
            JournalFull: no space; what is not journalled is still to be taken from the guests.
        """
        is_full = self._records and self._size_bytes + guest.next_bytes > _NOTE_BYTES
        if (guest, after_seq) != (self._guest, self._after_seq) or is_full:
            self.flush()
            self._guest, self._after_seq, self._first_seq = guest, after_seq, guest.seq
        frame, lost = guest.take()
        if lost:
            self._append(Kind.GAP, encode(Gap(lost, "damaged")))
        if frame.kind == Kind.TENSORBOARD:
            self._note_folders(frame)
        if len(frame.payload) > _FRAME_BYTES:
            self._append(Kind.GAP, encode(Gap(1, "record_too_large")))
        elif frame.kind not in OWN_KINDS:
            self._append(frame.kind, bytes(frame.payload))

    def flush(self) -> None:
        """Journal what was taken.

        Raises:
            JournalFull: no space; the guest has it still.
        """
        guest, self._guest = self._guest, None
        if guest is None:
            return
        records, self._records, self._size_bytes = self._records, [], 0
        note = GuestRecords(guest.producer, guest.seq, records, self._after_seq)
        try:
            self._host.record(Kind.GUEST, note)
        except BaseException:
            guest.return_to(self._first_seq)
            raise
        guest.journalled_seq = self._host.agent_journal.last_seq
        self.journalled_after_seq = self._after_seq

    def _append(self, kind: int, payload: bytes) -> None:
        self._records.append((kind, payload))
        self._size_bytes += len(payload)

    def _note_folders(self, frame: Frame) -> None:
        assert self._guest is not None
        try:
            self._host.event_files.note(folders_of([frame]))
        except BaseException:
            self._guest.return_to(self._first_seq)
            self._guest, self._records = None, []
            raise
