"""What one writer wants of the monitor: metrics as its settings say, and a description.

Neither depends on the other: the reference keeps the environment of a run without metrics, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd_agent.monitor.wishes import RankFacts, subject_of
from trackd_agent.runs.monitored import Monitored
from trackd_agent.runs.options import MonitorHints
from trackd_agent.runs.state.environments import wants_environment
from trackd_proto.layout import producer_name

if TYPE_CHECKING:
    from collections.abc import Callable

    import msgspec

    from trackd_agent.monitor import Monitor, Subject, Subscription
    from trackd_agent.runs.context import RunsContext
    from trackd_proto.records import Kind, Start


def of(
    context: RunsContext, record: Callable[[Kind, msgspec.Struct], None], label: str
) -> Sampling:
    """Return the place of a writer, whose records `record` appends."""
    return Sampling(context.monitor, context.config.stats_interval_s, Monitored(record, label))


class Sampling:
    """A writer's place in the monitor: begun while a rank is attached, then ended.

    Args:
        monitor: of the node.
        default_interval_s: between samples, where the rank names none.
        listener: takes what the monitor says.
    """

    def __init__(self, monitor: Monitor, default_interval_s: float, listener: Monitored) -> None:
        self._monitor = monitor
        self._default_interval_s = default_interval_s
        self._listener = listener
        self._subscriptions: list[Subscription] = []
        self._hints = MonitorHints()
        self._own_pid = 0

    def learn(self, hints: MonitorHints, own_pid: int) -> None:
        """Take what a rank says of itself as it attaches; `own_pid` is how it numbers itself."""
        self._hints, self._own_pid = hints, own_pid

    def begin(self, producer: int, pid: int, start: Start) -> None:
        """Subscribe for a process; again is harmless.

        What happens to devices is only of interest to those who also want metrics.
        """
        if self._subscriptions:
            return
        subject, listener = self._subject(producer, pid, start), self._listener
        # Without machine info the reference keeps neither metrics nor an environment.
        switches = ("x_disable_stats", "x_disable_machine_info")
        if not any(start.settings.get(switch) for switch in switches):
            listener.keep(start.settings.get("x_stats_buffer_size"))
            self._subscriptions.append(
                self._monitor.subscribe(subject, listener.take_sample, listener.take_events)
            )
        if wants_environment(start):
            self._subscriptions.append(
                self._monitor.follow_description(subject, listener.take_description)
            )
        else:
            listener.take_description({})

    def _subject(self, producer: int, pid: int, start: Start) -> Subject:
        rank = RankFacts(
            key=producer_name(producer),
            pid=pid,
            own_pid=self._own_pid or start.pid,
            label=start.label,
            environment=self._hints.environment,
            scrape_headers=self._hints.scrape_headers,
        )
        return subject_of(rank, start.settings, self._default_interval_s)

    def pause(self, *, paused: bool) -> None:
        """Sample no more for a while, or go on."""
        for subscription in self._subscriptions:
            subscription.pause(paused=paused)

    def buffered(self) -> dict[str, tuple[list[float], list[float]]]:
        """Return times (seconds since 1970) and values of the last samples, by key."""
        return self._listener.buffer.read()

    def end(self) -> None:
        """Subscribe no more; again is harmless."""
        if self._subscriptions:
            for subscription in self._subscriptions:
                subscription.cancel()
            self._subscriptions.clear()
            self._listener.settle()

    async def described(self) -> None:
        """Wait a moment for the description of the machine, if one is on its way."""
        if self._subscriptions:
            await self._listener.described()
