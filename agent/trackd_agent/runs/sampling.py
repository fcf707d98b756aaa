"""System metrics of one writer: what its settings ask for, subscribed with the monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from trackd_agent.monitor import Subject
from trackd_proto.layout import producer_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd_agent.monitor import Monitor
    from trackd_agent.runs.monitored import Monitored
    from trackd_proto.records import Start


def subscribe(
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
    if settings.get("x_disable_stats"):
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
    return monitor.subscribe(subject, listener.take_sample, listener.take_events).cancel


def _positive_int(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _positive(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else default
