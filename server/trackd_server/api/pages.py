"""Server-rendered pages: runs, those of a project, one run, the login. No script, all local."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.responses import RedirectResponse, Response

from trackd_server.api import access, ansi, rendering, run_contents
from trackd_server.api.artifact_pages.facts import project_url
from trackd_server.api.bodies import read_body
from trackd_server.api.context import Services, services_of
from trackd_server.api.run_facts import RunFacts
from trackd_server.domain import runs
from trackd_server.domain.errors import NotAuthenticated
from trackd_server.domain.run_records import LIVE_STATES, RunPath

if TYPE_CHECKING:
    from starlette.requests import Request

    from trackd_server.domain.runs import RunView

#: What a list shows at most.
MAX_RUNS = 200
#: A page of a living run loads itself again so often.
REFRESH_S = 5


async def index(request: Request) -> Response:
    """Show the newest runs."""
    access.require_viewer(request)
    services = services_of(request)
    return rendering.page(await services.call(_render_index, services))


async def project_page(request: Request) -> Response:
    """Show the newest runs of one project."""
    access.require_viewer(request)
    services = services_of(request)
    entity, name = request.path_params["entity"], request.path_params["project"]
    return rendering.page(await services.call(_render_project, services, entity, name))


async def run_page(request: Request) -> Response:
    """Show one run."""
    access.require_viewer(request)
    params = request.path_params
    path = RunPath.of(params["entity"], params["project"], params["run"])
    services = services_of(request)
    return rendering.page(await services.call(_render_run, services, path))


async def login(request: Request) -> Response:
    """Take the API key from the form and give the browser its cookie."""
    form = parse_qs((await read_body(request, 10_000)).decode("utf-8", "replace"))
    keys = services_of(request).keys
    if not keys.is_key(form.get("key", [""])[0].strip()):
        raise NotAuthenticated("This is not the server's API key.")
    answer = RedirectResponse("/", 303)
    answer.set_cookie(access.COOKIE, keys.cookie, httponly=True, samesite="strict", path="/")
    return answer


def login_form(message: str) -> Response:
    """Return the page that asks for the API key."""
    return rendering.page(rendering.render("login.html", message=message), 401)


def refusal(message: str, status: int) -> Response:
    """Return the page that says what is wrong."""
    return rendering.page(rendering.render("refusal.html", message=message), status)


def _render_index(services: Services) -> str:
    with services.database.read() as connection:
        found = services.runs.newest(connection, MAX_RUNS)
    return _render_runs("Runs", "", found, len(found))


def _render_project(services: Services, entity: str, name: str) -> str:
    with services.database.read() as connection:
        number = runs.require_project(connection, entity, name).id
        total = runs.count_runs(connection, number)
        found = services.runs.page(connection, number, 0, MAX_RUNS, newest_first=True)
    return _render_runs(name, f"{entity} / {name}", found, total, project_url(entity, name))


def _render_runs(title: str, crumbs: str, found: list[RunView], total: int, url: str = "") -> str:
    now = time.time()
    living = any(run.state in LIVE_STATES for run in found)
    return rendering.render(
        "index.html",
        title=title,
        crumbs=crumbs,
        project_url=url,
        runs=[RunFacts.of(run, now) for run in found],
        total=total,
        refresh_s=REFRESH_S if living else 0,
    )


def _render_run(services: Services, path: RunPath) -> str:
    shown = run_contents.read(services, path)
    refresh_s = REFRESH_S if shown["run"].state in LIVE_STATES else 0
    return rendering.render("run.html", **shown, pieces=ansi.pieces, refresh_s=refresh_s)
