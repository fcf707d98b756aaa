"""Whole columns: new ones checked, computed ones collected; tables compared and converted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from trackd import libraries
from trackd.tables.column_types import is_array
from trackd.tables.keys import TableIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trackd.tables.rows import ColumnKey, TableRows


def checked_values(table: TableRows, name: Any, data: Any, optional: Any) -> Sequence[Any]:
    """Return the values of a new column.

    Raises:
        AssertionError: see `Table.add_column`.
    """
    if not isinstance(name, str) or name in table.columns:
        raise AssertionError(
            f"Table.add_column(name={name!r}): needs a text that is not in {table.columns}"
        )
    if not isinstance(data, list) and not is_array(data):
        raise AssertionError(
            f"Table.add_column(data=): needs a list or numpy array, got {type(data).__name__}"
        )
    if not isinstance(optional, bool):
        raise AssertionError(  # noqa: TRY004 - the reference's type
            f"Table.add_column(optional={optional!r}): needs True or False"
        )
    values = cast("Sequence[Any]", data)
    if table.columns and len(values) != len(table.data):
        raise AssertionError(
            f"Table.add_column: column {name!r} has {len(values)} values and the table "
            f"{len(table.data)} rows"
        )
    return [_own_number(table, value) for value in values] if isinstance(values, list) else values


def _own_number(table: TableRows, value: Any) -> Any:
    """Return the number of a row of the table itself as a plain one: tables do not link to rows
    of their own."""
    return int(value) if isinstance(value, TableIndex) and value.table is table else value


def computed_columns(
    table: TableRows, fn: Callable[[int, dict[ColumnKey, Any]], Any]
) -> dict[str, list[Any]]:
    """Return the values that a function computes from the rows, by new column.

    Raises:
        AssertionError: it returned no dictionary.
    """
    found: dict[str, list[Any]] = {}
    for number, row in table.iterrows():
        computed = fn(number, dict(zip(table.columns, row, strict=True)))
        if not isinstance(computed, dict):
            raise AssertionError(  # noqa: TRY004 - the reference's type
                "Table.add_computed_columns: fn must return a dictionary, got "
                f"{type(computed).__name__}"
            )
        for name, value in cast("dict[str, Any]", computed).items():
            found.setdefault(name, []).append(value)
    return found


def dataframe_of(table: TableRows) -> Any:
    """Return a table as a DataFrame of pandas.

    Raises:
        Error: pandas is missing.
    """
    pandas = libraries.load("pandas", "Table.get_dataframe()", "pandas")
    return pandas.DataFrame.from_records(table.data, columns=table.columns)


def same(one: TableRows, other: TableRows) -> bool:
    """Say whether two tables have the same columns, types and values."""
    return (
        len(one.data) == len(other.data)
        and one.columns == other.columns
        and one.column_type() == other.column_type()
        and all(
            _same_value(left, right)
            for mine, theirs in zip(one.data, other.data, strict=True)
            for left, right in zip(mine, theirs, strict=True)
        )
    )


def _same_value(left: Any, right: Any) -> bool:
    equal = left == right
    return bool(equal.all()) if is_array(equal) else bool(equal)
