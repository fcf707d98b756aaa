"""What a rank's settings (`x_stats_*`) ask of the monitor, as a subject of it.

They come from a rank as they were given there; what is no value of its kind counts as not given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from trackd_agent.monitor.subject import OpenMetricsWish, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class RankFacts:
    """What is known of a rank beside its settings."""

    key: str  # names its subscription, unique on this node
    pid: int  # its process, as the kernel tells it to this agent; 0: not visible from here
    own_pid: int = 0  # the same as the rank sees it, in its own namespace of pids
    label: str = ""
    #: Variables by which its launcher tells it which one it is (`LOCAL_RANK`, …).
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    #: Headers for endpoints of metrics; they may hold secrets and are in no record.
    scrape_headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


def subject_of(rank: RankFacts, settings: Mapping[str, Any], default_interval_s: float) -> Subject:
    """Return whom to watch for a rank, and what it wants to see."""
    paths = _texts(settings.get("x_stats_disk_paths"))
    return Subject(
        key=rank.key,
        pid=_pid(rank, settings.get("x_stats_pid")),
        interval_s=_positive(settings.get("x_stats_sampling_interval")) or default_interval_s,
        disk_paths=paths or ("/",),
        track_process_tree=settings.get("x_stats_track_process_tree") is True,
        use_cgroup=settings.get("x_stats_no_cgroup") is not True,
        gpu_device_ids=_indices(settings.get("x_stats_gpu_device_ids")),
        label=rank.label,
        open_metrics=OpenMetricsWish(
            endpoints=_text_map(settings.get("x_stats_open_metrics_endpoints")),
            filters=_filters(settings.get("x_stats_open_metrics_filters")),
            headers=dict(rank.scrape_headers),
        ),
        dcgm_exporter=_text(settings.get("x_stats_dcgm_exporter")),
        neuron_config_path=_text(settings.get("x_stats_neuron_monitor_config_path")),
        self_usage=settings.get("x_stats_self_usage") is True,
        host_details=settings.get("x_stats_host_details") is True,
        environment=dict(rank.environment),
    )


def _pid(rank: RankFacts, wanted: object) -> int:
    """Return the process to watch: the rank's own, unless its settings name another.

    A rank in a container that names itself does so by the number that it has in there.
    """
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted <= 0:
        return rank.pid
    return rank.pid if wanted == rank.own_pid else wanted


def _positive(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if 0 < value < math.inf else 0.0


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    given = cast("list[object]", value) if isinstance(value, list | tuple) else []
    return tuple(str(each) for each in given)


def _text_map(value: object) -> dict[str, str]:
    given = cast("dict[object, object]", value) if isinstance(value, dict) else {}
    return {str(name): str(text) for name, text in given.items()}


def _indices(value: object) -> tuple[int, ...] | None:
    if not isinstance(value, list | tuple):
        return None
    return tuple(each for each in cast("list[object]", value) if isinstance(each, int))


def _filters(value: object) -> dict[str, dict[str, str]] | tuple[str, ...] | None:
    if isinstance(value, dict):
        given = cast("dict[object, object]", value)
        return {str(pattern): _text_map(labels) for pattern, labels in given.items()}
    return _texts(value) or None
