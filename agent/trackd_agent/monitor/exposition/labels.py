"""Which series is which: the index that a key ends in, and the labels it stands for."""

from __future__ import annotations

from collections.abc import Mapping

#: Metric → index → labels.
LabelMap = dict[str, dict[str, Mapping[str, str]]]

#: Series of one endpoint that get an index; a run with more keys than that helps nobody.
MAX_SERIES = 20_000
#: Characters of their names and labels, all together: an endpoint may make up ever new ones.
MAX_CHARACTERS = 16 * 1024**2


class SeriesNumbers:
    """Numbers the label sets of each metric in the order of their first appearance.

    A number is never given again, so that a key means one series as long as this object lives.
    """

    def __init__(self, max_series: int = MAX_SERIES) -> None:
        self._numbers: dict[str, dict[frozenset[tuple[str, str]], int]] = {}
        self._labels: LabelMap = {}
        self._max_series = max_series
        self._characters = 0
        self.series = 0
        #: Label sets that got no number, for there were too many.
        self.left_out = 0

    def number(self, name: str, labels: Mapping[str, str]) -> int | None:
        """Return the number of a label set, whatever order it is in; None: too many series.

        The labels are kept: nobody may change them later.
        """
        label_set = frozenset(labels.items())
        number = self._numbers.get(name, {}).get(label_set)
        if number is None:
            if self.series >= self._max_series or self._characters >= MAX_CHARACTERS:
                self.left_out += 1
                return None
            known = self._numbers.setdefault(name, {})
            number = known[label_set] = len(known)
            self._labels.setdefault(name, {})[str(number)] = labels
            self.series += 1
            self._characters += _characters(name, labels)
        return number

    def label_map(self, max_characters: int) -> tuple[LabelMap, int]:
        """Return the labels of each index, as many as fit, the first ones first; and their size."""
        found: LabelMap = {}
        used = 0
        # Copies of what is there: another thread may number new ones meanwhile.
        for name, series in list(self._labels.items()):
            for number, labels in list(series.items()):
                if not labels:
                    continue  # nothing to be told
                size = _characters(name, labels)
                if used + size > max_characters:
                    return found, used
                used += size
                found.setdefault(name, {})[number] = labels
        return found, used


def _characters(name: str, labels: Mapping[str, str]) -> int:
    """Return how much room a series takes in JSON, roughly."""
    return len(name) + sum(map(len, labels)) + sum(map(len, labels.values())) + 8 * len(labels)
