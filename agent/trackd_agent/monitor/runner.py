"""Running one collector: in a worker thread, under a deadline, with failures counted.

A collector that hangs (a network file system that does not answer) costs one deadline: its
thread is left behind, and until that returns the collector is skipped, so threads never pile up.
One that is slow each time costs a deadline once, and a moment from then on.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import anyio
import structlog
from anyio import to_thread

from trackd_agent.monitor.contract import (
    Collector,
    Forgets,
    NobodyAsksError,
    NoDataError,
    Readings,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd_agent.monitor.contract import Event, Registration
    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.subject import Subject, Target

_log = structlog.get_logger()
#: How long a tick waits for a collector that met the deadline, until it has been quick again.
_SLOW_WAIT_S = 0.2
#: Failures after the first are logged each time their number reaches a power of this.
_LOG_BASE = 10
#: Events of one collector that wait for its next tick; what is more is dropped, and counted.
_MAX_EVENTS = 256
#: Distinct problems that are remembered (and so logged) for one collector.
_MAX_PROBLEMS = 100
#: How many of the last tick's problems its state shows, and how much of each.
_SHOWN_PROBLEMS = 5
_SHOWN_CHARS = 300


class _LateError(Exception):
    """A collector has not come back in time. (`TimeoutError` may be one of its own.)"""


@dataclass(frozen=True, slots=True)
class CollectorState:
    """How a collector has done so far: the monitor's own metrics."""

    name: str
    ticks: int = 0  # how often it ran, or should have
    failures: int = 0  # ticks that ended in an error, deadlines included
    timeouts: int = 0  # ticks that met the deadline, or found the last one still running
    # These two are of the last tick for somebody who asks for what the collector reads.
    no_data: bool = False  # it found nothing to read on this machine
    success: bool = True  # it gave readings, or had none to give
    last_duration_s: float = 0.0
    total_duration_s: float = 0.0
    reason: str = ""  # why the last tick gave nothing
    problems: tuple[str, ...] = ()  # parts that subjects' last ticks could not read, the first few
    dropped_events: int = 0  # what happened and was told to nobody: too much at once
    is_on: bool = True  # False: switched off by the configuration

    @property
    def word(self) -> str:
        """The state in a word: `ok`, `no_data`, `failing`, `waiting` (never ran), `off`."""
        if not self.is_on:
            return "off"
        if not self.ticks:
            return "waiting"
        if not self.success:
            return "failing"
        return "no_data" if self.no_data else "ok"


