"""Lists of registries: filtered, ordered, in pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from trackd_server.domain.listing import filters, pages
from trackd_server.domain.listing.fields import Moment, Number, Scalar
from trackd_server.domain.listing.pages import Order, Page
from trackd_server.store import tables
from trackd_server.store.tables.registry import registries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection, Row

    from trackd_server.domain.artifacts.listings import Listing

_projects = tables.projects
_FIELDS: filters.Fields = {
    "id": Number(_projects.c.id, "Project", "ProjectInternalId"),
    "project_id": Number(_projects.c.id, "Project", "ProjectInternalId"),
    "name": Scalar(_projects.c.name),
    "entity_id": Scalar(_projects.c.entity),
    "description": Scalar(_projects.c.description),
    "created_at": Moment(_projects.c.created_at),
    "updated_at": Moment(registries.c.updated_at),
}
_ORDERS = {
    "name": _projects.c.name,
    "created_at": _projects.c.created_at,
    "updated_at": registries.c.updated_at,
}


def condition(text: str | None) -> ColumnElement[bool]:
    """Return what a registry must fulfil to pass a filter (JSON text)."""
    return filters.condition(text, _FIELDS)


def page(connection: Connection, entity: str, asked: Listing) -> Page:
    """Return a page of an entity's registries, newest first."""
    newest = Order("id", _projects.c.id)
    by = pages.order(asked.order, _ORDERS, newest)
    query = select(_projects.c.id).join(registries, registries.c.project_id == _projects.c.id)
    query = query.where(_projects.c.entity == entity, condition(asked.filters))
    return pages.page(connection, query, _projects.c.id, by, asked.range)


def numbers(connection: Connection, entity: str, text: str | None) -> list[int]:
    """Return the numbers of the registries that pass a filter: a few, so all of them."""
    query = select(_projects.c.id).join(registries, registries.c.project_id == _projects.c.id)
    found = connection.execute(query.where(_projects.c.entity == entity, condition(text)))
    return [row.id for row in found]


def project_rows(connection: Connection, ids: Sequence[int]) -> list[Row[Any]]:
    """Return the rows of projects in this order."""
    found = connection.execute(select(_projects).where(_projects.c.id.in_(ids)))
    rows = {row.id: row for row in found}
    return [rows[number] for number in ids if number in rows]
