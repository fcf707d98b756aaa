"""Memberships as others read them: a version under the number and aliases that a collection gives.

A version is asked for by `collection[:alias]`; the alias may be a number, `v3`; none means
`latest`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, bindparam, select

from trackd_server.domain.artifacts import collections as collections_
from trackd_server.domain.artifacts import versions as versions_
from trackd_server.domain.errors import NotFound
from trackd_server.store.tables.artifacts import aliases, memberships

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from trackd_server.domain.artifacts.collections import CollectionView
    from trackd_server.domain.artifacts.versions import AliasView, VersionView

LATEST = "latest"
_NUMBER = re.compile(r"v(\d{1,15})")

# Statements are put together once: that takes several times as long as running one.
_VIEWS = select(memberships).where(memberships.c.id.in_(bindparam("ids", expanding=True)))
_BY_NUMBER = select(memberships.c.id, memberships.c.version_id).where(
    memberships.c.collection_id == bindparam("shown_in"),
    memberships.c.version_index == bindparam("number"),
)
_BY_ALIAS = (
    select(memberships.c.id, memberships.c.version_id)
    .join(aliases, aliases.c.membership_id == memberships.c.id)
    .where(aliases.c.collection_id == bindparam("shown_in"), aliases.c.alias == bindparam("called"))
)


@dataclass(frozen=True)
class MembershipView:
    """A version as one collection shows it."""

    row: Row[Any]
    collection: CollectionView
    version: VersionView

    @property
    def id(self) -> int:
        """Return the number of its row."""
        return self.row.id

    @property
    def aliases(self) -> list[AliasView]:
        """Return the version's aliases in this collection."""
        here = self.row.collection_id
        return [alias for alias in self.version.aliases if alias.collection_id == here]


def views(connection: Connection, ids: Sequence[int]) -> list[MembershipView]:
    """Return memberships in the order of their numbers; those that are gone are left out."""
    rows = {row.id: row for row in connection.execute(_VIEWS, {"ids": list(ids)})}
    shown = versions_.views(connection, list({row.version_id for row in rows.values()}))
    by_version = {version.id: version for version in shown}
    owners = collections_.views(connection, list({row.collection_id for row in rows.values()}))
    by_collection = {owner.id: owner for owner in owners}
    return [
        MembershipView(row, by_collection[row.collection_id], by_version[row.version_id])
        for id_ in ids
        if (row := rows.get(id_)) is not None and row.version_id in by_version
    ]


def find(connection: Connection, collection_id: int, alias: str | None) -> MembershipView | None:
    """Return the member that a collection shows under an alias or number, or None."""
    found = _find(connection, collection_id, alias or LATEST)
    return None if found is None else next(iter(views(connection, [found.id])), None)


def find_version(connection: Connection, collection_id: int, alias: str) -> VersionView | None:
    """Return the version that a collection shows under an alias or number, or None."""
    found = _find(connection, collection_id, alias)
    if found is None:
        return None
    return next(iter(versions_.views(connection, [found.version_id])), None)


def _find(connection: Connection, collection_id: int, alias: str) -> Row[Any, Any] | None:
    number = _NUMBER.fullmatch(alias)
    if number:
        wanted: dict[str, Any] = {"shown_in": collection_id, "number": int(number[1])}
        return connection.execute(_BY_NUMBER, wanted).one_or_none()
    wanted = {"shown_in": collection_id, "called": alias}
    return connection.execute(_BY_ALIAS, wanted).one_or_none()


def by_name(connection: Connection, entity: str, project: str, name: str) -> MembershipView:
    """Return the member that `collection[:alias]` names in a project.

    Raises:
        NotFound: There is no such collection or member; the message says which.
    """
    title, _, alias = name.partition(":")
    collection = collections_.find(connection, entity, project, title)
    if collection is None:
        raise NotFound(f"Project {entity}/{project} has no artifact collection {title[:200]!r}.")
    found = find(connection, collection.id, alias or LATEST)
    if found is None:
        number = _NUMBER.fullmatch(alias)
        was_there = number is not None and int(number[1]) < collection.next_index
        verdict = "was deleted or has expired" if was_there else "does not exist"
        raise NotFound(f"Artifact {entity}/{project}/{title}:{alias or LATEST} {verdict}.")
    return found
