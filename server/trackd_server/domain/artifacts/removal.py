"""Deleting versions: one transaction takes all of it away, then the caller frees the bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from trackd_server.domain.artifacts import aliases as aliases_
from trackd_server.domain.artifacts import lifetimes, pending, segments
from trackd_server.domain.errors import Conflict
from trackd_server.domain.storage import NOTHING_FREED
from trackd_server.store.tables.artifacts import aliases, manifests, memberships, versions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from trackd_server.domain.storage import Freed

_AT_ONCE = 2_000


def remove(
    connection: Connection, version_ids: Sequence[int], *, delete_aliases: bool = False
) -> Freed:
    """Delete versions with their manifests, links, aliases, tags and uses.

    `latest` of a collection that loses it goes to its highest member that is left.

    Raises:
        Conflict: Some have aliases and `delete_aliases` is false, or are needed by a version that
            is being made.
    """
    freed = NOTHING_FREED
    for start in range(0, len(version_ids), _AT_ONCE):
        some = version_ids[start : start + _AT_ONCE]
        if not delete_aliases:
            _refuse_aliased(connection, some)
        _refuse_bases(connection, some)
        freed += _remove(connection, some)
    return freed


def _remove(connection: Connection, ids: Sequence[int]) -> Freed:
    member = memberships.c.version_id.in_(ids)
    shown_in = connection.execute(select(memberships.c.collection_id).where(member)).scalars()
    collection_ids = set(shown_in)
    bases = _bases_of(connection, ids)
    of_these = manifests.c.version_id.in_(ids)
    numbers = list(connection.execute(select(manifests.c.id).where(of_these)).scalars())
    freed = segments.remove(connection, numbers)
    drafts = select(versions.c.id).where(versions.c.id.in_(ids), versions.c.state == "PENDING")
    for version_id in list(connection.execute(drafts).scalars()):
        freed += pending.let_go(connection, version_id)
    # Memberships, aliases, tags, uses, manifests and client ids go with the row.
    connection.execute(delete(versions).where(versions.c.id.in_(ids)))
    for collection_id in collection_ids:
        aliases_.restore_latest(connection, collection_id)
    lifetimes.refresh(connection, bases)
    return freed


def _refuse_aliased(connection: Connection, ids: Sequence[int]) -> None:
    query = (
        select(aliases.c.alias)
        .join(memberships, memberships.c.id == aliases.c.membership_id)
        .where(memberships.c.version_id.in_(ids))
    )
    named = sorted(set(connection.execute(query.limit(5)).scalars()))
    if named:
        raise Conflict(
            f"The artifact version has aliases ({', '.join(named)}): remove them first, or delete "
            "it together with them (delete_aliases=True)."
        )


def _refuse_bases(connection: Connection, ids: Sequence[int]) -> None:
    making = versions.alias("making")
    query = (
        select(making.c.id)
        .join(manifests, manifests.c.version_id == making.c.id)
        .where(
            manifests.c.base_version_id.in_(ids),
            manifests.c.kind == "INCREMENTAL",
            manifests.c.arrived.is_(None),
            making.c.state == "PENDING",
            making.c.id.not_in(ids),
        )
    )
    if connection.execute(query.limit(1)).first() is not None:
        raise Conflict(
            "The artifact version is the base of an incremental one that is being logged: delete "
            "it after that one's commit."
        )


def _bases_of(connection: Connection, ids: Sequence[int]) -> list[int]:
    query = select(manifests.c.base_version_id).where(
        manifests.c.version_id.in_(ids), manifests.c.base_version_id.is_not(None)
    )
    return list(connection.execute(query).scalars())
