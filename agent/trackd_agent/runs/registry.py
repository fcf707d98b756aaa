"""All runs of this node: who may join, who is still there, what is kept, what goes upstream."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import structlog

from trackd_agent.core.errors import InvalidRequest, JournalFull, NotAllowed, UnknownRun
from trackd_agent.runs import continuing, operators
from trackd_agent.runs.context import RoomConfigs, RunsContext
from trackd_agent.runs.options import Attachment
from trackd_agent.runs.recovery import (
    Recovery,
    bridge_gap,
    clear_spools,
    look_after,
    new_readers,
)
from trackd_agent.runs.run import MODES, Run
from trackd_agent.runs.writer_facts import WriterFacts

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from anyio.abc import TaskGroup

    from trackd_agent.artifacts.saves import Saves
    from trackd_agent.monitor import Monitor
    from trackd_agent.runs.config import RunsConfig
    from trackd_agent.runs.options import (
        AttachOptions,
        Caller,
        ContinueOptions,
        EarlierRun,
        RunChanges,
        RunRef,
        RunSnapshot,
    )
    from trackd_agent.runs.upload.uplink import Uplink
    from trackd_agent.runs.writer import Writer
    from trackd_agent.upstream import UpstreamPool

log = structlog.get_logger()

_MAX_NAME_CHARS = 128
_POLL_S = 0.02


class RunRegistry:
    """Async context manager that owns all runs, their journals and their uploads.

    Args:
        data_dir: the data directory.
        config: settings of this room.
        upstreams: clients of the servers.
        monitor: source of system metrics.
        epoch: changes with every start of the agent.
        rooms: settings of the rooms that runs use.
    """

    def __init__(
        self,
        *,
        data_dir: Path,
        config: RunsConfig,
        upstreams: UpstreamPool,
        monitor: Monitor,
        epoch: int,
        rooms: RoomConfigs | None = None,
    ) -> None:
        self._context = RunsContext(
            data_dir, config, rooms or RoomConfigs(), upstreams, monitor, anyio.Lock()
        )
        self._epoch = epoch
        self._runs: dict[str, Run] = {}
        self._writers: dict[str, Writer] = {}
        self._ended: deque[RunSnapshot] = deque(maxlen=config.remembered_runs)
        self._recovery = Recovery(self._context, self.run_for, self._runs.values())
        self._tasks: TaskGroup | None = None
        #: How often the watch has looked at everything.
        self._rounds = 0

    async def __aenter__(self) -> RunRegistry:
        self._tasks = await anyio.create_task_group().__aenter__()
        self._tasks.start_soon(self._sync_journals)
        self._tasks.start_soon(self._watch)
        self._tasks.start_soon(self._follow)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        assert self._tasks is not None
        self._tasks.cancel_scope.cancel()
        try:
            return await self._tasks.__aexit__(kind, error, trace)
        finally:
            with anyio.CancelScope(shield=True):
                await self._sync_once()
            for run in self._runs.values():
                run.close()

    @property
    def saves(self) -> Saves:
        """The saves of artifacts of all runs."""
        return self._context.saves

    # -- joining ---------------------------------------------------------------------------

    async def earlier_run(self, options: ContinueOptions) -> EarlierRun | None:
        """Return what a run has so far, rewound where that is asked for; None: there is none.

        Raises:
            InvalidRequest: the run is there and must not be, or the other way round.
            NotAuthenticated: the server does not take the API key.
            UpstreamUnavailable: nobody could tell in time.
        """
        if options.api_key and options.base_url:
            await self._context.upstreams.credentials.put(options.base_url, options.api_key)
        run = self._same_run(options)
        earlier = await continuing.earlier_run(options, run, self._context)
        if run is not None and options.rewind_to_step is not None:
            await self._settle(run)
        return earlier

    async def attach(self, options: AttachOptions, caller: Caller) -> Attachment:
        """Let a writer join a run, or come back to it.

        Raises:
            InvalidRequest: a field is wrong.
            RunAlreadyAttached: a living writer holds the label.
            JournalFull: the journal cannot be written.
        """
        check_names(options)
        if options.api_key and options.base_url:
            await self._context.upstreams.credentials.put(options.base_url, options.api_key)
        if options.mode == "offline" and not options.reattach:
            await self._make_way(options)
        run = self.run_for(facts_of(options, options.label))
        run.check_mode(options.mode)
        writer = run.writer_of(options.producer)
        if writer is None or not writer.is_alive:
            label = run.free_label(
                options.label, options.producer, rename=options.rename_on_conflict
            )
            if writer is not None:
                raise InvalidRequest(
                    "WRITER_ENDED",
                    f"writer {options.producer:016x} of run {options.run_id!r} has ended; "
                    "start a new one with init()",
                )
            facts = facts_of(options, label)
            writer = run.add(facts)
            self._start_uplinks(run)
        if options.spool_dir:
            await bridge_gap(writer, options.spool_dir)
        self._writers.pop(writer.capability, None)
        pid = caller.pid or options.pid
        seen = bool(caller.pid)
        writer.sampling.learn(options.hints, options.pid)
        writer.attach(pid, options.pid_start_ticks, options.spool_dir, seen=seen)
        self._writers[writer.capability] = writer
        log.info("writer_attached", run_id=run.run_id, label=writer.label, pid=pid)
        return Attachment(
            last_seq=writer.journal.last_seq,
            epoch=self._epoch,
            label=writer.label,
            run_dir=run.run_dir,
            url=run.url,
            reads_spool=writer.window.is_usable(),
            capability=writer.capability,
        )

    def _same_run(self, options: AttachOptions | ContinueOptions) -> Run | None:
        asked = (options.entity, options.project, options.run_id)
        known = self._runs.values()
        return next((r for r in known if (r.entity, r.project, r.run_id) == asked), None)

    async def _make_way(self, options: AttachOptions) -> None:
        """Let go of an offline run that is over: its id used again begins one in its own folder.

        A writer under another label is one more process of the same run.
        """
        run = self._same_run(options)
        if (
            run is not None
            and not run.is_online
            and options.label in [w.label for w in run.writers]
        ):
            with anyio.move_on_after(self._context.config.detach_wait_s):
                for writer in run.writers:
                    if not writer.is_alive:
                        await writer.pumps.wait_until_over()
            await self._watch_over(run)

    def writer(self, capability: str) -> Writer:
        """Return the writer that a capability was given to.

        Raises:
            NotAllowed: it was given to nobody, or is outdated.
        """
        writer = self._writers.get(capability)
        if writer is None:
            raise NotAllowed(
                "CAPABILITY_UNKNOWN", "this capability is not valid (any more); attach again"
            )
        return writer

    def run_for(self, facts: WriterFacts) -> Run:
        """Return the run that a writer belongs to, made if it is new here."""
        facts.base_url = self._context.upstreams.address_of(facts.base_url)
        run = Run(facts, self._context)
        return self._runs.setdefault(run.key, run)

    def _start_uplinks(self, run: Run) -> None:
        assert self._tasks is not None
        for uplink in run.uplinks:
            if not uplink.is_running:
                uplink.is_running = True
                self._tasks.start_soon(self._run_uplink, run, uplink)
        for reader in new_readers(run, self._context):
            self._tasks.start_soon(reader.run)

    async def _run_uplink(self, run: Run, uplink: Uplink) -> None:
        """Keep one uplink going; whatever goes wrong in it stays in it."""
        while True:
            try:
                await uplink.run()
            except Exception:
                uplink.is_running = True  # it will be: a run that is not over keeps its journals
                log.exception("uplink_failed", run_id=run.run_id)
                await anyio.sleep(self._context.config.restart_s)
            else:
                return  # the watch settles the run

    # -- recovery and watch ----------------------------------------------------------------

    async def recover(self) -> None:
        """Take up every run that an earlier agent left unfinished."""
        await self._recovery.adopt_journals()
        for run in self._runs.values():
            self._start_uplinks(run)

    async def _watch(self) -> None:
        """Notice ranks that died, and records that only lie in spools."""
        while True:
            await self._context.look.wait(self._context.config.watch_interval_s)
            for run in list(self._runs.values()):
                await self._watch_over(run)
            if not self._recovery.is_complete:
                await self.recover()
            for run in await self._recovery.adopt_spools(self._known_spools()):
                self._start_uplinks(run)
            self._rounds += 1

    async def _watch_over(self, run: Run) -> None:
        """Look after one run; whatever goes wrong stays in it, and the next round tries again."""
        try:
            for writer in run.writers:
                await look_after(writer)
            run.tell_trouble()
            await self._settle(run)
        except Exception:
            log.exception("watch_failed", run_id=run.run_id)

    async def _follow(self) -> None:
        """Read TensorBoard files in turns; whatever goes wrong in one writer's stays there."""
        while True:
            await anyio.sleep(self._context.config.tensorboard_interval_s)
            writers = [writer for run in self._runs.values() for writer in run.writers]
            for writer in writers:
                if not (writer.event_files.is_active and writer.is_alive):
                    continue
                try:
                    await writer.event_files.turn()
                except JournalFull as error:
                    writer.problem = error.message
                except Exception:
                    log.exception("event_files_failed", run_id=writer.facts.run_id)

    def _known_spools(self) -> set[str]:
        writers = [writer for run in self._runs.values() for writer in run.writers]
        guests = [spool_dir for writer in writers for spool_dir in writer.guests.spool_dirs]
        return {*(writer.facts.spool_dir for writer in writers), *guests}

    async def _settle(self, run: Run) -> None:
        """Forget a run that is over; its journals go when every server has everything."""
        if not run.is_over or self._runs.get(run.key) is not run:
            return
        # While a spool is left, the journal proves that its records are known.
        if not await clear_spools(run) or not run.is_over or self._runs.get(run.key) is not run:
            return
        del self._runs[run.key]
        if run.writers:
            self._ended.appendleft(run.snapshot())
        for writer in run.writers:
            self._writers.pop(writer.capability, None)
            if run.is_online:
                writer.destroy()
            else:
                await anyio.to_thread.run_sync(writer.journal.sync)
                writer.close()
        if run.is_online:
            with contextlib.suppress(OSError):  # a new attempt of the run is in there already
                run.journal_dir.rmdir()
        log.info("run_over", run_id=run.run_id, state=run.state)

    # -- durability ------------------------------------------------------------------------

    async def _sync_journals(self) -> None:
        while True:
            await anyio.sleep(self._context.rooms.journal.sync_interval_s)
            await self._sync_once()

    async def _sync_once(self) -> None:
        """Bring everything journalled so far to the disk, in a worker thread."""
        dirty = [
            journal
            for run in self._runs.values()
            for writer in run.writers
            for journal in (writer.journal, writer.agent_journal)
            if journal.is_dirty
        ]
        for journal in dirty:
            try:
                await anyio.to_thread.run_sync(journal.sync)
            except JournalFull as error:
                log.warning("journal_not_synced", problem=error.message)

    # -- what people ask -------------------------------------------------------------------

    def runs(self, active_only: bool = False) -> list[RunSnapshot]:
        """Return the runs known here, newest first."""
        active = [run.snapshot() for run in self._runs.values()]
        active.sort(key=lambda run: run.started_s, reverse=True)
        return active if active_only else [*active, *self._ended]

    def status(self, ref: RunRef) -> RunSnapshot:
        """Return the state of one run, ended ones included.

        Raises:
            UnknownRun: there is none here.
        """
        for run in self._runs.values():
            if run.matches(ref):
                return run.snapshot()
        for ended in self._ended:
            if ended.run_id == ref.run_id and ref.project in ("", ended.project):
                return ended
        raise unknown_run(ref)

    @property
    def upstreams(self) -> UpstreamPool:
        """The servers in use."""
        return self._context.upstreams

    @property
    def is_idle(self) -> bool:
        """Whether no rank is here and no upload can move."""
        return not any(
            run.has_living_writer or (run.is_uploading and not run.problem)
            for run in self._runs.values()
        )

    @property
    def backlog_bytes(self) -> int:
        """Journal bytes that some server has not acknowledged."""
        return sum(run.backlog_bytes for run in self._runs.values())

    @property
    def journal_bytes(self) -> int:
        """Size of all journals."""
        return sum(
            writer.journal.size_bytes + writer.agent_journal.size_bytes
            for run in self._runs.values()
            for writer in run.writers
        )

    async def flush(self, run_id: str | None, timeout_s: float) -> tuple[bool, int]:
        """Wait until what is recorded now is at every server; return whether, and what is left.

        Also what a rank that has just ended left in its spool.

        Raises:
            UnknownRun: there is no such run here.
        """
        deadline_s = time.monotonic() + timeout_s
        with anyio.move_on_after(timeout_s):
            whole = self._rounds + 2  # the round that is under way may have seen the rank alive
            while self._rounds < whole:
                self._context.look.set()
                await anyio.sleep(_POLL_S)
        runs = [run for run in self._runs.values() if run_id in (None, run.run_id)]
        if run_id is not None and not runs:
            if any(ended.run_id == run_id for ended in self._ended):
                return True, 0
            raise UnknownRun("UNKNOWN_RUN", f"this agent knows no run {run_id!r}")
        return await operators.flush(runs, max(0.0, deadline_s - time.monotonic()))

    async def update(self, ref: RunRef, changes: RunChanges) -> None:
        """Change a run from outside its ranks.

        Raises:
            UnknownRun: there is none here.
            InvalidRequest: a value is no JSON.
        """
        operators.update(self._find(ref), changes)

    async def finish(self, ref: RunRef, exit_code: int) -> list[str]:
        """End the writers of a run whose processes are gone; return the labels of those that live.

        Raises:
            UnknownRun: there is none here.
            JournalFull: no space for what a rank left.
        """
        return await operators.finish(self._find(ref), exit_code)

    async def read_summary(
        self, ref: RunRef, label: str = "", *, all_writers: bool = False
    ) -> tuple[str, int]:
        """Return the summary as JSON text as the records journalled so far make it, and the step.

        Raises:
            UnknownRun: there is no such run or writer here.
        """
        run = self._find(ref)
        return await operators.read_summary(run, label, self._context, all_writers=all_writers)

    async def read_digest(self, ref: RunRef, label: str) -> tuple[str, str] | None:
        """Return summary and sample of the history of a writer; None: it is far behind.

        Raises:
            UnknownRun: there is no such run or writer here.
        """
        return await operators.read_digest(self._find(ref), label, self._context)

    def _find(self, ref: RunRef) -> Run:
        for run in self._runs.values():
            if run.matches(ref):
                return run
        raise unknown_run(ref)


