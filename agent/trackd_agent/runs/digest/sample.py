"""A small sample of a writer's rows: what the end of a run shows as sparklines.

Rows with the same first key and the same number of keys form a group: of each group every n-th
row is kept, n doubling whenever there are too many. So rows of training and of validation do not
push each other out, and the cost of a row is that of one counter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_GROUPS = 32
_MAX_ROWS = 96
#: Keys kept of a group; a run shows fewer.
_MAX_KEYS = 32


class _Group(msgspec.Struct, array_like=True):
    """Rows of one kind."""

    #: Top-level keys that held numbers in the first row, sorted.
    names: list[str]
    stride: int = 1
    seen: int = 0
    #: Place of the row among all rows of the writer, and the values of `names`.
    rows: list[tuple[int, list[float | None]]] = msgspec.field(
        default_factory=list[tuple[int, list[float | None]]]
    )


class HistorySample:
    """The sample of one writer."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        self._count = 0
        self._more_keys: set[str] = set()

    def add(self, row: Mapping[str, Any]) -> None:
        """Take one row."""
        self._count += 1
        if not row:
            return
        key = f"{len(row)} {next(iter(row))}"
        group = self._groups.get(key)
        if group is None:
            group = self._add_group(key, row)
            if group is None:
                return
        group.seen += 1
        if (group.seen - 1) % group.stride:
            return
        group.rows.append((self._count, [_number(row.get(name)) for name in group.names]))
        if len(group.rows) > _MAX_ROWS:
            group.rows = group.rows[::2]
            group.stride *= 2

    def _add_group(self, key: str, row: Mapping[str, Any]) -> _Group | None:
        names = sorted(n for n, v in row.items() if n[:1] != "_" and _number(v) is not None)
        self._more_keys.update(names[_MAX_KEYS : _MAX_KEYS * 8])
        if len(self._groups) >= _MAX_GROUPS:
            self._more_keys.update(names[:_MAX_KEYS])
            return None
        group = self._groups[key] = _Group(names[:_MAX_KEYS])
        return group

    def values(self) -> dict[str, list[float]]:
        """Return the sampled values by key; a key without values was logged, too."""
        found: dict[str, list[tuple[int, float]]] = {name: [] for name in self._more_keys}
        for group in self._groups.values():
            for place, row in group.rows:
                for name, value in zip(group.names, row, strict=True):
                    if value is not None:
                        found.setdefault(name, []).append((place, value))
        return {name: [value for _, value in sorted(found[name])] for name in sorted(found)}

    def to_state(self) -> list[Any]:
        """Return what `from_state` needs."""
        return [self._count, self._groups, sorted(self._more_keys)]

    @classmethod
    def from_state(cls, state: list[Any]) -> HistorySample:
        """Return the sample as it was."""
        made = cls()
        made._count = state[0]
        made._groups = msgspec.convert(state[1], dict[str, _Group])
        made._more_keys = set(state[2])
        return made


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return None
