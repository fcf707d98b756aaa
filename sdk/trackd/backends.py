"""Where a run's records go: to the agent, to nowhere (disabled), or, in a forked child, to a
spool of its own. All three look the same to `Run`."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from trackd import identity as identities
from trackd.context import start_record
from trackd.logs import LOGGER, close_debug_log
from trackd.recording.recorder import FinishedRecorder
from trackd.runs.status import RunStatus
from trackd.runs.summaries import MemorySummary, RecordedSummary
from trackd_proto.records import Exit, Kind

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import msgspec

    from trackd.console import ConsoleCapture
    from trackd.context import WriterContext
    from trackd.lifecycle.notebooks import Cells
    from trackd.recording.recordable import RunPlace
    from trackd.recording.recorder import Recorder
    from trackd.recording.spool import Spool
    from trackd.runs.status import SystemMetrics
    from trackd.runs.summaries import SummaryStore
    from trackd.writer import Handover, Writer


class RecordSink(Protocol):
    """Takes records of a run."""

    step: int

    @property
    def place(self) -> RunPlace | None:
        """The run, for values that write files into it; None where it takes none."""
        ...

    def row(self, data: Mapping[str, Any], step: int | None, commit: bool | None) -> None:
        """Record one `log()` call."""
        ...

    def record(self, kind: Kind, payload: msgspec.Struct) -> None:
        """Record anything else."""
        ...


class Backend(Protocol):
    """The way of a run's records, its summary and its end."""

    recorder: RecordSink
    #: What captures the console, where something does.
    console: ConsoleCapture | None

    @property
    def run_dir(self) -> Path | None:
        """Folder of the run; None where it has none."""
        ...

    @property
    def url(self) -> str:
        """Address of the run; empty where unknown."""
        ...

    @property
    def open_step(self) -> int:
        """Number of the open row."""
        ...

    def ask_name(self) -> str | None:
        """Ask how the server calls the run; its address comes with it. None: it does not say."""
        ...

    def summary_store(self) -> SummaryStore:
        """Access to the summary."""
        ...

    def system_metrics(self) -> SystemMetrics:
        """The last values of each system metric, with their times."""
        ...

    def status(self) -> RunStatus:
        """How much of the run the server has."""
        ...

    def finish(self, exit_code: int) -> Handover | None:
        """End the run; None where nothing was handed to anybody."""
        ...

    def shared(self) -> tuple[WriterContext, int] | None:
        """What another process needs to join, with the producer that it joins; None: nothing."""
        ...

    def in_child(self, replace: Callable[[Backend], None]) -> None:
        """Called in a forked child, before any of its own code runs."""
        ...


