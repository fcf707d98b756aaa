"""System metrics of one writer: what its settings ask for, subscribed with the monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from trackd_agent.monitor import Subject
from trackd_proto.layout import producer_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd_agent.monitor import Monitor
    from trackd_proto.records import Start


def subscribe(
    monitor: Monitor,
    producer: int,
    pid: int,
    start: Start,
    default_interval_s: float,
    sink: Callable[[float, dict[str, float]], None],
) -> Callable[[], None] | None:
    """Let a sink have the metrics that a writer wants; return what ends it (None: wants none)."""
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
    return monitor.subscribe(subject, sink).cancel


def _positive_int(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _positive(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else default
