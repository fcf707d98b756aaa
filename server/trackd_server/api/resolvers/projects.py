"""Projects and their lists of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ariadne import ObjectType, QueryType

from trackd_server.api.resolvers.context import context_of, iso, page_of, paged, window
from trackd_server.api.resolvers.viewer import entity, user
from trackd_server.domain import filters, names, runs
from trackd_server.domain.registry import registries
from trackd_server.domain.run_records import RunPath

if TYPE_CHECKING:
    from sqlalchemy import Row

    from trackd_server.api.resolvers.context import Info
    from trackd_server.domain.runs import RunView

#: Orders that the database keeps.
_BY_AGE = ("created_at", "+created_at", "-created_at")

query = QueryType()
project_type = ObjectType("Project")
entity_type = ObjectType("Entity")


def show(row: Row[Any]) -> dict[str, Any]:
    """Return a project's own fields."""
    return {
        "row": row,
        "id": names.storage_id("Project", row.id),
        "internalId": names.storage_id("ProjectInternalId", row.id),
        "name": row.name,
        "entityName": row.entity,
        "entity": entity(row.entity),
        "description": row.description,
        "views": "{}",
        "createdAt": iso(row.created_at),
        "isBenchmark": False,
        "readOnly": False,
        "user": user(),
    }


@query.field("project")
@query.field("model")
def resolve_project(
    _: object,
    info: Info,
    name: str | None = None,
    entityName: str | None = None,
) -> dict[str, Any] | None:
    """Return a project by name, or nothing."""
    connection = context_of(info).connection
    row = runs.project_row(connection, names.entity(entityName), names.project(name))
    return None if row is None else show(row)


@entity_type.field("project")
def resolve_entity_project(
    parent: dict[str, Any], info: Info, name: str | None = None
) -> dict[str, Any] | None:
    """Return a project of an entity, or nothing."""
    return resolve_project(parent, info, name, parent["name"])


@query.field("projects")
@query.field("models")
def resolve_projects(
    _: object,
    info: Info,
    entityName: str | None = None,
    after: str | None = None,
    first: int | None = None,
) -> dict[str, Any]:
    """Return an entity's projects, newest first; registries have a list of their own."""
    found = runs.projects_of(context_of(info).connection, names.entity(entityName))
    rows = [row for row in found if not registries.is_registry(row.name)]
    return paged(rows, after, first, show)


@project_type.field("runCount")
def resolve_run_count(
    parent: dict[str, Any],
    info: Info,
    filters: str | None = None,
) -> int:
    """Return how many runs match."""
    context = context_of(info)
    if _is_all(filters):
        return runs.count_runs(context.connection, parent["row"].id)
    return len(_matching(info, parent, filters, None))


@project_type.field("runs")
def resolve_runs(
    parent: dict[str, Any],
    info: Info,
    filters: str | None = None,
    after: str | None = None,
    first: int | None = None,
    order: str | None = None,
) -> dict[str, Any]:
    """Return the runs that match, in order."""
    if _is_all(filters) and order in (None, *_BY_AGE):
        # What lists ask for: a page of a project with 10,000 runs is not made of all of them.
        context, project_id = context_of(info), parent["row"].id
        start, count = window(after, first)
        newest_first = order is not None and order.startswith("-")
        chosen = context.services.runs.page(
            context.connection, project_id, start, count, newest_first=newest_first
        )
        total = runs.count_runs(context.connection, project_id)
        return page_of(chosen, start, total, lambda run: run)
    return paged(_matching(info, parent, filters, order), after, first, lambda run: run)


@project_type.field("run")
@project_type.field("bucket")
def resolve_run(
    parent: dict[str, Any],
    info: Info,
    name: str,
    missingOk: bool | None = None,
    desc: str | None = None,
) -> RunView | None:
    """Return a run by its name, or nothing."""
    del missingOk, desc
    context = context_of(info)
    path = RunPath.of(parent["entityName"], parent["name"], name)
    return context.services.runs.find(context.connection, path)


def _is_all(text: str | None) -> bool:
    return not text or text.strip() in ("{}", "null")


def _matching(
    info: Info, parent: dict[str, Any], text: str | None, order: str | None
) -> list[RunView]:
    context = context_of(info)
    everything = context.services.runs.in_project(context.connection, parent["row"].id)
    return filters.ordered(filters.matching(everything, text), order)


bindables = [query, project_type, entity_type]
