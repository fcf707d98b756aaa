"""The sampler: when to read, for whom, and what each of them gets.

Ticks lie on a grid: a subject with interval `i` is due at multiples of `i` on the monitor's own
clock, so all subjects with the same interval are served by one tick and nothing drifts. The
first sample comes at once; the second at the first grid point at least half an interval later.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import anyio
import structlog
from anyio import to_thread

from trackd_agent.monitor.contract import Readings
from trackd_agent.monitor.describing import Describer
from trackd_agent.monitor.readers import Readers
from trackd_agent.monitor.registry import REGISTRATIONS, choose
from trackd_agent.monitor.runner import CollectorRunner, CollectorState
from trackd_agent.monitor.series import Series
from trackd_agent.monitor.subject import MIN_INTERVAL_S, Target
from trackd_agent.monitor.surroundings import Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from anyio.abc import TaskGroup

    from trackd_agent.monitor.config import MonitorConfig
    from trackd_agent.monitor.contract import Event, Registration
    from trackd_agent.monitor.describing import DescriptionSink
    from trackd_agent.monitor.subject import Subject

    #: Takes wall-clock time (seconds since 1970) and values by key, on the event loop.
    Sink = Callable[[float, dict[str, float]], None]
    #: Takes wall-clock time and what happened since the subject's last sample, on the event loop.
    EventSink = Callable[[float, list[Event]], None]

_log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Watch:
    """A subscription as the sampler sees it."""

    subject: Subject
    sink: Sink
    due_s: float
    happened: EventSink | None = None
    series: Series = field(default_factory=Series)
    target: Target | None = None  # found at the first sample
    is_paused: bool = False


class Subscription:
    """A subject's place in the sampler; the subscriber cancels it when the rank ends."""

    def __init__(
        self,
        cancel: Callable[[], None],
        hurry: Callable[[], None] | None = None,
        pause: Callable[[bool], None] | None = None,
    ) -> None:
        self._cancel = cancel
        self._hurry = hurry
        self._pause = pause

    def cancel(self) -> None:
        """Stop sampling for this subject; again is harmless."""
        self._cancel()

    def hurry(self) -> None:
        """Sample it now, out of turn."""
        if self._hurry is not None:
            self._hurry()

    def pause(self, *, paused: bool) -> None:
        """Skip its ticks, or go on: at once where one was skipped."""
        if self._pause is not None:
            self._pause(paused)


