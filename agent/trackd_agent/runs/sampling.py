"""What one writer wants of the monitor: metrics as its settings say, and a description.

Neither depends on the other: the reference keeps the environment of a run without metrics, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from trackd_agent.monitor import Subject
from trackd_agent.runs.monitored import Monitored
from trackd_agent.runs.state.environments import wants_environment
from trackd_proto.layout import producer_name

if TYPE_CHECKING:
    from collections.abc import Callable

    import msgspec

    from trackd_agent.monitor import Monitor, Subscription
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
        self._cancel: Callable[[], None] | None = None

    def begin(self, producer: int, pid: int, start: Start) -> None:
        """Subscribe for a process; again is harmless."""
        if self._cancel is None:
            self._cancel = _subscribe(
                self._monitor, producer, pid, start, self._default_interval_s, self._listener
            )

    def end(self) -> None:
        """Subscribe no more; again is harmless."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None
            self._listener.settle()

    async def described(self) -> None:
        """Wait a moment for the description of the machine, if one is on its way."""
        if self._cancel is not None:
            await self._listener.described()


def _subscribe(
    monitor: Monitor,
    producer: int,
    pid: int,
    start: Start,
    default_interval_s: float,
    listener: Monitored,
) -> Callable[[], None] | None:
    """Let a listener hear what a writer wants of the monitor; return what ends it (None: nothing).

    What happens to devices is only of interest to those who also want metrics.
    """
    settings = start.settings
    wants_stats = not settings.get("x_disable_stats")
    wants_description = wants_environment(start)
    if not (wants_stats or wants_description):
        return None
    interval = settings.get("x_stats_sampling_interval")
    given: object = settings.get("x_stats_disk_paths")
    paths = cast("list[object]", given) if isinstance(given, list | tuple) else []
    subject = Subject(
        key=producer_name(producer),
        pid=_positive_int(settings.get("x_stats_pid")) or pid or start.pid,
        interval_s=_positive(interval, default_interval_s),
        disk_paths=tuple(str(path) for path in paths) or ("/",),
        track_process_tree=bool(settings.get("x_stats_track_process_tree")),
        use_cgroup=not settings.get("x_stats_no_cgroup"),
    )
    subscriptions: list[Subscription] = []
    if wants_stats:
        subscriptions.append(monitor.subscribe(subject, listener.take_sample, listener.take_events))
    if wants_description:
        subscriptions.append(monitor.follow_description(subject, listener.take_description))
    else:
        listener.take_description({})

    def cancel() -> None:
        for subscription in subscriptions:
            subscription.cancel()

    return cancel


def _positive_int(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _positive(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else default
