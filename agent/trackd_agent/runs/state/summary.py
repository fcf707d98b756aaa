"""The summary as it is uploaded.

Every leaf of a closed row becomes the value of its metric, or, where `define_metric` asked
for kinds, an object with just these; `none` shows nothing. `None` never replaces a value. An
explicit write shows whatever it says and switches the kinds of that metric off.

Statistics exist for every metric from its first value on, because a later definition counts
earlier values too. To keep that cheap, rows of plain values wait in a list and are folded in
column by column; whoever needs a statistic settles first. The order of additions is that of
the rows however they are grouped, so that means come out the same after a restart.
"""

from __future__ import annotations

import math
import operator
from functools import reduce
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec

from trackd_agent.runs.state import tree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackd_proto.records import SummaryUpdate

_NUMBERS = frozenset({int, float})
#: Rows that wait to be folded; bounds the memory they hold.
_MAX_WAITING_ROWS = 256


class Statistics(msgspec.Struct, array_like=True):
    """What is known of all values of one metric."""

    first: Any = None
    has_first: bool = False
    last: Any = None
    minimum: int | float = 0
    maximum: int | float = 0
    total: float = 0.0
    count: int = 0

    def add_all(self, values: Iterable[Any]) -> None:
        """Take further values, in order."""
        column = list(values)
        if not self.has_first:
            self.first, self.has_first = column[0], True
        self.last = column[-1]
        if not _NUMBERS.issuperset(map(type, column)):
            column = [value for value in column if type(value) in _NUMBERS]
            if not column:
                return
        added = len(column)
        self.total = reduce(operator.add, column, self.total)
        if self.count:
            column = [self.minimum, self.maximum, *column]
        # NaN wins over everything; Python's min and max would let its place decide.
        not_a_number = self.total != self.total and any(v != v for v in column)
        self.minimum = math.nan if not_a_number else min(column)
        self.maximum = math.nan if not_a_number else max(column)
        self.count += added

    def add(self, value: Any) -> None:
        """Take one further value: what `add_all` does with a column of one, but cheaper."""
        if not self.has_first:
            self.first, self.has_first = value, True
        self.last = value
        if type(value) is not float and type(value) is not int:
            return
        self.total += value
        if not self.count:
            self.minimum = self.maximum = value
        elif value != value or self.minimum != self.minimum:
            self.minimum = self.maximum = math.nan
        elif value < self.minimum:
            self.minimum = value
        elif value > self.maximum:
            self.maximum = value
        self.count += 1

    def show(self, kinds: Iterable[str]) -> dict[str, Any]:
        """Return the summary object with these kinds."""
        values = {
            "last": self.last,
            "first": self.first,
            "min": self.minimum,
            "max": self.maximum,
            "mean": self.total / self.count if self.count else math.nan,
        }
        return {kind: values[kind] for kind in kinds}


