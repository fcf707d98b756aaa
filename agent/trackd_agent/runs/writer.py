"""One writer of a run: its journals, the process behind it, and what that process has to hear."""

from __future__ import annotations

import secrets
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import msgspec
import structlog

from trackd_agent.core.errors import JournalFull
from trackd_agent.journal import Journal, Receipt
from trackd_agent.runs import sampling, spool
from trackd_agent.runs.carriers import Carriers
from trackd_agent.runs.noted.event_files import EventFiles, folders_in
from trackd_agent.runs.noted.guests import Guests
from trackd_agent.runs.spool_window import SpoolWindow
from trackd_proto import records

if TYPE_CHECKING:
    from trackd_agent.runs.context import RunsContext
    from trackd_agent.runs.state.updates import Notice
    from trackd_agent.runs.writer_facts import WriterFacts

log = structlog.get_logger()

AGENT_SUFFIX = "-agent"
_MAX_NOTICES = 100
_ALL_BITS = 2**64 - 1


class Writer:
    """One writer.

    Args:
        facts: who it is; stored beside the journal.
        folder: its journal folder.
        context: settings and neighbours.

    Attributes:
        state: `attached`, `lost` (connection gone, process perhaps alive), `exited`, `crashed`.
        start: its first record, with the label in force; None until it is known.
        pumps: what carries it to the servers.
        event_files: its TensorBoard files.
        guests: other processes that record into its sequence.
        sampling: its place in the monitor.
        notices: messages for the rank's terminal; the oldest go when there are too many.
        url: address of the run, once known.
        name: how the server calls the run, once known.
    """

    def __init__(self, facts: WriterFacts, folder: Path, context: RunsContext) -> None:
        self.facts = facts
        self.folder = folder
        self.capability = ""
        self.url = self.name = ""
        self.state = "lost"
        self.start: records.Start | None = None
        self.pumps = Carriers()
        self.event_files = EventFiles(self)
        self.notices: deque[Notice] = deque(maxlen=_MAX_NOTICES)
        self.ended_s = 0.0
        #: What keeps its records from being journalled (the rank keeps them in its spool).
        self.problem = ""
        #: Not 0: the rank is gone, and its spool holds what the journal lacks up to this number.
        self.leaving_seq = 0
        #: Where frames may be read that a living rank only names.
        self.window = SpoolWindow(facts.producer)
        self._context = context
        self.sampling = sampling.of(context, self.record, facts.label)
        config = context.rooms.journal
        self.journal = Journal.open(folder, facts.producer, facts.run_hash, config)
        own_folder = folder.with_name(folder.name + AGENT_SUFFIX)
        self.agent_journal = Journal.open(
            own_folder, facts.producer ^ _ALL_BITS, facts.run_hash, config
        )
        if known := facts.load(folder):  # an offline run that an earlier agent followed
            facts.tensorboard = facts.tensorboard or known.tensorboard
        facts.store(folder)
        # An earlier agent sent to a server what it read; of an offline run nothing went anywhere.
        is_unread = facts.mode == "offline" and not any(folder.glob("*.ckpt"))
        self.guests = Guests(self, context.data_dir, 0 if is_unread else self.journal.last_seq)

    @property
    def producer(self) -> int:
        """Identity of its record sequence."""
        return self.facts.producer

    @property
    def label(self) -> str:
        """Label within the run; empty for an unlabelled writer."""
        return self.facts.label

    @property
    def is_alive(self) -> bool:
        """Whether more may come from its process."""
        return self.state in ("attached", "lost")

    @property
    def may_grow(self) -> bool:
        """Whether more may come from it, or from others into its sequence."""
        return self.is_alive or self.guests.are_open

    @property
    def is_guest(self) -> bool:
        """Whether it is a forked child in its parent's run: its end says nothing about the run."""
        ends_run = self.start is not None and self.start.update_finish_state
        return self.facts.is_child and not ends_run

    # -- the hot path ----------------------------------------------------------------------

    def receive(
        self, first_seq: int, count: int, frames: bytes | memoryview, crc32: int | None
    ) -> Receipt:
        """Journal a blob of frames and say how far the journal reaches now.

        Raises:
            InvalidRequest: the blob is damaged.
            JournalFull: nothing was taken over; the next call tries again.
        """
        try:
            self.event_files.note(folders_in(frames, self.producer))
            receipt = self.journal.receive(first_seq, count, frames, crc32)
        except JournalFull as error:
            self.problem = error.message
            raise
        self.problem = ""
        is_first = self.start is None and first_seq == 1 and count
        if is_first and (start := spool.start_in(frames, self.producer)):
            self.begin(start)
        # Somebody may wait for an artifact, and it costs more requests than the rows before it.
        is_awaited = spool.holds_artifact(frames)
        self.pumps.grew(len(frames), is_awaited=is_awaited)
        return receipt

    @property
    def acked_seq(self) -> int:
        """Highest number that the journal holds."""
        return self.journal.last_seq

    @property
    def uploaded_seq(self) -> int:
        """Highest number that every server has acknowledged."""
        return self.pumps.uploaded_seq

    @property
    def stop_requested(self) -> bool:
        """Whether a server asks this run to stop."""
        return self.pumps.stop_requested

    def take_notices(self) -> list[Notice]:
        """Return the messages that the rank has not heard yet."""
        if not self.notices:
            return []
        notices = list(self.notices)
        self.notices.clear()
        return notices

    # -- coming and going ------------------------------------------------------------------

    def attach(self, pid: int, ticks: int, spool_dir: Path | None, *, seen: bool = True) -> None:
        """A process speaks for this writer from now on; older capabilities end.

        Args:
            pid: its process id as the agent sees it; 0: not visible from here.
            ticks: its start time as it says itself.
            spool_dir: where it keeps what is not acknowledged.
            seen: the kernel named the process; what a rank in a container says itself may mean
                another process here.
        """
        facts = self.facts
        facts.note_process(pid, ticks, seen=seen)
        facts.spool_dir = str(spool_dir) if spool_dir else facts.spool_dir
        facts.store(self.folder)
        self.capability = secrets.token_hex(32)
        self.leaving_seq = 0
        self.window.look_at(Path(facts.spool_dir) if facts.spool_dir else None)
        self.state = "attached"
        self._subscribe()

    def begin(self, start: records.Start) -> None:
        """The first record is known."""
        self.start = msgspec.structs.replace(start, label=self.label)
        self._subscribe()

    def connection_lost(self) -> None:
        """The stream ended without a word; the watch finds out whether the process lives."""
        if self.state == "attached":
            self.state = "lost"

    async def detach(self, last_seq: int) -> tuple[int, int]:
        """The rank leaves on purpose; return how far journal and uploads are.

        The writer ends once the journal holds everything. What it lacks the watch takes from
        the spool, where that can be seen from here (`is_leaving`); else the rank has to send it.
        """
        if self.journal.last_seq < last_seq and self._sees_spool():
            self.leaving_seq = last_seq
            self._context.look.set()
            return self.journal.last_seq, self.uploaded_seq
        with anyio.move_on_after(self._context.config.detach_wait_s):
            while self.journal.last_seq < last_seq:  # noqa: ASYNC110 - receive() signals nothing
                await anyio.sleep(0.01)
        if self.journal.last_seq >= last_seq:
            self.leaving_seq = last_seq
            await self.conclude("exited", self._context.config.last_reading_s)
        return self.journal.last_seq, self.uploaded_seq

    @property
    def is_leaving(self) -> bool:
        """Whether the rank left a rest in its spool that the journal does not hold yet."""
        return self.is_alive and self.leaving_seq > self.journal.last_seq

    def _sees_spool(self) -> bool:
        """Whether the spool of the rank is in reach: somebody holds the lock in it."""
        folder = self.facts.spool_dir
        return bool(folder) and spool.is_held(Path(folder))

    async def conclude(self, state: str, limit_s: float = 0.5) -> None:
        """End the writer if its TensorBoard files are read, which takes no longer than a limit.

        Otherwise the watch tries again.
        """
        try:
            is_read = await self.event_files.finish(limit_s)
        except JournalFull as error:
            self.problem = error.message
            return
        except Exception:  # what nobody foresaw in a file must not keep a run from ending
            log.exception("event_files_failed", label=self.label)
            is_read = True
        await self.sampling.described()
        if is_read and self.is_alive:
            self.end(state)

    def end(self, state: str) -> None:
        """Nothing more will come from the rank: `exited` or `crashed`."""
        self.sampling.end()
        self.window.close()
        self.state = state
        self.capability = ""
        self.ended_s = time.time()
        if not self.facts.left and state == "exited":
            self.facts.left = True
            try:
                self.facts.store(self.folder)
            except JournalFull as error:  # an agent started anew asks the process and the spool
                log.warning("leaving_not_noted", label=self.label, problem=error.message)
        self.pumps.hurry()

    # -- records of the agent itself -------------------------------------------------------

    def record(self, kind: records.Kind, record: msgspec.Struct) -> None:
        """Append a record of the agent about this writer to the agent's own journal.

        Raises:
            JournalFull: not written.
        """
        payload = records.encode(record)
        self.agent_journal.append(kind, payload)
        self.pumps.grew(len(payload))

    def _subscribe(self) -> None:
        if self.state == "attached" and self.start is not None:
            # A rank that is not visible from here may bear the number of somebody else.
            pid = self.facts.pid if self.facts.pid_start_ticks else 0
            self.sampling.begin(self.producer, pid, self.start)

    # -- the end ---------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of everything; the journals stay."""
        self.sampling.end()
        self.journal.close()
        self.agent_journal.close()

    def destroy(self) -> None:
        """Delete the journals: every server has everything."""
        self.close()
        self.agent_journal.destroy()
        self.journal.destroy()
