"""Aliases of versions in a collection: set, moved, removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete

from trackd_server.domain import names
from trackd_server.domain.errors import InvalidRequest
from trackd_server.store.statements import run_text
from trackd_server.store.tables.artifacts import aliases

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

LATEST = "latest"
MAX_ALIAS_CHARS = 128


_SET = """
INSERT INTO aliases (alias, membership_id, collection_id)
SELECT ?, m.id, m.collection_id FROM memberships m WHERE m.id = ?
ON CONFLICT (collection_id, alias) DO UPDATE SET membership_id = excluded.membership_id"""
_RESTORE_LATEST = """
INSERT INTO aliases (alias, membership_id, collection_id)
SELECT 'latest', id, collection_id FROM memberships WHERE collection_id = ?
ORDER BY version_index DESC LIMIT 1
ON CONFLICT (collection_id, alias) DO NOTHING"""


def checked(alias: str) -> str:
    """Return an alias if it can be one, else refuse it."""
    reason = ""
    if not 1 <= len(alias) <= MAX_ALIAS_CHARS:
        reason = f"it must have 1 to {MAX_ALIAS_CHARS} characters"
    elif "/" in alias or ":" in alias or names.printable(alias) != alias:
        reason = "it must not contain '/', ':' or unprintable characters"
    elif alias[0] == "v" and alias[1:].isdecimal():
        reason = "v and a number means a version"
    if reason:
        raise InvalidRequest(f"Invalid alias {alias[:200]!r}: {reason}; choose another one.")
    return alias


def set_(connection: Connection, membership_id: int, names_: Iterable[str]) -> None:
    """Point aliases to a member of a collection, from wherever in it they pointed."""
    rows = [(checked(name), membership_id) for name in dict.fromkeys(names_)]
    if rows:
        connection.exec_driver_sql(_SET, rows)


def drop(connection: Connection, membership_id: int, names_: Iterable[str]) -> None:
    """Remove aliases of a member; those that it does not have are no error."""
    connection.execute(
        delete(aliases).where(
            aliases.c.membership_id == membership_id, aliases.c.alias.in_(list(names_))
        )
    )


def restore_latest(connection: Connection, collection_id: int) -> None:
    """Let `latest` point to a collection's highest member if it points to none."""
    run_text(connection, _RESTORE_LATEST, (collection_id,))
