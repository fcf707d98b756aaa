"""The last values of each system metric of one rank, for who asks for them while it runs.

Kept only where the rank's settings ask (`x_stats_buffer_size`). However many are asked for, no
more than `MAX_VALUES` are kept in all: with many keys each has room for fewer.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Values of one rank in all, 16 bytes each with their times: what one gRPC message takes.
MAX_VALUES = 200_000
#: Keys of one rank; later ones are not kept.
MAX_KEYS = 5_000


class MetricBuffer:
    """Keeps the last values by key.

    Args:
        wanted: values a key; 0: none, below 0: as many as there is room for.
    """

    def __init__(self, wanted: int) -> None:
        self._wanted = MAX_VALUES if wanted < 0 else min(wanted, MAX_VALUES)
        #: Time and value in turns: a list of pairs would take six times as much.
        self._series: dict[str, array[float]] = {}

    def add(self, time_s: float, values: Mapping[str, float]) -> None:
        """Take a sample in."""
        if not self._wanted:
            return
        for key, value in values.items():
            if (series := self._series.get(key)) is None:
                if len(self._series) >= MAX_KEYS:
                    continue
                series = self._series[key] = array("d")
            series.extend((time_s, value))
        length = 2 * self._limit
        for series in self._series.values():
            # Cut off in larger pieces: each cut moves what stays.
            if len(series) > length + length // 4:
                del series[:-length]

    def read(self) -> dict[str, tuple[list[float], list[float]]]:
        """Return times (seconds since 1970) and values by key, oldest first."""
        length = 2 * self._limit
        latest = {key: series[-length:] for key, series in self._series.items()}
        return {key: (list(each[0::2]), list(each[1::2])) for key, each in latest.items()}

    @property
    def _limit(self) -> int:
        """Values a key."""
        return min(self._wanted, MAX_VALUES // max(1, len(self._series)))
