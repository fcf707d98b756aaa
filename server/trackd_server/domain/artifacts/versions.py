"""Versions as others read them: one, or many at a handful of queries."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, bindparam, select

from trackd_server.domain.artifacts import lifetimes
from trackd_server.domain.errors import NotFound
from trackd_server.store.given_ids import was_given
from trackd_server.store.statements import run_text
from trackd_server.store.tables import projects
from trackd_server.store.tables.artifacts import (
    aliases,
    artifact_types,
    client_ids,
    collections,
    memberships,
    ttl_defaults,
    version_tags,
    versions,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

_columns = (
    *versions.c,
    collections.c.name.label("collection"),
    projects.c.id.label("project_id"),
    projects.c.entity.label("entity"),
    projects.c.name.label("project"),
    artifact_types.c.name.label("type"),
    ttl_defaults.c.ttl_seconds.label("default_ttl_seconds"),
)

# Statements are put together once: that takes several times as long as running one.
_LIVING = "SELECT id FROM versions WHERE id = ? AND (expires_at IS NULL OR expires_at > ?)"
_BY_CLIENT_ID = select(client_ids.c.version_id).where(client_ids.c.digest == bindparam("digest"))
_VIEWS = (
    select(*_columns)
    .join(collections, collections.c.id == versions.c.collection_id)
    .join(projects, projects.c.id == collections.c.project_id)
    .join(artifact_types, artifact_types.c.id == collections.c.type_id)
    .outerjoin(ttl_defaults, ttl_defaults.c.entity == projects.c.entity)
    .where(
        versions.c.id.in_(bindparam("ids", expanding=True)), lifetimes.alive(bindparam("moment"))
    )
)
_TAGS = (
    select(version_tags)
    .where(version_tags.c.version_id.in_(bindparam("ids", expanding=True)))
    .order_by(version_tags.c.tag)
)
_ALIASES = (
    select(
        memberships.c.version_id,
        aliases.c.id,
        aliases.c.alias,
        collections.c.id.label("collection_id"),
        collections.c.name,
        collections.c.project_id,
    )
    .join(memberships, memberships.c.id == aliases.c.membership_id)
    .join(collections, collections.c.id == aliases.c.collection_id)
    .where(memberships.c.version_id.in_(bindparam("ids", expanding=True)))
    .order_by(aliases.c.id)
)


@dataclass(frozen=True)
class AliasView:
    """An alias of a version in one of the collections that show it."""

    id: int
    alias: str
    collection_id: int
    collection: str
    project_id: int


@dataclass(frozen=True)
class VersionView:
    """A version with what its source collection says of it.

    Attributes:
        row: its columns, and collection, project_id, entity, project, type, default_ttl_seconds.
        aliases: in all collections that show it, the source's first.
        tags: by name.
    """

    row: Row[Any]
    aliases: tuple[AliasView, ...]
    tags: tuple[str, ...]

    @property
    def id(self) -> int:
        """Return the number of its row."""
        return self.row.id

    @property
    def name(self) -> str:
        """Return collection:version, for messages."""
        index = "draft" if self.row.version_index is None else f"v{self.row.version_index}"
        return f"{self.row.entity}/{self.row.project}/{self.row.collection}:{index}"


def views(connection: Connection, ids: Sequence[int]) -> list[VersionView]:
    """Return versions in the order of their numbers; those that are gone or expired are left out.

    Three queries, however many there are.
    """
    found = connection.execute(_VIEWS, {"ids": list(ids), "moment": time.time()})
    rows = {row.id: row for row in found}
    named = _aliases(connection, ids)
    tags: dict[int, list[str]] = {}
    for row in connection.execute(_TAGS, {"ids": list(ids)}):
        tags.setdefault(row.version_id, []).append(row.tag)
    return [
        VersionView(row, _source_first(row, named.get(id_, [])), tuple(tags.get(id_, ())))
        for id_ in ids
        if (row := rows.get(id_)) is not None
    ]


def view(connection: Connection, version_id: int) -> VersionView:
    """Return one version, or say that it is gone."""
    found = views(connection, [version_id])
    if not found:
        raise NotFound("The artifact version does not exist (any more).")
    return found[0]


def require_living(connection: Connection, version_id: int) -> None:
    """Refuse a version that is gone, or whose time is over.

    Raises:
        NotFound: It is so.
    """
    if not run_text(connection, _LIVING, (version_id, time.time())):
        raise NotFound("The artifact version does not exist (any more).")


def was_deleted(connection: Connection, version_id: int) -> bool:
    """Tell whether there was a version of this number, which is gone or whose time is over."""
    living = run_text(connection, _LIVING, (version_id, time.time()))
    return not living and was_given(connection, versions, version_id)


def logged_by(connection: Connection, run_number: int, limit: int) -> list[int]:
    """Return numbers of living versions that a run logged, drafts too, the newest first."""
    query = select(versions.c.id).where(
        versions.c.run_id == run_number, lifetimes.alive(time.time())
    )
    return list(connection.execute(query.order_by(versions.c.id.desc()).limit(limit)).scalars())


def by_client_id(connection: Connection, digest: bytes) -> int | None:
    """Return the number of the version that a client made under an id of its own."""
    return connection.execute(_BY_CLIENT_ID, {"digest": digest}).scalar()


def _aliases(connection: Connection, ids: Sequence[int]) -> dict[int, list[AliasView]]:
    found: dict[int, list[AliasView]] = {}
    for row in connection.execute(_ALIASES, {"ids": list(ids)}):
        view_ = AliasView(row.id, row.alias, row.collection_id, row.name, row.project_id)
        found.setdefault(row.version_id, []).append(view_)
    return found


def _source_first(row: Row[Any], named: list[AliasView]) -> tuple[AliasView, ...]:
    return tuple(sorted(named, key=lambda alias: alias.collection_id != row.collection_id))
