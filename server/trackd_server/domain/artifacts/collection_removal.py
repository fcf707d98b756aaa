"""Deleting whole sequences, in the caller's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from trackd_server.domain.artifacts import removal
from trackd_server.store.tables.artifacts import collections, versions

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from trackd_server.domain.storage import Freed


def remove_sequence(connection: Connection, collection_id: int) -> Freed:
    """Delete a sequence with all its versions, drafts too; the caller frees the bytes."""
    mine = select(versions.c.id).where(versions.c.collection_id == collection_id)
    ids = list(connection.execute(mine).scalars())
    freed = removal.remove(connection, ids, delete_aliases=True)
    connection.execute(delete(collections).where(collections.c.id == collection_id))
    return freed
