"""Aliases of versions in a collection: set, moved, removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from trackd_server.domain import names
from trackd_server.domain.errors import InvalidRequest
from trackd_server.store.tables.artifacts import aliases, memberships

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

LATEST = "latest"
MAX_ALIAS_CHARS = 128


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
    collection_id = _collection_of(connection, membership_id)
    for name in dict.fromkeys(names_):
        here = (aliases.c.collection_id == collection_id) & (aliases.c.alias == checked(name))
        moved = connection.execute(update(aliases).where(here).values(membership_id=membership_id))
        if not moved.rowcount:
            row = {"collection_id": collection_id, "alias": name, "membership_id": membership_id}
            connection.execute(insert(aliases), row)


def drop(connection: Connection, membership_id: int, names_: Iterable[str]) -> None:
    """Remove aliases of a member; those that it does not have are no error."""
    connection.execute(
        delete(aliases).where(
            aliases.c.membership_id == membership_id, aliases.c.alias.in_(list(names_))
        )
    )


def restore_latest(connection: Connection, collection_id: int) -> None:
    """Let `latest` point to a collection's highest member if it points to none."""
    here = (aliases.c.collection_id == collection_id) & (aliases.c.alias == LATEST)
    if connection.execute(select(aliases.c.id).where(here)).first() is not None:
        return
    mine = select(memberships.c.id).where(memberships.c.collection_id == collection_id)
    newest = connection.execute(mine.order_by(memberships.c.version_index.desc()).limit(1)).scalar()
    if newest is not None:
        row = {"collection_id": collection_id, "alias": LATEST, "membership_id": newest}
        connection.execute(insert(aliases), row)


def _collection_of(connection: Connection, membership_id: int) -> int:
    return connection.execute(
        select(memberships.c.collection_id).where(memberships.c.id == membership_id)
    ).scalar_one()
