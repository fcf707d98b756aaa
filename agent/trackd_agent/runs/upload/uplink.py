"""One run on its way to one server: its pumps, its configuration, its files, its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import structlog

from trackd_agent.filestream import Offsets
from trackd_agent.runs.upload import ending
from trackd_agent.runs.upload.alerts import AlertSender
from trackd_agent.runs.upload.artifacts import PumpSaves, RunSaves, saves_at
from trackd_agent.runs.upload.metadata import Metadata
from trackd_agent.runs.upload.pump import Pump
from trackd_agent.runs.upload.run_settings import ignored_globs, manners_of, transfer_limits
from trackd_agent.runs.upload.upsert import Upsert
from trackd_agent.transfer import FileUploader
from trackd_agent.upstream import Courier, RunPath, Wake

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from anyio.abc import TaskGroup

    from trackd_agent.runs.context import RunsContext
    from trackd_agent.runs.upload.upsert import States
    from trackd_agent.runs.writer import Writer
    from trackd_agent.upstream import Upstream

log = structlog.get_logger()


class Uplink:
    """One run at one server.

    Args:
        run: id, project and entity as the ranks named them.
        run_dir: folder of the run on this node.
        upstream: the server.
        context: settings and neighbours.
        is_first: whether this is the run's main server, which writes local files and notices.
    """

    def __init__(
        self,
        run: RunPath,
        run_dir: Path,
        upstream: Upstream,
        context: RunsContext,
        *,
        is_first: bool,
    ) -> None:
        self.is_first = is_first
        self.files_dir = run_dir / "files"
        self.upstream = upstream
        self._upsert_courier = Courier(upstream)
        self.upsert = Upsert(
            self._upsert_courier, run, self._states, context.config.upsert_interval_s
        )
        self.metadata = self._new_metadata()
        self.is_running = False
        self._files_courier = Courier(upstream)
        self._saves_courier = Courier(upstream)
        self._context = context
        self._pumps: dict[int, Pump] = {}
        self._joined: list[Pump] = []
        self._completed: set[int] = set()
        self._uploader: FileUploader | None = None
        self._saves: RunSaves | None = None
        #: Passes on alerts, best effort.
        self.alerts = AlertSender(self._upsert_courier)
        #: Settings of the writer that joined first.
        self._settings: dict[str, Any] = {}
        self._changed = Wake()
        self._tasks: TaskGroup | None = None

    # -- what the run says -----------------------------------------------------------------

    def add(self, writer: Writer) -> None:
        """Carry one more writer."""
        pump = Pump(writer, self, self._context)
        self._pumps[writer.producer] = pump
        writer.pumps.add(pump)
        if not writer.facts.is_plain and not self.upsert.headers:
            self.upsert.headers = {
                "X-WANDB-USE-ASYNC-FILESTREAM": "true",
                "X-WANDB-CLIENT-ID": writer.facts.writer_id,
            }
        if self._tasks is not None:
            self._tasks.start_soon(self._carry, writer)
        self._changed.set()

    def hurry(self) -> None:
        """Cut all waits short, now and once."""
        self._upsert_courier.hurry.set()
        self._files_courier.hurry.set()
        self._saves_courier.hurry.set()
        for pump in self._pumps.values():
            pump.hurry()

    # -- what people ask -------------------------------------------------------------------

    @property
    def problem(self) -> str:
        """What keeps the upload from moving; empty when it moves."""
        pumps = [pump.courier for pump in self._pumps.values()]
        couriers = [self._upsert_courier, *pumps, self._files_courier, self._saves_courier]
        return next((courier.problem for courier in couriers if courier.problem), "")

    @property
    def is_complete(self) -> bool:
        """Whether everything journalled so far is at the server."""
        waiting = self._uploader is not None and self._uploader.unfinished > 0
        waiting |= self._saves is not None and self._saves.unfinished > 0
        return not waiting and not any(pump.is_behind for pump in self._pumps.values())

    def dropped_files(self, pump: Pump) -> Mapping[str, int]:
        """Return how many files were given up, by reason; told by the first writer only."""
        is_speaker = self._joined[:1] == [pump] and self._uploader is not None
        return self._uploader.dropped if is_speaker and self._uploader else {}

    # -- what pumps ask --------------------------------------------------------------------

    @property
    def uploader(self) -> FileUploader:
        """The run's files; only once the run is known to the server."""
        if self._uploader is None:
            self._uploader = FileUploader(
                self._files_courier,
                self.upsert.path,
                self.files_dir,
                transfer_limits(self._context.rooms.transfer, self._settings),
                self.upsert.headers,
                ignored_globs(self._settings),
            )
        return self._uploader

    @property
    def saves(self) -> RunSaves:
        """The run's artifacts; only once the run is known to the server."""
        if self._saves is None:
            self._saves = saves_at(self, self._saves_courier, self._context)
        return self._saves

    def saves_of(self, writer: Writer, name: str) -> PumpSaves:
        """Return what brings a writer's artifacts here; `name` is that of its pump's files."""
        return PumpSaves(writer, self, name, self._context)

    def joined(self, pump: Pump) -> None:
        """A pump knows its writer's first record; the first one's settings hold for the run."""
        if not self._joined and pump.state is not None:
            self._settings = pump.state.start.settings
            manners = manners_of(self._settings)
            self._upsert_courier.manner = manners.calls
            self._files_courier.manner = manners.files
            self._saves_courier.manner = manners.files
        if pump not in self._joined:
            self._joined.append(pump)
        if self._tasks and pump.state and pump.writer.facts.mode != "offline":
            self.metadata.joined(pump.state, self._tasks)  # a sync may be on another machine
        self.upsert.mark()

    async def first_offsets(self, pump: Pump) -> Offsets:
        """Return where the lines of a new stream go.

        A plain writer goes on behind what the run has: behind an earlier writer of this node,
        once that is through, else behind the lines that the server counts.
        """
        if not pump.writer.facts.is_plain:
            return Offsets()
        while last := self._plain_before(pump):
            await last.over.wait()
            if last.stream is not None and last is self._plain_before(pump):  # not replaced
                before = last.stream.offsets
                return Offsets(
                    before.history, before.events, before.console_base + last.console_lines
                )
        return await self.upsert.line_counts()

    def _plain_before(self, pump: Pump) -> Pump | None:
        earlier = self._joined[: self._joined.index(pump)]
        return next((p for p in reversed(earlier) if p.writer.facts.is_plain), None)

    # -- life ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Carry all writers; return when they have ended and everything is at the server."""
        self.is_running = True
        # What earlier ones had in hand the checkpoints announce again.
        self._uploader = self._saves = None
        self.metadata = self._new_metadata()
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                tasks.start_soon(self.upsert.run)
                tasks.start_soon(self._serve_files)
                tasks.start_soon(self._serve_artifacts)
                tasks.start_soon(self._serve_alerts)
                for pump in list(self._pumps.values()):
                    tasks.start_soon(self._carry, pump.writer)
                while not self._is_over():
                    await self._wait_until_over()
                    await self._complete()
                tasks.cancel_scope.cancel()
        finally:
            self._tasks = None
            self.is_running = False

    def _is_over(self) -> bool:
        return self._completed == set(self._pumps)

    async def _wait_until_over(self) -> None:
        while not all(pump.over.is_set() for pump in self._pumps.values()):
            await self._changed.wait()

    async def _carry(self, writer: Writer) -> None:
        """Run a writer's pump; one that fails unexpectedly starts again from its checkpoint."""
        while True:
            pump = self._pumps[writer.producer]
            try:
                await pump.run()
            except Exception as error:
                log.exception(
                    "pump_failed",
                    run_id=writer.facts.run_id,
                    label=writer.label,
                    upstream=self.upstream.name,
                )
                pump.courier.problem = f"internal error: {type(error).__name__}: {error}"
                await anyio.sleep(self._context.config.restart_s)
                self._replace(pump)
            else:
                self._changed.set()
                return

    def _replace(self, pump: Pump) -> None:
        writer = pump.writer
        fresh = Pump(writer, self, self._context)
        writer.pumps.replace(pump, fresh)
        self._pumps[writer.producer] = fresh
        if pump in self._joined:
            self._joined[self._joined.index(pump)] = fresh
            pump.over.set()  # who waits for it goes on to wait for the new one

    async def _serve_files(self) -> None:
        await self.upsert.ready.wait()
        await self.metadata.bring()
        await self.uploader.run()

    async def _serve_artifacts(self) -> None:
        await self.upsert.ready.wait()
        await self.saves.run()

    def _new_metadata(self) -> Metadata:
        return Metadata(self._upsert_courier, self.upsert, self._states, self._bring_own_files)

    async def _bring_own_files(self, contents: Mapping[str, bytes]) -> None:
        await ending.bring_own_files(contents, self.files_dir, self.uploader)

    async def _serve_alerts(self) -> None:
        await self.upsert.ready.wait()
        await self.alerts.run(self.upsert.path)

    # -- the end ---------------------------------------------------------------------------

    def _states(self) -> States:
        """Return the states of the writers by writer id, in order of joining."""
        return {
            pump.writer.facts.writer_id: pump.state
            for pump in self._joined
            if pump.state is not None
        }

    async def _complete(self) -> None:
        """Everything of all writers is there: bring the run's own files and its final state."""
        carried = set(self._pumps)
        pumps = [pump for pump in self._joined if pump.stream is not None]
        if pumps:
            await self.metadata.settled()
            await self.upsert.settle()
            await self._bring_own_files(ending.own_contents(self._states()))
            end = ending.Load(self.uploader, self.saves, self._context.config.files_grace_s)
            await ending.end_run(pumps, end)
            if ending.is_crashed(pumps):
                await self.upsert.tell_crashed()
        self._completed = carried
