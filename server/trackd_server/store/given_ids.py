"""Ids that were given away once: of tables whose ids are never used again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

_GIVEN = "SELECT 1 FROM sqlite_sequence WHERE name = ? AND seq >= ?"


def was_given(connection: Connection, table: Table, number: int) -> bool:
    """Tell whether a row of an AUTOINCREMENT table had this id: if it is not there, it is deleted.

    So a deletion whose answer was lost can be asked for again, and is answered as the first time.
    """
    found = connection.exec_driver_sql(_GIVEN, (table.name, number)).first()
    return number > 0 and found is not None
