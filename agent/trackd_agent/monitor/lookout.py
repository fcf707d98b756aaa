"""What the node does now, for whoever looks from outside of runs: `trackd top`, Prometheus.

Reads when somebody looks, and only then; a look that follows close upon another gets the same
view. Counters in a view grow from the first look on, rates (`cpu`) are those since the last one.
"""

from __future__ import annotations

import math
import os
import time
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import anyio

from trackd_agent.monitor.subject import OpenMetricsWish, Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd_agent.monitor.contract import Event
    from trackd_agent.monitor.sampler import Monitor, Subscription

#: Events of devices that are remembered.
MAX_EVENTS = 100
#: Keys of which events are counted.
MAX_EVENT_KEYS = 1_000
#: Begins the keys of our own subscriptions.
_OURS = "look:"
#: Of what is read for a rank, these are its own; the rest is the node's.
_OWN_KEYS = ("cpu", "proc.", "memory_percent", "gpu.process.", "trn.", "ipu.")
#: What a look waits beyond the deadline of the collectors, in seconds.
_SLACK_S = 1.0


@dataclass(frozen=True, slots=True)
class NodeView:
    """The node at one moment, by the keys of system metrics.

    `cpu` and `proc.*` of `node` are those of this process; `ranks` go by the key of the subject.
    """

    time_s: float = 0.0  # since 1970
    node: dict[str, float] = field(default_factory=dict[str, float])
    ranks: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    pids: dict[str, int] = field(default_factory=dict[str, int])
    events: tuple[tuple[float, Event], ...] = ()  # with their times, oldest first
    #: How many events of each key there were since the first look.
    event_counts: dict[str, int] = field(default_factory=dict[str, int])


class Lookout:
    """Samples the node and its ranks on demand.

    Args:
        monitor: whose readings these are.
        deadline_s: how long a look waits for the collectors.
        clock: monotonic seconds.
    """

    def __init__(
        self, monitor: Monitor, deadline_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._monitor = monitor
        self._wait_s = deadline_s + _SLACK_S
        self._clock = clock
        self._looking = anyio.Lock()
        self._subscriptions: dict[str, tuple[Subject, Subscription]] = {}
        self._values: dict[str, dict[str, float]] = {}
        self._awaited: set[str] = set()
        self._complete = anyio.Event()
        self._events: deque[tuple[float, Event]] = deque(maxlen=MAX_EVENTS)
        self._event_counts: Counter[str] = Counter()
        self._view = NodeView()
        self._viewed_s = -math.inf

    async def look(self, max_age_s: float = 0.0) -> NodeView:
        """Return what the node does now, or did at most so many seconds ago."""
        async with self._looking:
            if self._clock() - self._viewed_s > max_age_s:
                await self._read()
            return self._view

    async def _read(self) -> None:
        subjects = self._subjects()
        if not any(state.is_on for state in self._monitor.status()):
            return  # nothing is sampled on this node
        self._values.clear()
        self._complete = anyio.Event()
        self._awaited = set(subjects)
        for key in self._subscriptions.keys() - subjects.keys():
            self._subscriptions.pop(key)[1].cancel()
        for key, subject in subjects.items():
            known = self._subscriptions.get(key)
            if known is not None and known[0] == subject:
                known[1].hurry()
                continue
            if known is not None:
                known[1].cancel()
            self._subscriptions[key] = subject, self._subscribe(key, subject)
        with anyio.move_on_after(self._wait_s):
            await self._complete.wait()
        ranks = {key.removeprefix(_OURS): values for key, values in self._values.items()}
        pids = {key.removeprefix(_OURS): subject.pid for key, subject in subjects.items()}
        node, _ = ranks.pop("", {}), pids.pop("")
        self._viewed_s = self._clock()
        self._view = NodeView(
            time_s=time.time(),
            node=node,
            ranks={key: _own(values) for key, values in ranks.items()},
            pids=pids,
            events=tuple(self._events),
            event_counts=dict(self._event_counts),
        )

    def _subjects(self) -> dict[str, Subject]:
        """Return whom to look at: the node, in our own process, and every rank."""
        ranks = [each for each in self._monitor.subjects() if not each.key.startswith(_OURS)]
        found = [Subject("", os.getpid(), host_details=True), *map(_process_only, ranks)]
        return {
            f"{_OURS}{each.key}": replace(each, key=f"{_OURS}{each.key}", interval_s=math.inf)
            for each in found
        }

    def _subscribe(self, key: str, subject: Subject) -> Subscription:
        def take(time_s: float, values: dict[str, float]) -> None:
            del time_s
            self._values[key] = values
            self._awaited.discard(key)
            if not self._awaited:
                self._complete.set()

        def hear(time_s: float, events: list[Event]) -> None:
            self._events.extend((time_s, event) for event in events)
            for event in events:
                if event.key in self._event_counts or len(self._event_counts) < MAX_EVENT_KEYS:
                    self._event_counts[event.key] += 1

        is_node = key == _OURS
        return self._monitor.subscribe(subject, take, hear if is_node else None)


def _process_only(rank: Subject) -> Subject:
    """Return a rank that wants nothing but what its processes do."""
    return replace(
        rank,
        disk_paths=(),
        open_metrics=OpenMetricsWish(),
        dcgm_exporter="",
        self_usage=False,
        host_details=False,
    )


def _own(values: dict[str, float]) -> dict[str, float]:
    return {key: value for key, value in values.items() if key.startswith(_OWN_KEYS)}
