"""Statements that run by the thousand, without what SQLAlchemy makes around each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection


_encode = msgspec.json.Encoder().encode


def as_json(value: object) -> str:
    """Return lists and dicts of numbers and texts as a parameter for `json_each`.

    A tenth of what `json.dumps` costs, which is as much as a statement on a few rows.
    """
    return _encode(value).decode()


def run_text(connection: Connection, text: str, parameters: Sequence[object]) -> list[Any]:
    """Run one statement in the connection's transaction; return its rows as tuples.

    `exec_driver_sql` works out the names of the columns each time, which takes several times as
    long as a statement on a few rows. Errors are told apart by `Database`, as all others.
    """
    raw: Any = connection.connection.driver_connection
    return raw.execute(text, parameters).fetchall()
