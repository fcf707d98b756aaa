"""Columns and rows of a new table, from whatever it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from trackd.tables.column_types import is_array

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT_COLUMNS = ("Input", "Output", "Expected")


def is_dataframe(value: Any) -> bool:
    """Say whether a value is a DataFrame of pandas, without importing pandas."""
    return any(
        base.__name__ == "DataFrame" and base.__module__.partition(".")[0] == "pandas"
        for base in type(value).__mro__
    )


def columns_and_rows(
    columns: Any, data: Any, rows: Any, dataframe: Any
) -> tuple[list[Any], Iterable[Any]]:
    """Return the names of the columns and the rows of a new table.

    Args:
        columns: list of texts or integers; None: `Input`, `Output`, `Expected`.
        data: list of rows, 2-D array of numpy or DataFrame.
        rows: list of rows; used without `data`.
        dataframe: DataFrame of pandas; goes before all others.

    Raises:
        AssertionError: an argument has a type that is not accepted.
    """
    if dataframe is not None and not is_dataframe(dataframe):
        raise AssertionError(
            f"Table(dataframe=): needs a pandas DataFrame, got {type(dataframe).__name__}: "
            "use data= for lists and arrays"
        )
    frame = data if dataframe is None and is_dataframe(data) else dataframe
    if frame is not None:
        return _from_dataframe(frame)
    given: Any = data if data is not None else rows
    if given is None:
        given = []
    if not isinstance(given, list) and not (is_array(given) and data is not None):
        raise AssertionError(
            f"Table(data=): needs a list of rows, a numpy array or a DataFrame, got "
            f"{type(given).__name__}"
        )
    names = list(DEFAULT_COLUMNS) if columns is None else columns
    return checked_columns(names), cast("Iterable[Any]", given)


def checked_columns(columns: Any) -> list[Any]:
    """Return the names of columns.

    Raises:
        AssertionError: they are no list of texts and integers.
    """
    if not isinstance(columns, list):
        raise AssertionError(  # noqa: TRY004 - the reference's type
            f"Table(columns=): needs a list of names, got {type(columns).__name__}"
        )
    names = cast("list[Any]", columns)
    for name in names:
        if type(name) not in (str, int):
            raise AssertionError(
                f"Table(columns=): {name!r} is of type {type(name).__name__}: names are texts or "
                "integers"
            )
    return list(names)


def for_each(value: Any, columns: list[Any]) -> list[Any]:
    """Return one value for each column, from a list of them or from one for all."""
    return cast("list[Any]", value) if isinstance(value, list) else [value] * len(columns)


def _from_dataframe(frame: Any) -> tuple[list[Any], Iterable[Any]]:
    columns = checked_columns(list(frame.columns))
    if not columns:
        return columns, [()] * len(frame)
    return columns, zip(*(list(frame[column].values) for column in columns), strict=True)
