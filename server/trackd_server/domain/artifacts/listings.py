"""Lists of collections and of their members (versions and links): filtered, ordered, in pages.

`Fields` name what W&B's Public API lets one filter by, in all of its spellings.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, true

from trackd_server.domain.artifacts import lifetimes
from trackd_server.domain.artifacts.versions import AliasView
from trackd_server.domain.listing import filters, pages
from trackd_server.domain.listing.fields import Document, Many, Moment, Number, Scalar, Version
from trackd_server.domain.listing.pages import Order, Page, Range
from trackd_server.store.tables.artifacts import aliases as alias_table
from trackd_server.store.tables.artifacts import (
    artifact_types,
    collection_tags,
    collections,
    memberships,
    version_tags,
    versions,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection, FromClause

    from trackd_server.domain.artifacts.collections import CollectionView

_COLLECTION_TAG = Many(
    collection_tags, collection_tags.c.tag, collection_tags.c.collection_id == collections.c.id
)
_COLLECTION_ID = Number(collections.c.id, "ArtifactCollection")

COLLECTION_FIELDS: filters.Fields = {
    "id": _COLLECTION_ID,
    "collection_id": _COLLECTION_ID,
    "artifact_collection_id": _COLLECTION_ID,
    "name": Scalar(collections.c.name),
    "collection_name": Scalar(collections.c.name),
    "artifact_collection_name": Scalar(collections.c.name),
    "description": Scalar(collections.c.description),
    "tag": _COLLECTION_TAG,
    "tags": _COLLECTION_TAG,
    "type": Scalar(
        select(artifact_types.c.name)
        .where(artifact_types.c.id == collections.c.type_id)
        .scalar_subquery()
    ),
    "created_at": Moment(collections.c.created_at),
    "createdAt": Moment(collections.c.created_at),
    "updated_at": Moment(collections.c.updated_at),
    "updatedAt": Moment(collections.c.updated_at),
}
_COLLECTION_ORDERS = {
    "id": collections.c.id,
    "name": collections.c.name,
    "created_at": collections.c.created_at,
    "createdAt": collections.c.created_at,
    "updated_at": collections.c.updated_at,
    "updatedAt": collections.c.updated_at,
}

_TAG = Many(version_tags, version_tags.c.tag, version_tags.c.version_id == versions.c.id)
_ALIAS = Many(alias_table, alias_table.c.alias, alias_table.c.membership_id == memberships.c.id)
_SIZE = versions.c.bytes + versions.c.reference_bytes
_VERSION = Version(memberships.c.version_index)

#: Of a membership joined with its version.
MEMBER_FIELDS: filters.Fields = {
    "id": Number(versions.c.id, "Artifact"),
    "artifact_id": Number(versions.c.id, "Artifact"),
    "version": _VERSION,
    "version_index": _VERSION,
    "versionIndex": _VERSION,
    "state": Scalar(versions.c.state),
    "digest": Scalar(versions.c.digest),
    "description": Scalar(versions.c.description),
    "tag": _TAG,
    "tags": _TAG,
    "alias": _ALIAS,
    "aliases": _ALIAS,
    "metadata": lambda path: Document(versions.c.metadata, path),
    "artifact_metadata": lambda path: Document(versions.c.metadata, path),
    "size": Scalar(_SIZE),
    "artifact_size": Scalar(_SIZE),
    "created_at": Moment(versions.c.created_at),
    "createdAt": Moment(versions.c.created_at),
    "artifact_created_at": Moment(versions.c.created_at),
    "updated_at": Moment(versions.c.updated_at),
    "updatedAt": Moment(versions.c.updated_at),
    "linked_at": Moment(memberships.c.created_at),
    "acm_created_at": Moment(memberships.c.created_at),
}
_MEMBER_ORDERS: dict[str, ColumnElement[Any]] = {
    "version": memberships.c.version_index,
    "version_index": memberships.c.version_index,
    "versionIndex": memberships.c.version_index,
    "size": _SIZE,
    "artifact_size": _SIZE,
    "created_at": versions.c.created_at,
    "createdAt": versions.c.created_at,
    "artifact_created_at": versions.c.created_at,
    "updated_at": versions.c.updated_at,
    "updatedAt": versions.c.updated_at,
    "linked_at": memberships.c.created_at,
    "acm_created_at": memberships.c.created_at,
}
_NEWEST_COLLECTION = Order("id", collections.c.id)
_NEWEST_MEMBER = Order("id", memberships.c.id)
_LAST_INDEX = Order("version_index", memberships.c.version_index)


@dataclass(frozen=True)
class Listing:
    """What a client asks of a list: a filter (JSON text), an order (`-name`) and a page."""

    filters: str | None = None
    order: str | None = None
    range: Range = field(default_factory=Range)


def collection_condition(text: str | None) -> ColumnElement[bool]:
    """Return what a collection must fulfil to pass a filter."""
    return filters.condition(text, COLLECTION_FIELDS)


def collections_page(connection: Connection, where: ColumnElement[bool], asked: Listing) -> Page:
    """Return a page of the collections that fulfil `where` and the filter, newest first."""
    by = pages.order(asked.order, _COLLECTION_ORDERS, _NEWEST_COLLECTION)
    query = select(collections.c.id).where(where, collection_condition(asked.filters))
    return pages.page(connection, query, collections.c.id, by, asked.range)


def count_collections(connection: Connection, where: ColumnElement[bool], text: str | None) -> int:
    """Return how many collections fulfil `where` and a filter."""
    query = select(func.count()).select_from(collections)
    return connection.execute(query.where(where, collection_condition(text))).scalar_one()


def linked_page(connection: Connection, where: ColumnElement[bool], asked: Listing) -> Page:
    """Return a page of the living members of the collections that fulfil `where`, newest first."""
    by = pages.order(asked.order, _MEMBER_ORDERS, _NEWEST_MEMBER)
    query = select(memberships.c.id).select_from(_linked())
    query = query.where(where, lifetimes.alive(time.time()), _member_condition(asked.filters))
    return pages.page(connection, query, memberships.c.id, by, asked.range)


def count_linked(connection: Connection, where: ColumnElement[bool], text: str | None) -> int:
    """Return how many living members of such collections pass a filter."""
    query = select(func.count()).select_from(_linked())
    alive = lifetimes.alive(time.time())
    return connection.execute(query.where(where, alive, _member_condition(text))).scalar_one()


def members_of_page(connection: Connection, collection_id: int, asked: Listing) -> Page:
    """Return a page of one collection's members, highest number first."""
    by = pages.order(asked.order, _MEMBER_ORDERS, _LAST_INDEX)
    query = select(memberships.c.id).select_from(_members())
    query = query.where(memberships.c.collection_id == collection_id)
    query = query.where(lifetimes.alive(time.time()), _member_condition(asked.filters))
    return pages.page(connection, query, memberships.c.id, by, asked.range)


