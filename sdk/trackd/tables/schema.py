"""The types of a table's columns while rows and columns come in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from trackd.tables.column_types import (
    ARTIFACT_SCHEME,
    INVALID,
    NONE,
    SIMPLE,
    ColumnType,
    TypedDictType,
    UnionType,
    numpy_scalar_type,
    type_of,
)
from trackd.tables.dtypes import type_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SHOWN_CHARACTERS = 60
_SCHEME_CHARACTERS = len(ARTIFACT_SCHEME)
_TAKE_BY_TYPE = ColumnType.take


class Schema:
    """Types by column.

    Rows whose classes were seen before and cannot teach anything new cost one dictionary look-up.
    """

    def __init__(self) -> None:
        self._types: dict[Any, ColumnType] = {}
        #: By the classes of a row's values: where its texts are, which may be links to artifacts.
        self._settled: dict[tuple[type, ...], tuple[int, ...]] = {}

    def __getitem__(self, column: Any) -> ColumnType:
        return self._types.get(column, INVALID)

    def __setitem__(self, column: Any, type_: ColumnType) -> None:
        self._types[column] = type_
        self._settled.clear()

    def as_type(self) -> TypedDictType:
        """Return the type of a whole row."""
        return TypedDictType(self._types)

    def knows(self, row: Sequence[Any]) -> bool:
        """Say whether a row surely fits and teaches nothing."""
        texts = self._settled.get(tuple(map(type, row)))
        if texts is None:
            return False
        for index in texts:  # noqa: SIM110 - a generator would take longer than all the rest
            if row[index][:_SCHEME_CHARACTERS] == ARTIFACT_SCHEME:
                return False
        return True

    def take_row(self, columns: Sequence[Any], row: Sequence[Any]) -> None:
        """Let the types learn from a row.

        Raises:
            TypeError: a value does not fit; nothing was learned.
        """
        learned: dict[Any, ColumnType] = {}
        for column, value in dict(zip(columns, row, strict=True)).items():
            known = self._types.get(column, INVALID)
            taken = known.take(value)
            if taken is INVALID:
                raise TypeError(_misfit(column, value, known))
            if taken is not known:
                learned[column] = taken
        if learned:
            self._types.update(learned)
            self._settled.clear()
        elif all(map(self._is_settled, columns, row)):
            texts = tuple(index for index, value in enumerate(row) if type(value) is str)
            self._settled[tuple(map(type, row))] = texts

    def _is_settled(self, column: Any, value: Any) -> bool:
        """Say whether no value of this class can change the type or be refused (but for links)."""
        kind = cast("type[Any]", type(value))
        type_ = self._types[column]
        if kind is float:  # NaN counts as None, all others as numbers
            wanted = (NONE, SIMPLE[float])
            return _looks_at_types_only(type_) and all(type_.take_type(w) is type_ for w in wanted)
        return _has_one_type(kind) and _looks_at_types_only(type_)


def cast_column(column: Any, values: Iterable[Any], dtype: Any, *, optional: bool) -> ColumnType:
    """Return the type that follows from a wished type and the values of a column.

    Raises:
        TypeError: a value does not fit.
    """
    type_ = type_from(dtype)
    if optional:
        type_ = UnionType([type_, NONE])
    seen: set[type[Any]] = set()
    for value in values:
        kind = cast("type[Any]", type(value))
        if kind in seen:
            continue
        taken = type_.take(value)
        if taken is INVALID:
            raise TypeError(_misfit(column, value, type_))
        if taken is not type_:
            type_ = taken
            seen.clear()
        elif kind not in (float, str) and _has_one_type(kind) and _looks_at_types_only(type_):
            seen.add(kind)
    return type_


def _has_one_type(kind: type[Any]) -> bool:
    return kind in SIMPLE or numpy_scalar_type(kind) is not None


def _looks_at_types_only(type_: ColumnType) -> bool:
    parts = type_.alternatives if isinstance(type_, UnionType) else [type_]
    return all(type(part).take is _TAKE_BY_TYPE for part in parts)


def _misfit(column: Any, value: Any, known: ColumnType) -> str:
    shown = repr(value)
    if len(shown) > _SHOWN_CHARACTERS:
        shown = f"{shown[:_SHOWN_CHARACTERS]}..."
    if known is INVALID:
        return f"column {column!r} has no type: give `dtype` one type for each of `columns`"
    return (
        f"column {column!r} takes {known} and got {shown} ({type_of(value)}): convert the value, "
        "or make the table with allow_mixed_types=True"
    )
