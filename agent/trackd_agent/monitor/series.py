"""What one subject sees of the counters: pure arithmetic, with its own starting points.

Counters of the machine are read once per tick for everybody; a rank that joined later, or that
samples less often, still gets growth since *its* first sample and over *its* last interval.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from trackd_agent.monitor.contract import Meaning, Reading

if TYPE_CHECKING:
    from collections.abc import Iterable

BYTES_PER_MB = 1024**2
BYTES_PER_GB = 1024**3
#: Integers from here on do not fit into records; they are floats there.
_FIRST_WIDE = 2**63


class Series:
    """The starting points of one subject."""

    def __init__(self) -> None:
        self._counted: dict[str, tuple[float, float]] = {}  # key → (last counter, growth so far)
        self._previous: dict[str, tuple[float, float]] = {}  # key → (last amount, last per)
        self._told: set[str] = set()  # keys of values that do not change

    def values(self, readings: Iterable[Reading]) -> dict[str, float]:
        """Return the subject's values; a key without a finite value yet is absent."""
        values: dict[str, float] = {}
        for reading in readings:
            try:
                value = self._value(reading)
                if value is not None and math.isfinite(value):
                    values[reading.key] = value if abs(value) < _FIRST_WIDE else float(value)
            except OverflowError:  # an integer that no float can hold is no measurement
                continue
        return values

    def _value(self, reading: Reading) -> float | None:
        # What is not finite must not become a starting point: it would spoil all that comes.
        if not (math.isfinite(reading.amount) and math.isfinite(reading.per)):
            return None
        if reading.meaning is Meaning.NOW:
            return reading.amount
        if reading.meaning is Meaning.SINCE_FIRST:
            return self._growth(reading)
        if reading.meaning is Meaning.ONCE:
            return self._first(reading)
        return self._ratio(reading)

    def _first(self, reading: Reading) -> float | None:
        if reading.key in self._told:
            return None
        self._told.add(reading.key)
        return reading.amount

    def _growth(self, reading: Reading) -> float:
        last, growth = self._counted.get(reading.key, (reading.amount, 0.0))
        # A source that starts again (an interface that went away) must not take growth back.
        growth += max(0.0, reading.amount - last)
        self._counted[reading.key] = (reading.amount, growth)
        return growth

    def _ratio(self, reading: Reading) -> float | None:
        previous = self._previous.get(reading.key)
        self._previous[reading.key] = (reading.amount, reading.per)
        if previous is None:
            return None
        amount, per = reading.amount - previous[0], reading.per - previous[1]
        return amount / per if per > 0 and amount >= 0 else None