def count_members(connection: Connection, collection_id: int, text: str | None) -> int:
    """Return how many living members of a collection pass a filter."""
    query = select(func.count()).select_from(_members())
    where = memberships.c.collection_id == collection_id
    alive = lifetimes.alive(time.time())
    return connection.execute(query.where(where, alive, _member_condition(text))).scalar_one()


def memberships_page(connection: Connection, version_id: int, asked: Range) -> Page:
    """Return a page of the places that show a version, its own sequence first."""
    query = select(memberships.c.id).where(memberships.c.version_id == version_id)
    oldest = Order("id", memberships.c.id, descending=False)
    return pages.page(connection, query, memberships.c.id, oldest, asked)


def count_memberships(connection: Connection, version_id: int) -> int:
    """Return how many places show a version."""
    query = select(func.count()).select_from(memberships)
    return connection.execute(query.where(memberships.c.version_id == version_id)).scalar_one()


def aliases_page(connection: Connection, collection_id: int, asked: Range) -> Page:
    """Return a page of a collection's aliases, oldest first."""
    query = select(alias_table.c.id).where(alias_table.c.collection_id == collection_id)
    oldest = Order("id", alias_table.c.id, descending=False)
    return pages.page(connection, query, alias_table.c.id, oldest, asked)


def aliases(
    connection: Connection, collection: CollectionView, ids: Sequence[int]
) -> list[AliasView]:
    """Return a collection's aliases in this order."""
    found = connection.execute(select(alias_table).where(alias_table.c.id.in_(ids)))
    rows = {row.id: row for row in found}
    own = collection.row
    return [
        AliasView(row.id, row.alias, own.id, own.name, own.project_id)
        for id_ in ids
        if (row := rows.get(id_)) is not None
    ]


def _member_condition(text: str | None) -> ColumnElement[bool]:
    return filters.condition(text, MEMBER_FIELDS) if text else true()


def _members() -> FromClause:
    return memberships.join(versions, versions.c.id == memberships.c.version_id)


def _linked() -> FromClause:
    return _members().join(collections, collections.c.id == memberships.c.collection_id)
