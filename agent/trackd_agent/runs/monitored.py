"""What the monitor says about one writer becomes records in the agent's journal of it.

Samples come by interval. Events of devices come when something breaks, and a sick device may
report thousands: a budget bounds how many a run keeps, and what exceeds it is counted.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import anyio
import structlog

from trackd_agent.core.errors import AgentError
from trackd_agent.monitor.buffer import MetricBuffer
from trackd_proto.records import Environment, Event, Gap, Kind, Stats

if TYPE_CHECKING:
    from collections.abc import Callable

    import msgspec

    from trackd_agent.monitor import Event as DeviceEvent

log = structlog.get_logger()

#: Events of one writer in the life of this agent, and how many may come at once and per second.
MAX_EVENTS = 10_000
MAX_BURST = 100
EVENTS_PER_S = 1.0
#: Why the rest is missing, in the run's counts of what was dropped; and why samples are.
DROP_REASON = "too_many_device_events"
UNWRITTEN_REASON = "system_metrics_not_written"
#: The count of dropped ones is journalled (and told to the rank) so often at most.
_SETTLE_S = 60.0
#: How long the end of a very short run waits for what the first look at the devices finds.
_LONGEST_WAIT_S = 0.5
_MAX_TEXT_CHARS = 1_000
_MAX_NAME_CHARS = 200


class EventBudget:
    """How many events may still be kept: a bucket that fills by the second, and an end of all."""

    def __init__(self, now_s: float) -> None:
        self._left = MAX_EVENTS
        self._tokens = float(MAX_BURST)
        self._filled_s = now_s

    def grant(self, wanted: int, now_s: float) -> int:
        """Return how many of so many events may be kept now."""
        filled = self._tokens + (now_s - self._filled_s) * EVENTS_PER_S
        self._tokens, self._filled_s = min(float(MAX_BURST), filled), now_s
        granted = min(wanted, int(self._tokens), self._left)
        self._tokens -= granted
        self._left -= granted
        return granted


class Monitored:
    """Takes what the monitor says about one writer.

    Args:
        record: appends a record to the agent's journal of the writer; raises `AgentError`.
        label: of the writer, for the log.
        clock: monotonic seconds.

    Attributes:
        buffer: the last samples, where the writer's settings want them kept.
    """

    def __init__(
        self,
        record: Callable[[Kind, msgspec.Struct], None],
        label: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.buffer = MetricBuffer(0)
        self._record = record
        self._label = label
        self._clock = clock
        self._budget = EventBudget(clock())
        #: Not journalled yet, by reason.
        self._dropped = {DROP_REASON: 0, UNWRITTEN_REASON: 0}
        self._settled_s = -math.inf
        self._is_described = anyio.Event()

    def keep(self, wanted: object) -> None:
        """Keep so many of the last values a key (`x_stats_buffer_size`); below 0: all."""
        self.buffer = MetricBuffer(wanted if isinstance(wanted, int) else 0)

    def take_sample(self, time_s: float, values: dict[str, float]) -> None:
        """Journal a sample; one that cannot be written is no row, and is counted."""
        self.buffer.add(time_s, values)
        try:
            self._record(Kind.STATS, Stats(time_s, values))
        except AgentError as error:
            if not self._dropped[UNWRITTEN_REASON]:  # a full disk is full for many samples
                log.warning("sample_not_journalled", label=self._label, problem=error.message)
            self._dropped[UNWRITTEN_REASON] += 1

    def take_events(self, time_s: float, events: list[DeviceEvent]) -> None:
        """Journal what happened, as far as the budget goes; the rest is counted."""
        finite = [event for event in events if math.isfinite(event.value)]
        granted = self._budget.grant(len(finite), self._clock())
        if granted and self._clock() - self._settled_s >= _SETTLE_S:
            self.settle()
        self._dropped[DROP_REASON] += len(events) - granted
        for event in finite[:granted]:
            try:
                self._record(Kind.EVENT, _as_record(time_s, event))
            except AgentError as error:
                self._dropped[DROP_REASON] += 1
                log.warning("event_not_journalled", label=self._label, problem=error.message)

    def take_description(self, found: dict[str, Any]) -> None:
        """Journal what is known of the machine; what cannot be written is tried again at news."""
        self._is_described.set()
        if not found:
            return
        try:
            self._record(Kind.ENVIRONMENT, Environment(found))
        except AgentError as error:
            log.warning("environment_not_journalled", label=self._label, problem=error.message)

    async def described(self) -> None:
        """Wait until it was told what machine this is, or too long for the end of a run."""
        with anyio.move_on_after(_LONGEST_WAIT_S):
            await self._is_described.wait()

    def settle(self) -> None:
        """Journal how many events and samples were dropped since the last time."""
        for reason, count in self._dropped.items():
            if not count:
                continue
            try:
                self._record(Kind.GAP, Gap(count, reason))
            except AgentError as error:  # counted with those that come next
                log.warning("gap_not_journalled", label=self._label, problem=error.message)
            else:
                self._dropped[reason] = 0
                self._settled_s = self._clock()


def _as_record(time_s: float, event: DeviceEvent) -> Event:
    return Event(
        time_s,
        event.name[:_MAX_NAME_CHARS],
        event.text[:_MAX_TEXT_CHARS],
        event.key[:_MAX_NAME_CHARS],
        event.value,
    )
