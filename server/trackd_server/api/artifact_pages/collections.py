"""Pages of a project's collections, of one collection and of one version."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from trackd_server.api import access, rendering
from trackd_server.api.artifact_pages import version
from trackd_server.api.artifact_pages.facts import (
    CollectionFacts,
    MemberFacts,
    collection_url,
    project_url,
)
from trackd_server.api.context import Services, services_of
from trackd_server.domain import runs
from trackd_server.domain.artifacts import collections, listings, memberships
from trackd_server.domain.artifacts.listings import Listing
from trackd_server.domain.errors import NotFound
from trackd_server.domain.listing.pages import Range
from trackd_server.store.tables.artifacts import collections as collection_table

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row
    from starlette.requests import Request
    from starlette.responses import Response

    from trackd_server.domain.listing.pages import Page

#: What one page of a list shows.
SHOWN = 100
_VERSION = re.compile(r"v\d{1,15}")


async def collections_page(request: Request) -> Response:
    """Show a project's collections, newest first; `?q=` searches names, `?after=` goes on."""
    access.require_viewer(request)
    params, asked = request.path_params, request.query_params
    text = await services_of(request).call(
        _render_list,
        services_of(request),
        (params["entity"], params["project"]),
        asked.get("q", "").strip(),
        asked.get("after"),
    )
    return rendering.page(text)


async def artifact_page(request: Request) -> Response:
    """Show a collection, or one of its versions: `{type}/{collection}[/{version}]`."""
    access.require_viewer(request)
    services, params = services_of(request), request.path_params
    place = (params["entity"], params["project"])
    text = await services.call(
        _render_artifact, services, place, params["rest"], request.query_params.get("after")
    )
    return rendering.page(text)


def _render_list(services: Services, place: tuple[str, str], search: str, after: str | None) -> str:
    with services.database.read() as connection:
        project = runs.require_project(connection, *place)
        return _list(connection, project, search, after)


def _list(connection: Connection, project: Row[Any], search: str, after: str | None) -> str:
    found, page = listed(connection, project.id, search, after)
    return rendering.render(
        "collections.html",
        title="Artifacts",
        project=project,
        search=search,
        total=count(connection, project.id, search),
        collections=found,
        next_url=next_url(f"{project_url(project.entity, project.name)}/artifacts", page, q=search),
    )


def listed(
    connection: Connection, project_id: int, search: str, after: str | None
) -> tuple[list[CollectionFacts], Page]:
    """Return a page of a project's collections whose names hold a text, newest first."""
    where, now = collection_table.c.project_id == project_id, time.time()
    asked = Listing(_filter(search), None, Range(after, SHOWN))
    page = listings.collections_page(connection, where, asked)
    views, newest = (
        collections.views(connection, page.ids),
        collections.newest(connection, page.ids),
    )
    return [CollectionFacts.of(view, now, newest.get(view.id)) for view in views], page


def count(connection: Connection, project_id: int, search: str) -> int:
    """Return how many collections of a project have names that hold a text."""
    where = collection_table.c.project_id == project_id
    return listings.count_collections(connection, where, _filter(search))


def selected(services: Services, selection: str, version: str) -> str:
    """Return the address of `entity/project/collection`, or of a version of it."""
    entity, _, rest = selection.partition("/")
    project, _, name = rest.partition("/")
    with services.database.read() as connection:
        row = collections.find(connection, entity, project, name)
        if row is None:
            raise NotFound(f"There is no artifact collection {selection!r}.")
        view = collections.view(connection, row.id)
    address = collection_url(entity, project, view.type_name, name)
    return f"{address}/{quote(version, safe='')}" if version else address


def _filter(search: str) -> str | None:
    return json.dumps({"name": {"$contains": search}}) if search else None


def _render_artifact(
    services: Services, place: tuple[str, str], rest: str, after: str | None
) -> str:
    parts = rest.split("/")  # a type may have slashes, names of collections have none
    with services.database.read() as connection:
        project = runs.require_project(connection, *place)
        if len(parts) > 2 and _VERSION.fullmatch(parts[-1]):
            found = collections.find_in(connection, project.id, parts[-2])
            member = None if found is None else memberships.find(connection, found.id, parts[-1])
            if member is not None:
                return version.render(services, connection, member, after)
        row = collections.find_in(connection, project.id, parts[-1])
        if row is None:
            raise NotFound(f"There is no artifact {'/'.join((*place, *parts[-2:]))}.")
        return _collection(connection, row.id, after)


def _collection(connection: Connection, number: int, after: str | None) -> str:
    now, view = time.time(), collections.view(connection, number)
    facts = CollectionFacts.of(view, now)
    asked = Listing(None, None, Range(after, SHOWN))
    page = listings.members_of_page(connection, number, asked)
    return rendering.render(
        "collection.html",
        collection=facts,
        had_versions=view.row.next_index > 0,
        total=listings.count_members(connection, number, None),
        members=[MemberFacts.of(view, now) for view in memberships.views(connection, page.ids)],
        next_url=next_url(facts.url, page),
    )


def next_url(url: str, page: Page, **kept: str) -> str | None:
    """Return the address of a list's next page with what else was asked; None after the last."""
    if not page.has_more:
        return None
    asked = {name: value for name, value in kept.items() if value}
    return f"{url}?{urlencode(asked | {'after': page.cursors[-1]})}"
