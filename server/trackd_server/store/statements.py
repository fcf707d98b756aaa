"""Statements that run by the thousand, without what SQLAlchemy makes around each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection


def run_text(connection: Connection, text: str, parameters: Sequence[object]) -> list[Any]:
    """Run one statement in the connection's transaction; return its rows as tuples.

    `exec_driver_sql` works out the names of the columns each time, which takes several times as
    long as a statement on a few rows. Errors are told apart by `Database`, as all others.
    """
    raw: Any = connection.connection.driver_connection
    return raw.execute(text, parameters).fetchall()