def unknown_run(ref: RunRef) -> UnknownRun:
    """Return the error for a run that is not here."""
    return UnknownRun("UNKNOWN_RUN", f"this agent knows no run {ref.run_id!r}")


def facts_of(options: AttachOptions, label: str) -> WriterFacts:
    """Return what is kept of an attach."""
    return WriterFacts(
        run_id=options.run_id,
        project=options.project,
        entity=options.entity,
        mode=options.mode,
        run_dir=str(options.run_dir),
        base_url=options.base_url.rstrip("/"),
        label=label,
        producer=options.producer,
        spool_dir=str(options.spool_dir) if options.spool_dir else "",
        attached_s=time.time(),
        pid=options.pid,
    )


def check_names(options: AttachOptions) -> None:
    """Refuse an attach whose names cannot be used in addresses and folders.

    Raises:
        InvalidRequest: names field, value and remedy.
    """
    for field, value, required in (
        ("run_id", options.run_id, True),
        ("project", options.project, True),
        ("entity", options.entity, False),
        ("label", options.label, False),
    ):
        bad = [c for c in value if ord(c) < 32 or (c in "/\\#?%:" and field != "label")]
        if bad or len(value) > _MAX_NAME_CHARS or (required and not value.strip()):
            raise InvalidRequest(
                "INVALID_NAME",
                f"{field}={value[:64]!r} must have 1 to {_MAX_NAME_CHARS} characters, none of "
                "them a control character or one of /\\#?%:",
                details={"field": field, "value": value[:_MAX_NAME_CHARS]},
            )
    if not options.producer:
        raise InvalidRequest("INVALID_PRODUCER", "producer must be 64 random bits, not 0")
    if options.mode not in MODES:
        raise InvalidRequest(
            "INVALID_MODE", f"mode={options.mode!r} must be one of {', '.join(MODES)}"
        )
    if not options.run_dir.is_absolute():
        raise InvalidRequest(
            "INVALID_RUN_DIR", f"run_dir={str(options.run_dir)!r} must be an absolute path"
        )