class CollectorRunner:
    """One collector and the policy around it."""

    def __init__(
        self, registration: Registration, readers: Readers, limiter: anyio.CapacityLimiter
    ) -> None:
        self.state = CollectorState(registration.name)
        self._registration = registration
        self._readers = readers
        self._limiter = limiter
        self._collector: Collector | None = None
        self._making = threading.Lock()
        #: Held by the thread that collects, also when nobody waits for it any more.
        self._collecting = threading.Lock()
        self._is_slow = False  # it met the deadline, and has not been quick since
        #: Grows whenever what the collector says about the machine may have changed.
        self.news = 0
        self._problems: set[str] = set()
        #: What could not be read for each subject that asks, at the last tick that it was due.
        self._askers: dict[str, tuple[str, ...]] = {}
        #: What happened, until it is told: a device that is lost makes the tick late that says so.
        self._events: deque[tuple[str | None, Event]] = deque()
        self._dropped_events = 0
        #: Subjects that went while a thread was at work, which may still ask for their things.
        self._gone: list[Subject] = []

    @property
    def name(self) -> str:
        """Return the name of the collector."""
        return self.state.name

    async def tick(self, targets: Sequence[Target], deadline_s: float) -> Readings:
        """Return the collector's readings, empty where it has none; only cancellation raises."""
        self.state = replace(self.state, ticks=self.state.ticks + 1)
        if self._collecting.locked():
            self._timed_out("the previous tick has not come back")
            return Readings()
        self._forget_gone()
        started_s = time.monotonic()
        try:
            wait_s = min(deadline_s, _SLOW_WAIT_S) if self._is_slow else deadline_s
            readings = await self._in_thread(targets, wait_s, deadline_s)
            self._succeeded(readings)
        except NobodyAsksError as reason:
            self._not_asked(targets, reason)
            return Readings()
        except NoDataError as reason:
            self._no_data(reason)
            readings = Readings()
        except _LateError:
            self._is_slow = True
            self._timed_out(f"no answer within {deadline_s:g} s")
            readings = Readings()
        except Exception as error:  # noqa: BLE001 (seam: a broken collector must not stop others)
            self._failed(error)
            readings = Readings()
        duration_s = time.monotonic() - started_s
        problems = tuple(text[:_SHOWN_CHARS] for text in readings.problems[:_SHOWN_PROBLEMS])
        self._askers.update((target.key, problems) for target in targets)
        self.state = replace(
            self.state,
            last_duration_s=duration_s,
            total_duration_s=self.state.total_duration_s + duration_s,
            problems=self._all_problems(problems),
            dropped_events=self._dropped_events,
        )
        self._log_problems(readings)
        readings.events = [self._events.popleft() for _ in range(len(self._events))]
        return readings

    async def _in_thread(
        self, targets: Sequence[Target], wait_s: float, deadline_s: float
    ) -> Readings:
        with anyio.move_on_after(wait_s):
            return await to_thread.run_sync(
                self._collect, targets, deadline_s, abandon_on_cancel=True, limiter=self._limiter
            )
        raise _LateError

    def _collect(self, targets: Sequence[Target], deadline_s: float) -> Readings:
        # Taken here and not by who waits: a tick that is given up before its thread begins (a node
        # that is overloaded, or has no thread to spare) must not count as running for ever.
        if not self._collecting.acquire(blocking=False):
            raise _LateError
        began_s = time.monotonic()
        try:
            readings = self.collector().collect(targets)
            self._keep_events(readings)
            return readings
        finally:
            self._is_slow = time.monotonic() - began_s > deadline_s
            self._collecting.release()

    def _keep_events(self, readings: Readings) -> None:
        room = max(0, _MAX_EVENTS - len(self._events))
        self._events.extend(readings.events[:room])
        if dropped := len(readings.events[room:]):
            self._dropped_events += dropped
            readings.problem(f"more than {_MAX_EVENTS} events at once: the others are dropped")

    def collector(self) -> Collector:
        """Return the collector; makes it at the first call, which may block."""
        with self._making:
            if self._collector is None:
                self._collector = self._registration.make(self._readers)
            return self._collector

    def forget(self, subject: Subject) -> None:
        """Let the collector drop what it remembers for a subject that is gone."""
        self._askers.pop(subject.key, None)
        if isinstance(self._collector, Forgets):
            self._collector.forget(subject)
            if self._collecting.locked():
                self._gone.append(subject)

    def _forget_gone(self) -> None:
        gone, self._gone = self._gone, []
        for subject in gone:
            self.forget(subject)

    def _succeeded(self, readings: Readings) -> None:
        if self.state.no_data or not self.state.success or readings.is_described_anew:
            self.news += 1
        self.state = replace(self.state, success=True, no_data=False, reason="")

    def _no_data(self, reason: NoDataError) -> None:
        if not self.state.no_data:
            _log.debug("collector_no_data", collector=self.state.name, reason=str(reason))
        self.state = replace(self.state, success=True, no_data=True, reason=str(reason))

    def _not_asked(self, targets: Sequence[Target], reason: NobodyAsksError) -> None:
        """Keep what was found for others: who looks on must not hide what fails for a run."""
        for target in targets:
            self._askers.pop(target.key, None)
        self.state = replace(self.state, problems=self._all_problems())
        if not self._askers:
            self._no_data(reason)

    def _all_problems(self, latest: tuple[str, ...] = ()) -> tuple[str, ...]:
        told = (text for texts in self._askers.values() for text in texts)
        every = dict.fromkeys((*latest, *told))
        return tuple(every)[:_SHOWN_PROBLEMS]

    def _failed(self, error: Exception) -> None:
        self._count_failure(f"{type(error).__name__}: {error}")
        if _is_power(self.state.failures):
            failures = self.state.failures
            _log.warning(
                "collector_failed",
                collector=self.state.name,
                failures=failures,
                exc_info=error,
            )

    def _timed_out(self, why: str) -> None:
        self._count_failure(why)
        self.state = replace(self.state, timeouts=self.state.timeouts + 1)
        if _is_power(self.state.timeouts):
            timeouts = self.state.timeouts
            _log.warning(
                "collector_timed_out", collector=self.state.name, why=why, timeouts=timeouts
            )

    def _count_failure(self, why: str) -> None:
        self.state = replace(
            self.state, success=False, failures=self.state.failures + 1, reason=why
        )

    def _log_problems(self, readings: Readings) -> None:
        for problem in readings.problems:
            if problem not in self._problems and len(self._problems) < _MAX_PROBLEMS:
                self._problems.add(problem)
                _log.warning("collector_problem", collector=self.state.name, problem=problem)


def _is_power(count: int) -> bool:
    while count % _LOG_BASE == 0:
        count //= _LOG_BASE
    return count == 1
