"""Rows and typed columns of a table, whatever becomes of them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal

from trackd.messages.root_logger import root_warning
from trackd.tables.arrays import to_numpy
from trackd.tables.column_types import UNKNOWN, ColumnType
from trackd.tables.columns import checked_values, computed_columns, dataframe_of, same
from trackd.tables.keys import (
    ForeignKeyType,
    KeyColumns,
    PrimaryKeyType,
    TableIndex,
    TableKey,
    index_of,
)
from trackd.tables.schema import Schema, cast_column
from trackd.tables.table_type import TableType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

#: A column: its name, or its number where names are numbers.
ColumnKey = str | int


class TableRows:
    """Rows and typed columns.

    Attributes:
        columns: names of the columns.
        data: values by row and column.
    """

    def __init__(self, columns: list[ColumnKey]) -> None:
        self.columns = columns
        self.data: list[list[Any]] = []
        self._schema = Schema()
        self._keys = KeyColumns(self)
        #: Held while the table changes, and while it is recorded: threads may share it.
        self._lock = threading.RLock()

    # --- rows --------------------------------------------------------------------------------

    def add_data(self, *data: Any) -> None:
        """Add a row.

        Args:
            data: its values, one for each column.

        Raises:
            ValueError: there are more or fewer values than columns.
            TypeError: a value does not fit its column.
        """
        with self._lock:
            self._before_change("add_data")
            if len(data) != len(self.columns):
                raise ValueError(
                    f"Table.add_data: got {len(data)} values for the {len(self.columns)} columns "
                    f"{self.columns}"
                )
            row = list(data)
            if not self._schema.knows(data):
                self._learn(data, row)
            self.data.append(row)
            self._after_append()

    def add_row(self, *row: Any) -> None:
        """Add a row; deprecated, use `add_data`."""
        root_warning("add_row is deprecated, use add_data")
        self.add_data(*row)

    def iterrows(self) -> Iterator[tuple[TableIndex, list[Any]]]:
        """Yield number and values of each row.

        The number knows its table: as a value in another table it links to the row.
        """
        for number, row in enumerate(self.data):
            yield index_of(number, self), row

    def get_index(self) -> list[TableIndex]:
        """Return the numbers of all rows, for cells of another table."""
        return [index_of(number, self) for number in range(len(self.data))]

    def index_ref(self, index: int) -> TableIndex:
        """Return the number of one row, for a cell of another table.

        Raises:
            AssertionError: there is no such row.
        """
        if index >= len(self.data):
            raise AssertionError(f"row {index} does not exist: there are {len(self.data)}")
        return index_of(index, self)

    # --- columns -----------------------------------------------------------------------------

    def add_column(self, name: str, data: Sequence[Any], optional: bool = False) -> None:
        """Add a column.

        Args:
            name: new among the columns.
            data: list or array of numpy with a value for each row.
            optional: None is allowed.

        Raises:
            AssertionError: `name`, `data` or `optional` are not of that form.
            TypeError: the values have more than one type.
            Error: the table has `log_mode="INCREMENTAL"`.
        """
        with self._lock:
            self._before_change("add_column")
            values = checked_values(self, name, data, optional)
            type_ = cast_column(name, values, UNKNOWN, optional=optional)
            if not self.columns:
                self.data = [[] for _ in values]
            for row, value in zip(self.data, values, strict=True):
                row.append(value)
            self.columns.append(name)
            self._set_type(name, type_)

    def add_computed_columns(
        self, fn: Callable[[int, dict[ColumnKey, Any]], Mapping[Any, Any]]
    ) -> None:
        """Add columns computed from each row.

        Args:
            fn: takes number and values by column of a row, returns values by new column.

        Raises:
            AssertionError: `fn` returned no dictionary, or not the same columns for each row.
            TypeError: the values of a column have more than one type.
            Error: the table has `log_mode="INCREMENTAL"`.
        """
        self._before_change("add_computed_columns")
        for name, values in computed_columns(self, fn).items():
            self.add_column(name, values)

    def get_column(self, name: ColumnKey, convert_to: Literal["numpy"] | None = None) -> Any:
        """Return the values of a column.

        Args:
            name: of the column.
            convert_to: `numpy` for an array.

        Raises:
            AssertionError: there is no such column, or `convert_to` is something else.
            Error: numpy is missing.
        """
        self._check_column("get_column", name)
        if convert_to not in (None, "numpy"):
            raise AssertionError(f"Table.get_column(convert_to={convert_to!r}): use 'numpy'")
        index = self.columns.index(name)
        values = [row[index] for row in self.data]
        return values if convert_to is None else to_numpy(values)

    def get_dataframe(self) -> Any:
        """Return the table as a DataFrame of pandas.

        Raises:
            Error: pandas is missing.
        """
        return dataframe_of(self)

    def cast(self, col_name: ColumnKey, dtype: Any, optional: bool = False) -> ColumnType:
        """Give a column a type.

        Args:
            col_name: of the column.
            dtype: see `Table`.
            optional: None is allowed.

        Raises:
            AssertionError: there is no such column, or keys cannot be what is asked.
            TypeError: a value that is there does not fit.
        """
        with self._lock:
            self._before_change("cast")
            self._check_column("cast", col_name)
            index = self.columns.index(col_name)
            values = (row[index] for row in self.data)
            type_ = cast_column(col_name, values, dtype, optional=optional)
            self._keys.check(col_name, type_, optional=optional)
            self._set_type(col_name, type_)
            return type_

    def set_pk(self, col_name: ColumnKey) -> None:
        """Make a column of texts the key by which other tables refer to rows.

        Raises:
            AssertionError: there is no such column, or another key.
            TypeError: the column holds something else.
        """
        self.cast(col_name, PrimaryKeyType())

    def set_fk(self, col_name: ColumnKey, table: TableRows, table_col: ColumnKey) -> None:
        """Say that a column of texts holds keys of another table.

        Raises:
            AssertionError: there is no such column.
            TypeError: the column holds something else.
        """
        self.cast(col_name, ForeignKeyType(table, table_col))

    def column_type(self) -> TableType:
        """Return the type of columns that hold such tables."""
        return TableType(self._schema.as_type())

    @classmethod
    def empty_column_type(cls) -> TableType:
        """Return the type of columns that hold tables."""
        return TableType()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TableRows) and same(self, other)

    __hash__ = None  # pyright: ignore[reportAssignmentType] - it can change

    # --- copies ------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is to know."""
        state = dict(vars(self))
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Become a copy."""
        vars(self).update(state)
        self._lock = threading.RLock()

    # --- inside ------------------------------------------------------------------------------

    def _before_change(self, method: str) -> None:
        """Called first by every method that changes the table."""

    def _after_append(self) -> None:
        """Called when a row was added."""

    def _check_column(self, method: str, name: ColumnKey) -> None:
        if name not in self.columns:
            raise AssertionError(f"Table.{method}: no column {name!r}, there are {self.columns}")

    def _set_type(self, name: ColumnKey, type_: ColumnType) -> None:
        self._schema[name] = type_
        if self._keys.update(self.columns, self._schema):
            for row in self.data:
                self._keys.wrap(row, self.columns, self._schema)

    def _learn(self, data: Sequence[Any], row: list[Any]) -> None:
        """Let the types of the columns learn from a row, and make its keys know their tables."""
        for name, value in zip(self.columns, data, strict=True):
            if isinstance(value, TableKey | TableIndex):
                type_ = value.column_type()
                if self._schema[name] != type_:
                    self.cast(name, type_)
        self._schema.take_row(self.columns, data)
        if self._keys:
            self._keys.wrap(row, self.columns, self._schema)