class AgentBackend:
    """Records go to the agent."""

    def __init__(self, writer: Writer) -> None:
        self.recorder: RecordSink = writer.recorder
        self.console: ConsoleCapture | None = None
        self.debug_log: logging.Handler | None = None
        #: Stops the clock between the cells of a notebook.
        self.cells: Cells | None = None
        self._writer = writer
        self._context = writer.context

    @property
    def run_dir(self) -> Path | None:
        """Folder of the run."""
        return self._context.run_dir

    @property
    def url(self) -> str:
        """Address of the run; empty where unknown."""
        return self._writer.sender.news.url

    @property
    def open_step(self) -> int:
        """Number of the open row, as the agent counts it."""
        found = None if self._is_finished else self._writer.read_summary()
        return self.recorder.step if found is None else found[1]

    @property
    def _is_finished(self) -> bool:
        return isinstance(self.recorder, FinishedRecorder)

    def ask_name(self) -> str | None:
        """Ask how the server calls the run; wait for it while the run goes on, once."""
        return self._writer.ask_name(waits=not self._is_finished)

    def summary_store(self) -> SummaryStore:
        """Access to the summary, read from the agent."""
        return RecordedSummary(self._read_summary, lambda: self.recorder)

    def _read_summary(self) -> dict[str, Any] | None:
        terminal = self._context.terminal
        if self._is_finished:
            terminal.warn("the summary of a finished run reads as empty")
            return {}
        found = self._writer.read_summary()
        if found is None:
            terminal.warn_once(
                "the summary cannot be read now, no agent answers: what was read or written last "
                "is shown"
            )
            return None
        return found[0]

    def system_metrics(self) -> SystemMetrics:
        """The last values of each system metric that the agent keeps."""
        return self._writer.system_metrics()

    def status(self) -> RunStatus:
        """How much of the run the server has."""
        return self._writer.status()

    def finish(self, exit_code: int) -> Handover:
        """Hand everything to the agent and leave."""
        if self.cells is not None:
            self.cells.leave()
        if self.console is not None:
            self.console.finish()
        context = self._context
        self.recorder = FinishedRecorder(context.identity.run_id, self.recorder.step)
        timeout_s = context.settings.finish_timeout or math.inf  # 0: as long as it moves
        handover = self._writer.finish(exit_code, timeout_s)
        if self.debug_log is not None:
            close_debug_log(self.debug_log)
        return handover

    def shared(self) -> tuple[WriterContext, int]:
        """What another process needs to join, with the producer that it joins."""
        return self._context, self._writer.producer

    def in_child(self, replace: Callable[[Backend], None]) -> None:
        """Let go of everything that belongs to the parent."""
        self._context.terminal.mute()
        if self.console is not None:
            self.console.abandon()
        if self._is_finished:
            return
        self._writer.spool.abandon_in_child()
        parent, name = self._writer.producer, self._writer.sender.news.name
        child = ChildBackend(self._context, parent, self.recorder.step, self.url, name)
        # The parent's gRPC objects must neither be used nor finalised in this process: the
        # child keeps `self`, and so them, for good.
        child.inherited = self
        replace(child)


class ChildBackend:
    """A forked process: records go to a spool of its own, which the agent finds by itself.

    The spool is opened by the first record, so that children that never log cost nothing.
    No gRPC: it does not survive a fork.
    """

    def __init__(
        self,
        context: WriterContext,
        parent_producer: int,
        first_step: int,
        url: str = "",
        name: str = "",
    ) -> None:
        self.recorder: RecordSink = _FirstRecord(self, first_step)
        self.console: ConsoleCapture | None = None
        self.inherited: Backend | None = None
        self.url = url
        self._name = name
        self._context = context
        self._parent_producer = parent_producer
        self._first_step = first_step
        #: Configuration of the first record; the parent's run has its own already.
        self.config: dict[str, Any] = {}
        #: False where the run was started in this process, which then ends it, too.
        self.is_guest = True
        self._spool: Spool | None = None

    @property
    def run_dir(self) -> Path | None:
        """Folder of the run."""
        return self._context.run_dir

    @property
    def open_step(self) -> int:
        """Number of the open row, counted here alone."""
        return self.recorder.step

    def ask_name(self) -> str | None:
        """Return how the server calls the run, as the parent knew it; nobody can be asked here."""
        return self._name or None

    def summary_store(self) -> SummaryStore:
        """Writes are recorded; reads would need a connection and are empty."""
        return RecordedSummary(dict, lambda: self.recorder)

    def open(self) -> Recorder:
        """Open the spool of this process and return its recorder."""
        context = self._context
        self._spool = spool = context.make_spool(identities.generate_producer())
        self.recorder = recorder = context.make_recorder(spool, self._first_step)
        start = start_record(
            context,
            self.config,
            parent_producer=self._parent_producer,
            first_step=self._first_step,
            is_guest=self.is_guest,
        )
        recorder.record(Kind.START, start)
        return recorder

    def system_metrics(self) -> SystemMetrics:
        """None: a forked process has no connection to the agent."""
        return {}

    def status(self) -> RunStatus:
        """Unknown here: zeros."""
        return RunStatus()

    def finish(self, exit_code: int) -> Handover | None:
        """End this process's own records; the parent's run goes on."""
        if self.console is not None:
            self.console.finish()
        recorder, spool = self.recorder, self._spool
        self.recorder = FinishedRecorder(self._context.identity.run_id, recorder.step)
        self._spool = None
        if spool is not None:
            spool.settle()
            end = Exit(exit_code, time.time(), self._context.clock.runtime_s())
            recorder.record(Kind.EXIT, end)
            spool.close(delete=False)

    def shared(self) -> tuple[WriterContext, int]:
        """What another process needs to join, with the producer that it joins."""
        if self._spool is not None and not self.is_guest:
            return self._context, self._spool.producer
        return self._context, self._parent_producer

    def in_child(self, replace: Callable[[Backend], None]) -> None:
        """Let go of the spool of the process that forked."""
        if self.console is not None:
            self.console.abandon()
        parent = self._parent_producer
        if self._spool is not None:
            self._spool.abandon_in_child()
            parent = self._spool.producer
        step = self.recorder.step
        grandchild = ChildBackend(self._context, parent, step, self.url, self._name)
        grandchild.inherited = self
        replace(grandchild)


