"""What the numbers of scraped series stand for, from what writers told (`_wandb.e.*.openmetrics`).

The metric `openmetrics.node.cpu_seconds.3` is called after an index; the environment of its writer
holds the labels: `{"node": {"cpu_seconds": {"3": {"mode": "idle"}}}}`. Whatever else it holds is
passed over. Where writers number differently the number stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from trackd_server.domain import merge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Series that get a name, and characters of one.
MAX_NAMES = 5_000
MAX_CHARS = 80


def series_names(config: dict[str, Any]) -> dict[str, str]:
    """Return names for keys of system metrics (without `system.` and label).

    Args:
        config: of the run, with what clients keep for themselves.
    """
    names: dict[str, str] = {}
    for environment in _mapping(merge.internal(config).get("e")).values():
        for key, name in _told(_mapping(_mapping(environment).get("openmetrics"))):
            if names.setdefault(key, name) != name:
                names[key] = ""
            if len(names) >= MAX_NAMES:
                break
    return {key: name for key, name in names.items() if name}


def _told(endpoints: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for endpoint, metrics in endpoints.items():
        for metric, series in _mapping(metrics).items():
            for index, labels in _mapping(series).items():
                pairs = _mapping(labels).items()
                name = ", ".join(f"{key}={value}" for key, value in pairs if isinstance(value, str))
                yield f"openmetrics.{endpoint}.{metric}.{index}", name[:MAX_CHARS]


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
