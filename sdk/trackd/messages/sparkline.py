"""A series of numbers as a line of block characters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
_MAX_POINTS = 40


def sparkline(values: Sequence[float]) -> str:
    """Return at most 40 block characters, the lowest value as the lowest block.

    Values that are not finite are blanks; without any finite value the text is empty.
    """
    points = thinned(values, _MAX_POINTS)
    finite = [value for value in points if math.isfinite(value)]
    if not finite:
        return ""
    lowest, highest = min(finite), max(finite)
    # Halves: the difference of two large numbers may be none.
    span = highest / 2 - lowest / 2

    def block(value: float) -> str:
        if not math.isfinite(value):
            return " "
        share = (value / 2 - lowest / 2) / span if span else 0.0
        return BLOCKS[round(share * (len(BLOCKS) - 1))]

    return "".join(map(block, points))


def thinned(values: Sequence[float], count: int) -> list[float]:
    """Return at most so many of the values, evenly spread, the first and the last among them."""
    if len(values) <= count:
        return list(values)
    step = (len(values) - 1) / (count - 1)
    return [values[round(at * step)] for at in range(count)]
