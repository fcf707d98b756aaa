"""The type of columns whose cells hold tables."""

from __future__ import annotations

from typing import Any

from trackd.tables.column_types import INVALID, UNKNOWN, ColumnType


class TableType(ColumnType):
    """Tables whose columns have certain types.

    Args:
        columns: type of a row; unknown: any table decides.
    """

    name = "table"

    def __init__(self, columns: ColumnType = UNKNOWN) -> None:
        self.columns = columns

    def params(self) -> dict[str, Any]:
        """Return the type of a row."""
        return {"column_types": self.columns}

    def take_type(self, other: ColumnType) -> ColumnType:
        """Take tables whose columns fit."""
        if not isinstance(other, TableType):
            return INVALID
        columns = self.columns.take_type(other.columns)
        if columns is INVALID:
            return INVALID
        return self if columns is self.columns else TableType(columns)