class Summary:
    """The summary of one writer."""

    def __init__(self) -> None:
        self.changed = False
        self._shown: tree.Tree = {}
        self._statistics: dict[tree.Path, Statistics] = {}
        self._waiting: list[tree.Tree] = []
        #: Kinds per metric that has any.
        self._kinds: dict[tree.Path, list[str]] = {}
        #: Metrics of which rows show nothing; top-level names apart, for the hot path.
        self._silent: set[tree.Path] = set()
        self._silent_names: set[str] = set()
        #: Of the longest path of a metric: most runs have no nested ones.
        self._depth = 1

    def take_plain_row(self, row: tree.Tree) -> None:
        """Take a closed row of flat values without None; keeps the row."""
        if self._silent_names and not self._silent_names.isdisjoint(row):
            self._shown.update(
                (name, value) for name, value in row.items() if name not in self._silent_names
            )
        else:
            self._shown.update(row)
        self._waiting.append(row)
        self.changed = True
        if len(self._waiting) >= _MAX_WAITING_ROWS:
            self.settle()

    def take_row(self, row: tree.Tree) -> None:
        """Take any closed row."""
        self.settle()
        all_statistics, kinds, silent = self._statistics, self._kinds, self._silent
        for path, value in tree.leaves(row):
            statistics = all_statistics.get(path)
            if statistics is None:
                statistics = all_statistics[path] = self._new(path)
            statistics.add(value)
            if path in silent:
                continue
            if path in kinds:
                self._show(path, statistics)
            elif value is not None:
                tree.put_leaf(self._shown, path, value)
        self.changed = True

    def configure(self, path: tree.Path, kinds: list[str], *, none: bool) -> None:
        """Set what rows show of a metric from now on."""
        self.settle()
        self._depth = max(self._depth, len(path))
        if kinds:
            self._kinds[path] = kinds
        else:
            self._kinds.pop(path, None)
        if none:
            self._silent.add(path)
        else:
            self._silent.discard(path)
        self._silent_names = {path[0] for path in self._silent if len(path) == 1}

    def update(self, record: SummaryUpdate) -> None:
        """Take explicit writes and deletions."""
        self.settle()
        for names, value in record.set:
            path = tuple(names)
            self._kinds.pop(path, None)
            if len(path) < self._depth:
                self._forget_below(path)
            self._depth = max(self._depth, len(path))
            statistics = self._statistics.setdefault(path, Statistics())
            statistics.last, statistics.has_first = value, True
            tree.put_leaf(self._shown, path, tree.whole(value))
        for names in record.remove:
            path = tuple(names)
            tree.remove(self._shown, path)
            if path in self._statistics:
                self._statistics[path].has_first = False
        self.changed = True

    def _new(self, path: tree.Path) -> Statistics:
        """A name below which there are metrics is no metric any more."""
        self._depth = max(self._depth, len(path))
        for length in range(1, len(path)):
            self._kinds.pop(path[:length], None)
            self._silent.discard(path[:length])
        self._silent_names = {path[0] for path in self._silent if len(path) == 1}
        return Statistics()

    def _forget_below(self, path: tree.Path) -> None:
        """Something else is written where metrics were: from now on they are new ones."""

        def is_elsewhere(known: tree.Path) -> bool:
            return len(known) <= len(path) or known[: len(path)] != path

        self._kinds = {p: kinds for p, kinds in self._kinds.items() if is_elsewhere(p)}
        self._statistics = {p: s for p, s in self._statistics.items() if is_elsewhere(p)}
        self._silent = set(filter(is_elsewhere, self._silent))

    def put(self, path: tree.Path, value: object) -> None:
        """Show a value that is no metric, such as the run's duration."""
        self.settle()
        tree.put_leaf(self._shown, path, value)
        self.changed = True

    def settle(self) -> None:
        """Fold waiting rows into the statistics, and show what depends on them."""
        waiting, self._waiting = self._waiting, []
        for keys, rows in groupby(waiting, key=tuple):
            columns = zip(*(row.values() for row in rows), strict=True)
            for name, column in zip(keys, columns, strict=True):
                path = (name,)
                statistics = self._statistics.setdefault(path, Statistics())
                statistics.add_all(column)
                if path in self._kinds and path not in self._silent:
                    self._show(path, statistics)

    def _show(self, path: tree.Path, statistics: Statistics) -> None:
        shown = statistics.show(self._kinds[path])
        tree.put_leaf(self._shown, path, tree.WholeMapping(shown))

    def value(self) -> dict[str, Any]:
        """Return a copy of the summary."""
        self.settle()
        return tree.plain(self._shown)

    def readable(self) -> dict[str, Any]:
        """Return what a script reads: without metrics that show nothing or are None by now.

        What is uploaded keeps these: the value of before, or one that was written explicitly.
        """
        shown = self.value()
        empty = (p for p, s in self._statistics.items() if s.has_first and s.last is None)
        for path in (*self._silent, *(path for path in empty if path not in self._kinds)):
            tree.remove(shown, path)
        return shown

    def to_state(self) -> list[Any]:
        """Return what `from_state` needs."""
        self.settle()
        return [
            self._shown,
            [[path, s] for path, s in self._statistics.items()],
            [[path, kinds] for path, kinds in self._kinds.items()],
            sorted(self._silent),
        ]

    @classmethod
    def from_state(cls, state: list[Any]) -> Summary:
        """Return the summary as it was."""
        made = cls()
        made._shown = state[0]
        made._statistics = {tuple(p): msgspec.convert(s, Statistics) for p, s in state[1]}
        made._kinds = {tuple(path): kinds for path, kinds in state[2]}
        made._silent = {tuple(path) for path in state[3]}
        made._silent_names = {path[0] for path in made._silent if len(path) == 1}
        made._depth = max(map(len, (*made._statistics, *made._kinds, *made._silent)), default=1)
        return made
