"""Links between tables: keys (text) and row numbers of one table in cells of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from trackd.identity import generate_id
from trackd.tables.column_types import (
    INVALID,
    ColumnType,
    NumberType,
    PythonObjectType,
    StringType,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd.artifacts import Artifact, ArtifactMember
    from trackd.tables.rows import TableRows
    from trackd.tables.schema import Schema


class TableKey(str):
    """A text that names a row of a table by the value in its key column."""

    _table: TableRows | None = None
    _column: Any = None

    def set_table(self, table: TableRows, col_name: Any) -> None:
        """Say to which column of which table the key belongs."""
        self._table, self._column = table, col_name

    def column_type(self) -> ColumnType:
        """Return the type of columns with such keys."""
        if self._table is None:
            return PythonObjectType(type(self).__name__)
        return ForeignKeyType(self._table, self._column)


class TableIndex(int):
    """The number of a row of a table."""

    _table: TableRows | None = None

    def set_table(self, table: TableRows) -> None:
        """Say to which table the row belongs."""
        self._table = table

    @property
    def table(self) -> TableRows | None:
        """The table."""
        return self._table

    def get_row(self) -> dict[Any, Any]:
        """Return the row: values by column."""
        if self._table is None:
            return {}
        return dict(zip(self._table.columns, self._table.data[self], strict=True))

    def column_type(self) -> ColumnType:
        """Return the type of columns with such numbers."""
        if self._table is None:
            return PythonObjectType(type(self).__name__)
        return ForeignIndexType(self._table)


class PrimaryKeyType(ColumnType):
    """Texts that name the rows of their own table."""

    name = "primaryKey"

    def take_type(self, other: ColumnType) -> ColumnType:
        """Take texts."""
        return self if isinstance(other, StringType | PrimaryKeyType) else INVALID


class ForeignKeyType(ColumnType):
    """Keys of another table."""

    name = "foreignKey"

    def __init__(self, table: TableRows, col_name: Any) -> None:
        if col_name not in table.columns:
            raise AssertionError(
                f"column {col_name!r} is not in the table referred to, which has {table.columns}"
            )
        self.table = table
        self.col_name = col_name

    def params(self) -> dict[str, Any]:
        """Return table and column."""
        return {"table": self.table, "col_name": self.col_name}

    def take_type(self, other: ColumnType) -> ColumnType:
        """Take texts, and keys of the same column of the same table."""
        return self if isinstance(other, StringType) or self == other else INVALID

    def to_json(self, artifact: Artifact) -> dict[str, Any]:
        """Return the JSON form; the other table goes into the artifact."""
        params = {"table": _added(self.table, artifact), "col_name": self.col_name}
        return {"wb_type": self.name, "params": params}

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ForeignKeyType)
            and other.table is self.table
            and other.col_name == self.col_name
        )

    def __hash__(self) -> int:
        return hash((id(self.table), self.col_name))


class ForeignIndexType(ColumnType):
    """Row numbers of another table."""

    name = "foreignIndex"

    def __init__(self, table: TableRows) -> None:
        self.table = table

    def params(self) -> dict[str, Any]:
        """Return the table."""
        return {"table": self.table}

    def take_type(self, other: ColumnType) -> ColumnType:
        """Take numbers, and row numbers of the same table."""
        return self if isinstance(other, NumberType) or self == other else INVALID

    def to_json(self, artifact: Artifact) -> dict[str, Any]:
        """Return the JSON form; the other table goes into the artifact."""
        return {"wb_type": self.name, "params": {"table": _added(self.table, artifact)}}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ForeignIndexType) and other.table is self.table

    def __hash__(self) -> int:
        return hash(id(self.table))


class KeyColumns:
    """Which columns of a table hold keys; wraps what lies in them."""

    def __init__(self, table: TableRows) -> None:
        self._table = table
        self._primary: Any = None
        self._foreign: set[Any] = set()

    def __bool__(self) -> bool:
        return self._primary is not None or bool(self._foreign)

    def check(self, column: Any, type_: ColumnType, *, optional: bool) -> None:
        """Tell whether a column may get a type.

        Raises:
            AssertionError: keys may not be optional, refer to their own table, or be unset; a
                table has one primary key.
        """
        is_foreign = isinstance(type_, ForeignKeyType | ForeignIndexType)
        is_primary = isinstance(type_, PrimaryKeyType)
        if optional and (is_primary or is_foreign):
            raise AssertionError(f"column {column!r} holds keys: it cannot be optional")
        if isinstance(type_, ForeignKeyType) and type_.table is self._table:
            raise AssertionError(f"column {column!r} refers to keys of its own table")
        if is_primary and self._primary is not None:
            raise AssertionError(
                f"column {column!r} cannot be the primary key: {self._primary!r} is"
            )
        if column == self._primary and self._primary is not None and not is_primary:
            raise AssertionError(f"column {column!r} is the primary key and has to stay it")
        if column in self._foreign and not is_foreign:
            raise AssertionError(f"column {column!r} holds keys of another table, and has to")

    def update(self, columns: Sequence[Any], schema: Schema) -> bool:
        """Look at the types again; say whether key columns were added."""
        primary, foreign = None, set[Any]()
        for column in columns:
            type_ = schema[column]
            if isinstance(type_, PrimaryKeyType):
                primary = column
            elif isinstance(type_, ForeignKeyType | ForeignIndexType):
                foreign.add(column)
        changed = primary != self._primary or foreign != self._foreign
        self._primary, self._foreign = primary, foreign
        return changed

    def wrap(self, row: list[Any], columns: Sequence[Any], schema: Schema) -> None:
        """Turn the keys of a row into `TableKey` and `TableIndex`."""
        for column in self._foreign:
            at, type_ = columns.index(column), schema[column]
            if isinstance(type_, ForeignKeyType) and not isinstance(row[at], TableKey):
                row[at] = _key(row[at], type_.table, type_.col_name)
            elif isinstance(type_, ForeignIndexType) and not isinstance(row[at], TableIndex):
                row[at] = index_of(row[at], type_.table)
        if self._primary is not None:
            at = columns.index(self._primary)
            row[at] = _key(row[at], self._table, self._primary)


def index_of(number: int, table: TableRows) -> TableIndex:
    """Return a row number that knows its table."""
    index = TableIndex(number)
    index.set_table(table)
    return index


def _key(text: str, table: TableRows, column: Any) -> TableKey:
    key = TableKey(text)
    key.set_table(table, column)
    return key


def _added(table: TableRows, artifact: Artifact) -> str:
    member = cast("ArtifactMember", table)  # only whole tables are handed out
    return artifact.add(member, f"media/tables/t_{generate_id()}").path
