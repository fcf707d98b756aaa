"""Pages of registries."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from trackd_server.api import access, rendering
from trackd_server.api.artifact_pages.collections import SHOWN, count, listed, next_url, selected
from trackd_server.api.artifact_pages.facts import ago
from trackd_server.api.context import Services, services_of
from trackd_server.domain import runs
from trackd_server.domain.artifacts.listings import Listing
from trackd_server.domain.listing.pages import Range
from trackd_server.domain.registry import members, registries, search

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row
    from starlette.requests import Request

#: What people read for the names on the wire.
_VISIBILITY = {"PRIVATE": "the organization", "RESTRICTED": "members only (restricted)"}


async def registries_page(request: Request) -> Response:
    """Show the registries."""
    access.require_viewer(request)
    services = services_of(request)
    text = await services.call(_render_all, services, request.query_params.get("after"))
    return rendering.page(text)


async def registry_page(request: Request) -> Response:
    """Show one registry; `?selectionPath=` of W&B's links leads to what is meant by it."""
    access.require_viewer(request)
    services, asked = services_of(request), request.query_params
    if asked.get("selectionPath"):
        target = await services.call(
            selected, services, asked["selectionPath"], asked.get("version", "")
        )
        return RedirectResponse(target, 303)
    name = request.path_params["registry"]
    wanted = asked.get("q", "").strip()
    text = await services.call(_render_one, services, name, wanted, asked.get("after"))
    return rendering.page(text)


def _render_all(services: Services, after: str | None) -> str:
    with services.database.read() as connection:
        entity = registries.ORGANIZATION_ENTITY
        page = search.page(connection, entity, Listing(None, None, Range(after, SHOWN)))
        rows = search.project_rows(connection, page.ids)
        return rendering.render(
            "registries.html",
            registries=[_facts(connection, row) for row in rows],
            next_url=next_url("/registries", page),
        )


def _render_one(services: Services, name: str, wanted: str, after: str | None) -> str:
    with services.database.read() as connection:
        full = registries.PREFIX + name
        row = runs.project_row(connection, registries.ORGANIZATION_ENTITY, full)
        if row is None:
            raise registries.missing(full)
        found, page = listed(connection, row.id, wanted, after)
        facts = _facts(connection, row)
        return rendering.render(
            "registry.html",
            registry=facts,
            search=wanted,
            members=[
                member
                for kind in (members.USER, members.TEAM)
                for member in members.listed(connection, row.id, kind)
            ],
            collections=found,
            next_url=next_url(facts["url"], page, q=wanted),
        )


def _facts(connection: Connection, project: Row[Any]) -> dict[str, Any]:
    found = registries.find(connection, project.id)
    if found is None:
        raise registries.missing(project.name)
    name, now = project.name.removeprefix(registries.PREFIX), time.time()
    return {
        "name": name,
        "url": f"/orgs/{quote(registries.ORGANIZATION)}/registry/{quote(name, safe='')}",
        "description": project.description or "",
        "visibility": _VISIBILITY[found.access],
        "types": [row.name for row in registries.types_of(connection, project.id)],
        "takes_all": bool(found.allow_all_types),
        "collections": count(connection, project.id, ""),
        "updated": ago(now - found.updated_at),
        "created": ago(now - project.created_at),
    }
