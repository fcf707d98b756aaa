"""Which values make one history row: the step and commit rules.

One row is open at a time. `log(d)` adds to it and closes it; `commit=False` and explicit
steps leave it open; a larger step closes it first; a smaller one is refused. Each closed row
gets `_step`, `_timestamp` (unless the user gave one) and `_runtime` of its last part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd_agent.runs.state import tree

if TYPE_CHECKING:
    from trackd_proto.records import Row

#: Types of values that need no merging: a row of only these is closed as it came.
PLAIN_TYPES = frozenset({float, int, str, bool, list})


class StepWentBack(Exception):
    """A row names a step below the open one."""

    def __init__(self, step: int, open_step: int) -> None:
        super().__init__(step, open_step)
        self.step = step
        self.open_step = open_step


class RowMerger:
    """Merges `log()` calls into rows.

    Attributes:
        step: number of the open row, also while it has no values yet.
    """

    def __init__(self, first_step: int = 0) -> None:
        self.step = first_step
        self._open: tree.Tree | None = None
        self._runtime_s = 0.0

    def take_whole(self, row: Row) -> tree.Tree | None:
        """Return the row closed at once, without a copy, or None where `add` must decide.

        This is the hot path: no step or commit given, nothing open, no nested values.
        """
        if (
            row.step is not None
            or row.commit is False
            or self._open is not None
            or not PLAIN_TYPES.issuperset(map(type, row.data.values()))
        ):
            return None
        data = row.data
        if "_timestamp" not in data:
            data["_timestamp"] = row.time_s
        data["_runtime"] = row.runtime_s
        data["_step"] = self.step
        self.step += 1
        return data

    def add(self, row: Row) -> list[tree.Tree]:
        """Add one call; return the rows that it closes, oldest first.

        Raises:
            StepWentBack: its step is below the open one; nothing changed.
        """
        closed: list[tree.Tree] = []
        if row.step is not None:
            if row.step < self.step:
                raise StepWentBack(row.step, self.step)
            if row.step > self.step:
                closed = self.close()
                self.step = row.step
        if self._open is None:
            self._open = {}
        tree.merge_all(self._open, row.data)
        if "_timestamp" not in row.data:
            self._open["_timestamp"] = row.time_s
        self._runtime_s = row.runtime_s
        if row.commit or (row.commit is None and row.step is None):
            closed += self.close()
        return closed

    def close(self) -> list[tree.Tree]:
        """Close the open row and return it, or nothing where none is open."""
        data, self._open = self._open, None
        if data is None:
            return []
        data["_runtime"] = self._runtime_s
        data["_step"] = self.step
        self.step += 1
        return [data]

    def to_state(self) -> list[Any]:
        """Return what `from_state` needs."""
        return [self.step, self._open, self._runtime_s]

    @classmethod
    def from_state(cls, state: list[Any]) -> RowMerger:
        """Return the merger as it was."""
        merger = cls(state[0])
        merger._open, merger._runtime_s = state[1], state[2]
        return merger
