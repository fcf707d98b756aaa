"""One writer of a run: its journals, the process behind it, and what that process has to hear."""

from __future__ import annotations

import secrets
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import anyio
import msgspec
import structlog

from trackd_agent.core.errors import AgentError
from trackd_agent.journal import Journal, Receipt
from trackd_agent.monitor import Subject
from trackd_agent.runs import liveness, spool
from trackd_agent.runs.options import WriterSnapshot
from trackd_agent.runs.state import WriterState
from trackd_proto import records
from trackd_proto.frames import FRAME_HEADER_BYTES, HEAD, Scanner
from trackd_proto.layout import producer_name, run_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd_agent.journal import JournalReader
    from trackd_agent.monitor import Subscription
    from trackd_agent.runs.context import RunsContext
    from trackd_agent.runs.updates import Notice

log = structlog.get_logger()

FACTS_FILE = "writer.json"
AGENT_SUFFIX = "-agent"
_MAX_NOTICES = 100
_ALL_BITS = 2**64 - 1


class WriterFacts(msgspec.Struct):
    """What recovery has to know of a writer; kept beside its journal. Holds no secret."""

    run_id: str
    project: str
    entity: str
    mode: str
    run_dir: str
    base_url: str
    label: str
    producer: int
    spool_dir: str
    attached_s: float
    parent_producer: int = 0
    pid: int = 0
    pid_start_ticks: int = 0
    left: bool = False

    def store(self, folder: Path) -> None:
        """Write the facts, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = folder / f".{FACTS_FILE}"
        temporary.write_bytes(msgspec.json.encode(self))
        temporary.replace(folder / FACTS_FILE)

    @classmethod
    def load(cls, folder: Path) -> WriterFacts | None:
        """Return the facts in a journal folder, or None where there are none to be read."""
        try:
            return msgspec.json.decode((folder / FACTS_FILE).read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError):
            return None


class PumpView(Protocol):
    """What a writer knows of a pump that carries it to a server."""

    @property
    def acked_seq(self) -> int: ...  # noqa: D102
    @property
    def backlog_bytes(self) -> int: ...  # noqa: D102
    @property
    def stop_requested(self) -> bool: ...  # noqa: D102
    @property
    def dropped(self) -> Mapping[str, int]: ...  # noqa: D102
    @property
    def exit_code(self) -> int | None: ...  # noqa: D102
    @property
    def stored_seqs(self) -> tuple[int, int]: ...  # noqa: D102

    def grew(self, size_bytes: int) -> None:
        """More was journalled."""
        ...

    def hurry(self) -> None:
        """Send what there is without waiting for the interval."""
        ...

    def remembered(self) -> tuple[WriterState, int, int] | None:
        """Return the state of the last checkpoint and its positions."""
        ...


class Writer:
    """One writer.

    Args:
        facts: who it is; stored beside the journal.
        folder: its journal folder.
        context: settings and neighbours.
    """

    def __init__(self, facts: WriterFacts, folder: Path, context: RunsContext) -> None:
        self.facts = facts
        self.folder = folder
        self.capability = ""
        self.url = ""
        #: `attached`, `lost` (connection gone, process perhaps alive), `exited`, `crashed`.
        self.state = "lost"
        self.start: records.Start | None = None
        self.pumps: list[PumpView] = []
        self.view: tuple[WriterState, tuple[JournalReader, JournalReader]] | None = None
        self.ended_s = 0.0
        self._context = context
        self._notices: deque[Notice] = deque(maxlen=_MAX_NOTICES)
        self._subscription: Subscription | None = None
        hash_ = run_hash(facts.project, facts.run_id)
        journal_config = context.rooms.journal
        self.journal = Journal.open(folder, facts.producer, hash_, journal_config)
        self.agent_journal = Journal.open(
            folder.with_name(folder.name + AGENT_SUFFIX),
            facts.producer ^ _ALL_BITS,
            hash_,
            journal_config,
        )
        facts.store(folder)

    # -- who it is -------------------------------------------------------------------------

    @property
    def producer(self) -> int:
        """Identity of its record sequence."""
        return self.facts.producer

    @property
    def label(self) -> str:
        """Label within the run; empty for an unlabelled writer."""
        return self.facts.label

    @property
    def is_child(self) -> bool:
        """Whether it is a forked child, which writes a spool only and ends without a word."""
        return self.facts.parent_producer != 0

    @property
    def is_plain(self) -> bool:
        """Whether its stream is the run's own; all others are streams within a shared run."""
        return not self.label and self.facts.mode != "shared" and not self.is_child

    @property
    def is_alive(self) -> bool:
        """Whether more may come from it."""
        return self.state in ("attached", "lost")

    # -- the hot path ----------------------------------------------------------------------

    def receive(
        self, first_seq: int, count: int, frames: bytes | memoryview, crc32: int
    ) -> Receipt:
        """Journal a blob of frames and say how far the journal reaches now.

        Raises:
            InvalidRequest: the blob is damaged.
            JournalFull: nothing was taken over; the next call tries again.
        """
        receipt = self.journal.receive(first_seq, count, frames, crc32)
        if self.start is None and first_seq == 1 and count:
            self._look_for_start(frames)
        for pump in self.pumps:
            pump.grew(len(frames))
        return receipt

    @property
    def acked_seq(self) -> int:
        """Highest number that the journal holds."""
        return self.journal.last_seq

    @property
    def uploaded_seq(self) -> int:
        """Highest number that every server has acknowledged."""
        return min((pump.acked_seq for pump in self.pumps), default=0)

    @property
    def stop_requested(self) -> bool:
        """Whether a server asks this run to stop."""
        return any(pump.stop_requested for pump in self.pumps)

    def _look_for_start(self, frames: bytes | memoryview) -> None:
        _, _, _, length, _, _ = HEAD.unpack_from(frames)
        view = memoryview(frames)[: (FRAME_HEADER_BYTES + length + 7) & ~7]
        for frame in Scanner(view, producer=self.producer):
            if start := spool.decode_start(frame):
                self.begin(start)
            return

    # -- what the rank hears ---------------------------------------------------------------

    def tell(self, notice: Notice) -> None:
        """Queue a message for the rank's terminal; the oldest go when there are too many."""
        self._notices.append(notice)

    def take_notices(self) -> list[Notice]:
        """Return the messages that the rank has not heard yet."""
        if not self._notices:
            return []
        notices = list(self._notices)
        self._notices.clear()
        return notices

    # -- coming and going ------------------------------------------------------------------

    def attach(self, pid: int, ticks: int, spool_dir: Path | None) -> None:
        """A process speaks for this writer from now on; older capabilities end."""
        facts = self.facts
        changed = (facts.pid, facts.pid_start_ticks) != (pid, ticks)
        facts.pid, facts.pid_start_ticks = pid, ticks
        facts.spool_dir = str(spool_dir) if spool_dir else facts.spool_dir
        if changed:
            facts.store(self.folder)
        self.capability = secrets.token_hex(32)
        self.state = "attached"
        if self.start is not None:
            self._subscribe()

    def begin(self, start: records.Start) -> None:
        """The first record is known."""
        self.start = msgspec.structs.replace(start, label=self.label)
        if self.state == "attached":
            self._subscribe()

    def connection_lost(self) -> None:
        """The stream ended without a word; the watch finds out whether the process lives."""
        if self.state == "attached":
            self.state = "lost"

    def catch_up(self) -> None:
        """Records came into the journal by another way than the stream."""
        if self.start is None and (found := spool.read_start(self.folder, self.producer)):
            self.begin(found[1])
        for pump in self.pumps:
            pump.grew(1)

    async def detach(self, last_seq: int) -> tuple[int, int]:
        """The rank leaves on purpose; return how far journal and uploads are.

        The writer ends once the journal holds everything; until then it stays attached, and
        the rank may send more.
        """
        with anyio.move_on_after(self._context.config.detach_wait_s):
            while self.journal.last_seq < last_seq:  # noqa: ASYNC110 - receive() signals nothing
                await anyio.sleep(0.01)
        if self.journal.last_seq < last_seq and self.facts.spool_dir:
            await spool.take_over(self, Path(self.facts.spool_dir), live=True)
        if self.journal.last_seq >= last_seq and self.is_alive:
            self.end("exited")
        return self.journal.last_seq, self.uploaded_seq

    def forget_spool(self) -> None:
        """The spool folder is gone."""
        self.facts.spool_dir = ""

    def end(self, state: str) -> None:
        """Nothing more will come from the rank: `exited` or `crashed`."""
        if self._subscription is not None:
            self._subscription.cancel()
            self._subscription = None
        self.state = state
        self.capability = ""
        self.ended_s = time.time()
        if not self.facts.left and state == "exited":
            self.facts.left = True
            self.facts.store(self.folder)
        self.hurry()

    def hurry(self) -> None:
        """Let all pumps send what they have."""
        for pump in self.pumps:
            pump.hurry()

    def looks_dead(self) -> bool:
        """Whether the process is gone; False as long as that is not certain."""
        facts = self.facts
        if facts.pid and facts.pid_start_ticks:
            if liveness.start_ticks(facts.pid) != facts.pid_start_ticks:
                return True
            if self.state == "attached":
                return False
        if self.state == "attached" or not facts.spool_dir:
            return False
        return liveness.lock_is_free(Path(facts.spool_dir)) is True

    def open_view(self) -> tuple[WriterState, tuple[JournalReader, JournalReader]]:
        """Return a state beside those of the pumps, for readers of the summary.

        It starts where the journals start now, or where a pump remembers to have been.
        """
        assert self.start is not None
        rank_seq = agent_seq = 0
        state = WriterState(self.start)
        for pump in self.pumps:
            if remembered := pump.remembered():
                state, rank_seq, agent_seq = remembered
        readers = self.agent_journal.reader(agent_seq), self.journal.reader(rank_seq)
        return state, readers

    # -- records of the agent itself -------------------------------------------------------

    def record(self, kind: records.Kind, record: msgspec.Struct) -> None:
        """Append a record of the agent about this writer to the agent's own journal.

        Raises:
            JournalFull: not written.
        """
        payload = records.encode(record)
        self.agent_journal.append(kind, payload)
        for pump in self.pumps:
            pump.grew(len(payload))

    def record_crash(self) -> None:
        """Close the record sequence of a rank that could not do it."""
        now_s = self.ended_s or time.time()
        runtime_s = max(0.0, now_s - self.start.time_s) if self.start else 0.0
        self.record(records.Kind.EXIT, records.Exit(255, now_s, runtime_s, crashed=True))

    def _subscribe(self) -> None:
        start = self.start
        if start is None or self._subscription is not None or self.is_child:
            return
        settings = start.settings
        if settings.get("x_disable_stats"):
            return
        subject = Subject(
            key=producer_name(self.producer),
            pid=self.facts.pid or start.pid,
            interval_s=_number(
                settings.get("x_stats_sampling_interval"), self._context.config.stats_interval_s
            ),
            disk_paths=tuple(str(p) for p in settings.get("x_stats_disk_paths") or ("/",)),
            track_process_tree=bool(settings.get("x_stats_track_process_tree")),
        )
        self._subscription = self._context.monitor.subscribe(subject, self._take_sample)

    def _take_sample(self, time_s: float, values: dict[str, float]) -> None:
        try:
            self.record(records.Kind.STATS, records.Stats(time_s, values))
        except AgentError as error:  # a sample is no row: the next one will do
            log.warning("sample_not_journalled", label=self.label, problem=error.message)

    # -- for people ------------------------------------------------------------------------

    @property
    def dropped(self) -> dict[str, int]:
        """Records lost, by reason, as the first server's pump counts them."""
        return dict(self.pumps[0].dropped) if self.pumps else {}

    @property
    def backlog_bytes(self) -> int:
        """Journal bytes that some server has not acknowledged."""
        return max((pump.backlog_bytes for pump in self.pumps), default=0)

    @property
    def exit_code(self) -> int | None:
        """Exit code that the writer recorded, once a pump came across it."""
        return self.pumps[0].exit_code if self.pumps else None

    def snapshot(self) -> WriterSnapshot:
        """Return its state for people."""
        return WriterSnapshot(
            label=self.label,
            producer=producer_name(self.producer),
            pid=self.facts.pid if self.state == "attached" else 0,
            state=self.state,
            received_seq=self.journal.last_seq,
            journalled_seq=self.journal.last_seq,
            uploaded_seq=self.uploaded_seq,
            backlog_bytes=self.backlog_bytes,
            dropped=self.dropped,
            exit_code=self.exit_code,
        )

    def release(self) -> None:
        """Delete the parts of the journals that no pump reads again.

        The journals of an offline run belong to its folder and stay there.
        """
        if self.facts.mode == "offline":
            return
        self.journal.release(min(pump.stored_seqs[0] for pump in self.pumps))
        self.agent_journal.release(min(pump.stored_seqs[1] for pump in self.pumps))

    def close(self) -> None:
        """Let go of everything; the journals stay."""
        if self._subscription is not None:
            self._subscription.cancel()
            self._subscription = None
        if self.view is not None:
            for reader in self.view[1]:
                reader.close()
            self.view = None
        self.journal.close()
        self.agent_journal.close()

    def destroy(self) -> None:
        """Delete the journals: every server has everything."""
        self.close()
        self.agent_journal.destroy()
        self.journal.destroy()


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else default
