"""The commit of a version: its number, aliases and manifest, in one transaction."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, bindparam, delete, insert, select, update

from trackd_server.domain.artifacts import aliases, lifetimes, manifests, pending, remains
from trackd_server.store.tables import artifacts as tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from trackd_server.domain.storage import Freed


# Statements are put together once: that takes several times as long as running one.
_ARRIVED = (
    select(tables.manifests)
    .where(
        tables.manifests.c.version_id == bindparam("of_version"),
        tables.manifests.c.arrived.is_not(None),
    )
    .order_by(tables.manifests.c.arrived)
)
_TAKE_NUMBER = (
    "UPDATE collections SET next_index = next_index + 1, updated_at = ?"
    " WHERE id = ? RETURNING next_index - 1"
)
_COMMIT = update(tables.versions).where(tables.versions.c.id == bindparam("number"))
_SHOW = insert(tables.memberships).returning(tables.memberships.c.id)
_DROP_OTHERS = (
    delete(tables.manifests)
    .where(
        tables.manifests.c.version_id == bindparam("of_version"),
        tables.manifests.c.id != bindparam("chosen"),
    )
    .returning(tables.manifests.c.id, tables.manifests.c.base_version_id)
)


def arrived(connection: Connection, version_id: int) -> list[Row[Any]]:
    """Return what a version has of manifests, in the order of arrival; merges are left out.

    A merge is a FULL manifest beside PATCH ones: it is made anew if the commit is tried again.
    """
    rows = list(connection.execute(_ARRIVED, {"of_version": version_id}))
    patches = [row for row in rows if row.kind == manifests.PATCH]
    return patches or rows


def names_of(parts: Sequence[Row[Any]]) -> set[tuple[int, int]]:
    """Return what tells parts apart: one that arrived again is another one."""
    return {(part.id, part.arrived) for part in parts}


def commit(
    connection: Connection, version_id: int, manifest_id: int, merged: set[tuple[int, int]]
) -> tuple[Freed, bool] | None:
    """Commit in the caller's transaction; None if other parts than the merged ones are there.

    Returns what is let go of, and whether nothing remains to be cleared.
    """
    row = manifests.require_pending(connection, version_id)
    if names_of(arrived(connection, version_id)) != merged:
        return None
    manifest = manifests.find(connection, manifest_id)
    now = time.time()
    index: Any = connection.exec_driver_sql(_TAKE_NUMBER, (now, row.collection_id)).scalar_one()
    values = {
        "number": version_id,
        "state": "COMMITTED",
        "version_index": index,
        "digest": manifest.digest,
        "manifest_id": manifest_id,
        "base_version_id": manifest.base_version_id,
        "bytes": manifest.bytes,
        "reference_bytes": manifest.reference_bytes,
        "file_count": manifest.entries,
        "wanted_aliases": "[]",
        "committed_at": now,
        "updated_at": now,
    }
    connection.execute(_COMMIT, values)
    shown = {
        "collection_id": row.collection_id,
        "version_id": version_id,
        "version_index": index,
        "created_at": now,
    }
    membership = connection.execute(_SHOW, shown).scalar_one()
    aliases.set_(connection, membership, [*json.loads(row.wanted_aliases), aliases.LATEST])
    others = connection.execute(
        _DROP_OTHERS, {"of_version": version_id, "chosen": manifest_id}
    ).all()
    remains.leave(connection, remains.MANIFEST, [other.id for other in others])
    freed = pending.let_go(connection, version_id)
    bases = {part.base_version_id for part in (manifest, *others)} - {None}
    lifetimes.refresh(connection, [version_id, *bases])
    more, is_done = remains.clear(connection)
    return freed + more, is_done
