"""What both sources of TPU metrics (runtime and library) are turned into: points of a metric.

Percentiles of distributions follow the W&B client: linear interpolation within the bucket that
holds the rank, the first bucket starting at 0, what lies above the last bound being that bound.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Name of the only number of a point that has no statistics.
VALUE = ""
#: Percentiles that are reported of a distribution, and which share of the values each is.
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p999": 0.999}


class Point(NamedTuple):
    """One measure of a metric: of a device, of something with a label, or of neither."""

    device: int | None
    label: str | None  # as the source writes it
    numbers: Mapping[str, float]  # "mean", "p50", … or VALUE


def percentiles(counts: Sequence[int], bounds: Sequence[float]) -> dict[str, float]:
    """Return the percentiles of values that were counted in buckets, empty if there are none."""
    total = sum(counts)
    if total <= 0:
        return {}
    return {name: _at(total * share, counts, bounds) for name, share in PERCENTILES.items()}


def _at(rank: float, counts: Sequence[int], bounds: Sequence[float]) -> float:
    """Return the value below which `rank` of the counted values lie."""
    for index, (count, below) in enumerate(
        zip(counts, itertools.accumulate(counts, initial=0), strict=False)
    ):
        if below + count >= rank:
            low, high = _bucket(index, bounds)
            return low + (rank - below) / count * (high - low)
    return bounds[-1] if bounds else 0.0


def _bucket(index: int, bounds: Sequence[float]) -> tuple[float, float]:
    """Return the ends of a bucket; those beyond the last bound have no width."""
    if not bounds:
        return 0.0, 0.0
    last = len(bounds) - 1
    low = bounds[min(index - 1, last)] if index else 0.0
    return low, bounds[min(index, last)]
