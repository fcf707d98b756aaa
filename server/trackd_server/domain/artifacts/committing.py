"""The commit of a version: its number, aliases and manifest, in one transaction."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, insert, select, update

from trackd_server.domain.artifacts import aliases, lifetimes, manifests, pending, remains
from trackd_server.store.tables import artifacts as tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from trackd_server.domain.storage import Freed


def arrived(connection: Connection, version_id: int) -> list[Row[Any]]:
    """Return what a version has of manifests, in the order of arrival; merges are left out.

    A merge is a FULL manifest beside PATCH ones: it is made anew if the commit is tried again.
    """
    query = select(tables.manifests).where(
        tables.manifests.c.version_id == version_id, tables.manifests.c.arrived.is_not(None)
    )
    rows = list(connection.execute(query.order_by(tables.manifests.c.arrived)))
    patches = [row for row in rows if row.kind == manifests.PATCH]
    return patches or rows


def names_of(parts: Sequence[Row[Any]]) -> set[tuple[int, int]]:
    """Return what tells parts apart: one that arrived again is another one."""
    return {(part.id, part.arrived) for part in parts}


def commit(
    connection: Connection, version_id: int, manifest_id: int, merged: set[tuple[int, int]]
) -> Freed | None:
    """Commit in the caller's transaction; None if other parts than the merged ones are there."""
    row = manifests.require_pending(connection, version_id)
    if names_of(arrived(connection, version_id)) != merged:
        return None
    manifest = manifests.find(connection, manifest_id)
    now = time.time()
    index = connection.execute(
        update(tables.collections)
        .where(tables.collections.c.id == row.collection_id)
        .values(next_index=tables.collections.c.next_index + 1, updated_at=now)
        .returning(tables.collections.c.next_index)
    ).scalar_one()
    values = {
        "state": "COMMITTED",
        "version_index": index - 1,
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
    connection.execute(
        update(tables.versions).where(tables.versions.c.id == version_id).values(values)
    )
    membership = connection.execute(
        insert(tables.memberships)
        .values(
            collection_id=row.collection_id,
            version_id=version_id,
            version_index=index - 1,
            created_at=now,
        )
        .returning(tables.memberships.c.id)
    ).scalar_one()
    aliases.set_(connection, membership, [*json.loads(row.wanted_aliases), aliases.LATEST])
    others = connection.execute(
        tables.manifests.delete()
        .where(tables.manifests.c.version_id == version_id, tables.manifests.c.id != manifest_id)
        .returning(tables.manifests.c.id, tables.manifests.c.base_version_id)
    ).all()
    remains.leave(connection, remains.MANIFEST, [other.id for other in others])
    freed = pending.let_go(connection, version_id)
    bases = {part.base_version_id for part in (manifest, *others)} - {None}
    lifetimes.refresh(connection, [version_id, *bases])
    return freed + remains.clear(connection)[0]
