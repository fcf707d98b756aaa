"""Values of a row that stand under another key than their own: charts made of tables."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, cast

from trackd.recording.values import KNOWN_TYPES, MAX_DEPTH, SCALARS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trackd.recording.recordable import RunPlace


class Chart(ABC):
    """A value that says in the run's configuration how a value of the row is to be drawn."""

    @abstractmethod
    def settle(self, place: RunPlace, key: str) -> tuple[str, Any]:
        """Describe the chart in the configuration; return key and value for the row."""


def settle_charts(
    row: Mapping[Any, Any], place: RunPlace | None, leave_out: Callable[[str, Exception], None]
) -> Mapping[Any, Any]:
    """Return a row in which each chart is replaced by what it is made of.

    Charts in nested mappings move to the top of the row; dots join the keys that led to them.

    Args:
        row: as the user gave it.
        place: the run; None where there is none for charts.
        leave_out: takes key and error of a chart that cannot be described.
    """
    if place is None or not _has_chart(row):
        return row
    charts: dict[str, Chart] = {}
    kept = _without_charts(row, "", charts)
    for key, chart in charts.items():
        try:
            own_key, value = chart.settle(place, key)
        except Exception as error:  # noqa: BLE001 - the chart's own content, the row goes on
            leave_out(key, error)
        else:
            kept[own_key] = value
    return kept


def _has_chart(row: Mapping[Any, Any], depth: int = 1) -> bool:
    for value in row.values():
        kind = value.__class__
        if kind in SCALARS or not _may_hold_chart(kind):
            continue
        if isinstance(value, Chart):
            return True
        if depth < MAX_DEPTH and _has_chart(cast("dict[Any, Any]", value), depth + 1):
            return True
    return False


@functools.lru_cache(KNOWN_TYPES)
def _may_hold_chart(kind: type[Any]) -> bool:
    return issubclass(kind, Chart | dict)


def _without_charts(
    row: Mapping[Any, Any], prefix: str, charts: dict[str, Chart], depth: int = 1
) -> dict[Any, Any]:
    kept: dict[Any, Any] = {}
    for key, value in row.items():
        if isinstance(value, Chart):
            charts[f"{prefix}{key}"] = value
        elif isinstance(value, dict) and depth < MAX_DEPTH:
            nested = cast("dict[Any, Any]", value)
            kept[key] = _without_charts(nested, f"{prefix}{key}.", charts, depth + 1)
        else:
            kept[key] = value
    return kept
