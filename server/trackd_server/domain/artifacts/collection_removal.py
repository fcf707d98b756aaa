"""Deleting whole sequences, in the caller's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from trackd_server.domain.artifacts import removal
from trackd_server.domain.storage import NOTHING_FREED
from trackd_server.store.tables.artifacts import collections, versions

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from trackd_server.domain.storage import Freed


def remove_some(connection: Connection, collection_id: int, limit: int) -> tuple[Freed, bool]:
    """Delete up to `limit` versions of a sequence, drafts too; then the sequence: is it gone?"""
    mine = select(versions.c.id).where(versions.c.collection_id == collection_id)
    ids = list(connection.execute(mine.order_by(versions.c.id).limit(limit)).scalars())
    freed = removal.remove(connection, ids, delete_aliases=True) if ids else NOTHING_FREED
    if len(ids) == limit:
        return freed, False
    connection.execute(delete(collections).where(collections.c.id == collection_id))
    return freed, True


def remove(connection: Connection, collection_id: int) -> Freed:
    """Delete a sequence with all its versions at once."""
    freed, is_gone = NOTHING_FREED, False
    while not is_gone:
        more, is_gone = remove_some(connection, collection_id, 10_000)
        freed += more
    return freed