class Monitor:
    """Samples the node for everybody who subscribed; an async context manager."""

    def __init__(
        self,
        config: MonitorConfig,
        registrations: Sequence[Registration] = REGISTRATIONS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the collectors that the configuration asks for.

        Args:
            config: Settings of the node.
            registrations: Collectors to choose from; all that there are by default.
            clock: Monotonic seconds.

        Raises:
            ValueError: The configuration names an unknown collector.
        """
        self._config = config
        self._clock = clock
        self._epoch_s = clock()
        self._readers = Readers.of(config)
        chosen = choose(registrations, config.collectors) if config.enabled else []
        limiter = anyio.CapacityLimiter(max(1, len(chosen)))
        self._runners = [CollectorRunner(each, self._readers, limiter) for each in chosen]
        self._off = [
            CollectorState(each.name, is_on=False) for each in registrations if each not in chosen
        ]
        self._describer = Describer(
            [*self._runners, Surroundings(config)] if config.enabled else []
        )
        self._watches: list[_Watch] = []
        self._changed = anyio.Event()
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        if self._runners:
            self._tasks.start_soon(self._run, name="monitor")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        if self._tasks is None:
            return None
        self._tasks.cancel_scope.cancel()
        try:
            return await self._tasks.__aexit__(kind, error, traceback)
        finally:
            with anyio.CancelScope(shield=True):  # bounded: see `ProbeReader.close`
                await to_thread.run_sync(self._readers.close)

    def subscribe(
        self, subject: Subject, sink: Sink, happened: EventSink | None = None
    ) -> Subscription:
        """Sample a subject from now on; `sink` is called on the event loop after each sample.

        `happened` is called when there were events that concern the subject.
        """
        watch = _Watch(subject, sink, self._clock(), happened)
        self._watches.append(watch)
        self._changed.set()

        def cancel() -> None:
            if watch in self._watches:
                self._watches.remove(watch)
                self._forget(subject)

        def hurry() -> None:
            watch.due_s = self._clock()
            self._changed.set()

        def pause(paused: bool) -> None:
            watch.is_paused = paused
            self._changed.set()

        return Subscription(cancel, hurry, pause)

    def subjects(self) -> list[Subject]:
        """Return who is sampled now."""
        return [watch.subject for watch in self._watches]

    async def describe(self, subject: Subject) -> dict[str, Any]:
        """Return what is known of this machine: a part of a run's environment.

        Waits for the slowest collector, up to the deadline of `describing`; only cancellation
        raises.
        """
        return await self._describer.describe(subject)

    def follow_description(self, subject: Subject, sink: DescriptionSink) -> Subscription:
        """Hand a description to `sink` on the event loop, soon and whenever it has changed."""
        scope = anyio.CancelScope()

        async def follow() -> None:
            with scope:
                try:
                    await self._describer.follow(subject, sink)
                except Exception:  # noqa: BLE001
                    # Seam: a follower that cannot take it must not stop the rest.
                    _log.exception("description_not_taken", subject=subject.key)

        if self._tasks is None:
            sink({})  # nobody will ever look
        else:
            self._tasks.start_soon(follow, name=f"describe {subject.key}")
        return Subscription(scope.cancel)

    def status(self) -> list[CollectorState]:
        """Return how each collector has done so far, those that are switched off included."""
        return [*(runner.state for runner in self._runners), *self._off]

    async def _run(self) -> None:
        while True:
            self._changed = anyio.Event()
            waiting = [watch.due_s for watch in self._watches if not watch.is_paused]
            next_due_s = min(waiting, default=math.inf)
            with anyio.move_on_after(max(0.0, next_due_s - self._clock())):
                await self._changed.wait()
            now_s = self._clock()
            if due := [
                each for each in self._watches if each.due_s <= now_s and not each.is_paused
            ]:
                try:
                    await self._tick(due)
                except Exception:  # noqa: BLE001
                    # Seam: without it a node that has no thread to spare would lose its agent.
                    _log.exception("tick_failed")

    async def _tick(self, due: list[_Watch]) -> None:
        """Read once for all that are due, and hand each its values."""
        for watch in due:
            # The interval comes from a rank; a foolish one must not keep the node busy.
            watch.due_s = self._next_due_s(max(MIN_INTERVAL_S, watch.subject.interval_s))
        targets = await to_thread.run_sync(self._find_targets, due)
        time_s = time.time()
        found = {runner: Readings() for runner in self._runners}  # keeps the order of keys
        async with anyio.create_task_group() as tasks:
            for runner in self._runners:
                tasks.start_soon(self._collect, runner, targets, found)
        for watch in due:
            if watch in self._watches:
                self._deliver(watch, time_s, found.values())
            else:  # cancelled meanwhile
                self._forget(watch.subject)
        self._announce(time_s, [event for each in found.values() for event in each.events])
        self._describer.look_for_news()

    def _forget(self, subject: Subject) -> None:
        for runner in self._runners:
            runner.forget(subject)

    async def _collect(
        self,
        runner: CollectorRunner,
        targets: Sequence[Target],
        found: dict[CollectorRunner, Readings],
    ) -> None:
        found[runner] = await runner.tick(targets, self._config.deadline_s)

    def _find_targets(self, due: list[_Watch]) -> list[Target]:
        targets: list[Target] = []
        for watch in due:
            if watch.target is None:
                watch.target = self._find_target(watch.subject)
            targets.append(watch.target)
        return targets

    def _find_target(self, subject: Subject) -> Target:
        try:
            return self._readers.target(subject)
        except Exception:  # noqa: BLE001
            # Seam: a file of /proc that reads unlike any known one must not end the monitor, and
            # the agent with it; the figures of the whole machine are still good.
            _log.exception("subject_not_read", subject=subject.key)
            return Target(subject, None, None, float(self._readers.host.physical_cpus))

    def _deliver(self, watch: _Watch, time_s: float, found: Iterable[Readings]) -> None:
        key = watch.subject.key
        readings = (
            reading for each in found for reading in (*each.shared, *each.by_subject.get(key, ()))
        )
        try:
            if values := watch.series.values(readings):
                watch.sink(time_s, values)
        except Exception:  # noqa: BLE001
            # Seam: a subscriber that cannot take its sample (a full disk), or a collector that
            # reports what is no number, must not stop the rest.
            _log.exception("stats_not_taken", subject=key)

    def _announce(self, time_s: float, events: list[tuple[str | None, Event]]) -> None:
        """Tell each subject what happened, also those that are not due: it is told only once."""
        for watch in list(self._watches) if events else ():
            mine = [event for key, event in events if _concerns(watch.subject, key, event)]
            if not mine or watch.happened is None:
                continue
            try:
                watch.happened(time_s, mine)
            except Exception:  # noqa: BLE001 (seam: as for samples)
                _log.exception("events_not_taken", subject=watch.subject.key)

    def _next_due_s(self, interval_s: float) -> float:
        """Return the first point of the interval's grid at least half an interval from now."""
        since_epoch_s = self._clock() - self._epoch_s
        return self._epoch_s + math.ceil(since_epoch_s / interval_s + 0.5) * interval_s


def _concerns(subject: Subject, key: str | None, event: Event) -> bool:
    is_wanted = event.gpu is None or subject.wants_gpu(event.gpu)
    return is_wanted and key in (None, subject.key)
