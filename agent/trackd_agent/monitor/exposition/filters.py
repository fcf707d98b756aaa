"""Which series of endpoints a run wants: the two forms of `x_stats_open_metrics_filters`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Search = Callable[[re.Pattern[str], str], bool]

#: What is searched for in names, each with what is searched for in labels (None: no matter).
FilterRules = tuple[tuple[str, tuple[tuple[str, str], ...] | None], ...]


def _search(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.search(text) is not None


def filter_rules(filters: Mapping[str, Mapping[str, str]] | tuple[str, ...] | None) -> FilterRules:
    """Return either form of the setting as rules, of which none means everything."""
    if isinstance(filters, Mapping):
        return tuple((name, tuple(sorted(labels.items()))) for name, labels in filters.items())
    return tuple((name, None) for name in filters or ())


class MetricFilter:
    """Patterns that are searched for in `{endpoint}.{metric}`, and maybe in values of labels.

    Any rule suffices; of a rule with labels all labels must be there and match. No rule at all:
    everything is wanted. A pattern that is no regular expression matches nothing, and so does one
    with an empty set of labels (so does the W&B client, which forgets it on the way).
    """

    def __init__(self, rules: FilterRules, search: Search = _search) -> None:
        """Compile the patterns; what is wrong with any of them is in `problems`.

        Args:
            rules: Which series are wanted.
            search: Says whether a pattern is found in a text, or raises TimeoutError; then that
                pattern matches nothing from now on.
        """
        self.problems: list[str] = []
        self._search = search
        self._given_up: set[str] = set()
        self._wants_all = not rules
        self._rules: list[tuple[re.Pattern[str], list[tuple[str, re.Pattern[str]]]]] = []
        for pattern, labels in rules:
            if labels == ():
                self.problems.append(
                    f"OpenMetrics filter {pattern!r} has no label patterns and matches nothing: "
                    "use a list of patterns to filter by name alone"
                )
                continue
            name = self._compile(pattern)
            values = [(label, self._compile(value)) for label, value in labels or ()]
            usable = [(label, value) for label, value in values if value is not None]
            if name is not None and len(usable) == len(values):
                self._rules.append((name, usable))

    def may_admit(self, name: str) -> bool:
        """Return whether a series of this name is wanted, if it has the right labels."""
        return self._wants_all or any(self._finds(pattern, name) for pattern, _ in self._rules)

    def admits(self, name: str, labels: Callable[[], Mapping[str, str]]) -> bool:
        """Return whether a series is wanted; its labels are looked at only where they matter."""
        if self._wants_all:
            return True
        for pattern, wanted in self._rules:
            if self._finds(pattern, name) and (not wanted or self._all_match(wanted, labels())):
                return True
        return False

    def _all_match(
        self, wanted: Sequence[tuple[str, re.Pattern[str]]], labels: Mapping[str, str]
    ) -> bool:
        return all(
            label in labels and self._finds(pattern, labels[label]) for label, pattern in wanted
        )

    def _finds(self, pattern: re.Pattern[str], text: str) -> bool:
        if pattern.pattern in self._given_up:
            return False
        try:
            return self._search(pattern, text)
        except TimeoutError as error:
            self._given_up.add(pattern.pattern)
            self.problems.append(
                f"OpenMetrics filter {pattern.pattern!r} takes too long and matches nothing from "
                f"now on: write it without a repetition in a repetition ({error})"
            )
            return False

    def _compile(self, pattern: str) -> re.Pattern[str] | None:
        try:
            return re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            self.problems.append(
                f"OpenMetrics filter {pattern!r} is no regular expression and matches nothing: "
                f"{error}"
            )
            return None
