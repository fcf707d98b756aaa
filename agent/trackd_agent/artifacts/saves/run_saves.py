"""The saves of one run at one server: those of a collection follow one another."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import anyio.to_thread
import structlog

from trackd_agent.artifacts.saves import part_notes, staged
from trackd_agent.artifacts.saves.failures import SaveFailed
from trackd_agent.artifacts.saves.progress import SaveState
from trackd_agent.artifacts.saves.saver import Saver
from trackd_agent.artifacts.saves.saves import CANCELLED, GONE, Save

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

    from trackd_agent.artifacts.saves.destination import Destination
    from trackd_agent.artifacts.saves.order import SaveOrder
    from trackd_agent.artifacts.saves.saves import Saves
    from trackd_proto.records import ArtifactLogged

log = structlog.get_logger()


@dataclass(slots=True)
class _Waiting:
    """A save before its turn: there may be tens of thousands, so its order is elsewhere."""

    save: Save
    load: Callable[[], SaveOrder]
    on_end: Callable[[Save], Awaitable[None]]


@dataclass(slots=True)
class _Line:
    """The saves of one collection."""

    waiting: deque[_Waiting] = field(default_factory=deque[_Waiting])


class RunSaves:
    """Carries out the saves of one run at one server.

    Args:
        saves: those of the whole agent.
        destination: where to.
    """

    def __init__(self, saves: Saves, destination: Destination) -> None:
        #: How the last save failed that did, for people; empty: none did.
        self.failure = ""
        self._saves = saves
        self._destination = destination
        self._lanes = saves.lanes_to(destination.courier.upstream)
        self._lines: dict[str, _Line] = {}
        self._unfinished: dict[str, _Waiting] = {}
        self._drained = anyio.Event()
        self._drained.set()
        self._tasks: TaskGroup | None = None

    @property
    def unfinished(self) -> int:
        """Saves that wait or go on."""
        return len(self._unfinished)

    def add(
        self,
        key: str,
        record: ArtifactLogged,
        load: Callable[[], SaveOrder],
        on_end: Callable[[Save], Awaitable[None]],
    ) -> None:
        """Queue a save.

        Args:
            key: of the record.
            record: of the artifact.
            load: returns what to save, when it is its turn; reads files, raises `SaveFailed`.
            on_end: called when it has ended, before anybody is told.
        """
        if (same := self._unfinished.get(key)) is not None:
            same.on_end = on_end  # a pump began anew
            return
        save = Save(key, record.client_id, record.name, record.type)
        if self._destination.is_main:
            self._saves.begin(save)
        else:
            self._saves.begin_at_mirror(save)
        if not self._unfinished:
            self._drained = anyio.Event()
        waiting = self._unfinished[key] = _Waiting(save, load, on_end)
        line = self._lines.get(record.name)
        is_idle = line is None
        if line is None:
            line = self._lines[record.name] = _Line()
        line.waiting.append(waiting)
        if is_idle and self._tasks is not None:
            self._tasks.start_soon(self._work_off, record.name)

    async def drained(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing waits or goes on; return whether that came in time."""
        with anyio.move_on_after(timeout_s):
            while self._unfinished:
                await self._drained.wait()
        return not self._unfinished

    async def run(self) -> None:
        """Carry out saves until cancelled."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            for name in self._lines:
                tasks.start_soon(self._work_off, name)
            await anyio.sleep_forever()

    # -- one collection --------------------------------------------------------------------

    async def _work_off(self, name: str) -> None:
        line = self._lines[name]
        while line.waiting:
            waiting = line.waiting[0]
            async with self._lanes.saves:
                await self._carry_out(waiting)
            line.waiting.popleft()
            del self._unfinished[waiting.save.key]
            if not self._unfinished:
                self._drained.set()
        del self._lines[name]

    async def _carry_out(self, waiting: _Waiting) -> None:
        save = waiting.save
        order: SaveOrder | None = None
        with anyio.CancelScope() as scope:
            save.scope = scope
            order = await self._loaded(waiting)
            if save.wants_cancel:
                scope.cancel()
                await anyio.lowlevel.checkpoint()
            if order is not None and not save.state.is_end:
                await self._attempt(save, order)
        if scope.cancelled_caught:
            save.end(SaveState.CANCELLED, CANCELLED, GONE)
        self._destination.courier.problem = ""
        if save.state is SaveState.FAILED:
            self.failure = save.error
        if self._destination.is_main:
            await self._saves.keep_result(save)
        await anyio.to_thread.run_sync(self._clean_up, save, order)
        await waiting.on_end(save)
        save.ended.set()

    async def _loaded(self, waiting: _Waiting) -> SaveOrder | None:
        """Return what to save; None: it is lost, which the save says."""
        save = waiting.save

        def load() -> SaveOrder:
            told = self._saves.told_before(save)
            state = told.state if told is not None else None
            order = waiting.load()
            if told is not None and state is SaveState.COMMITTED and not order.keeps_files:
                # Its files are gone, and the version may have been deleted since.
                save.artifact_id, save.is_unchanged = told.artifact_id, told.is_unchanged
                save.end(SaveState.COMMITTED)
            elif state is SaveState.CANCELLED or self._saves.given_up.has(save.client_id):
                save.wants_cancel = True
            return order

        try:
            with anyio.CancelScope(shield=True):  # also of a cancelled one files are removed
                return await anyio.to_thread.run_sync(load)
        except SaveFailed as failure:
            waiting.save.end(SaveState.FAILED, failure.code, failure.message)
            log.warning("save_lost", name=waiting.save.name, problem=failure.message)
            return None

    def _clean_up(self, save: Save, order: SaveOrder | None) -> None:
        """Remove what nobody needs when a save has ended, however it did."""
        whose = self._destination.courier.upstream.base_url, save.client_id
        try:
            if order is not None:
                staged.remove(order)
            part_notes.forget_all(self._saves.uploads_dir, whose)
        except OSError as error:  # the save has ended all the same
            log.warning("files_of_save_stay", name=save.name, problem=str(error))

    async def _attempt(self, save: Save, order: SaveOrder) -> None:
        try:
            await Saver(save, order, self._destination, self._saves).run()
        except SaveFailed as failure:
            save.end(SaveState.FAILED, failure.code, failure.message)
            log.warning("artifact_not_saved", name=save.name, problem=failure.message)
        except Exception as error:
            log.exception("save_failed", name=save.name)
            problem = f"internal error: {type(error).__name__}: {error}"
            save.end(SaveState.FAILED, "INTERNAL", f"artifact {save.name!r}: {problem}")
        else:
            save.end(SaveState.COMMITTED)