class _FirstRecord:
    """Opens the child's spool when the first record comes."""

    def __init__(self, backend: ChildBackend, step: int) -> None:
        self._backend = backend
        self._lock = threading.RLock()  # a signal handler may log in the middle of the first row
        self.step = step

    def row(self, data: Mapping[str, Any], step: int | None, commit: bool | None) -> None:
        """Record one `log()` call."""
        self._open().row(data, step, commit)

    def record(self, kind: Kind, payload: msgspec.Struct) -> None:
        """Record anything else."""
        self._open().record(kind, payload)

    @property
    def place(self) -> RunPlace | None:
        """The run, for values that write files into it."""
        return self._open().place

    def _open(self) -> RecordSink:
        backend = self._backend
        with self._lock:  # one spool, however many threads begin
            if backend.recorder is self:
                self._try_to_open()
        return backend.recorder

    def _try_to_open(self) -> None:
        try:
            self._backend.open()
        except Exception:  # noqa: BLE001 - no room, or no right: the training goes on
            LOGGER.exception("records of this forked process are lost")
            self._backend.recorder = _MemoryRecorder(MemorySummary())


class DisabledBackend:
    """Records go nowhere; only the summary is kept, in memory."""

    def __init__(self) -> None:
        self._memory = MemorySummary()
        self.recorder: RecordSink = _MemoryRecorder(self._memory)
        self.console: ConsoleCapture | None = None

    @property
    def run_dir(self) -> Path | None:
        """None: there is no folder."""
        return None

    @property
    def url(self) -> str:
        """Empty: there is no page."""
        return ""

    @property
    def open_step(self) -> int:
        """Always 0."""
        return 0

    def ask_name(self) -> None:
        """None: there is no server."""

    def summary_store(self) -> SummaryStore:
        """Access to the summary in memory."""
        return self._memory

    def system_metrics(self) -> SystemMetrics:
        """None: nothing is sampled."""
        return {}

    def status(self) -> RunStatus:
        """Nothing is uploaded: zeros."""
        return RunStatus()

    def finish(self, exit_code: int) -> Handover | None:
        """Nothing to do."""
        del exit_code
        return None

    def shared(self) -> None:
        """Nothing: another process gets a disabled run of its own."""

    def in_child(self, replace: Callable[[Backend], None]) -> None:
        """Nothing to do: memory is copied by the fork."""
        del replace


class _MemoryRecorder:
    """Keeps the last values of rows, as they were given; everything else goes nowhere."""

    def __init__(self, memory: MemorySummary) -> None:
        self._memory = memory
        self.step = 0

    @property
    def place(self) -> RunPlace | None:
        """None: nothing is stored."""
        return None

    def row(self, data: Mapping[str, Any], step: int | None, commit: bool | None) -> None:
        """Take over the values of one `log()` call."""
        del step, commit
        self._memory.values.update(data)

    def record(self, kind: Kind, payload: msgspec.Struct) -> None:
        """Do nothing."""
        del kind, payload
