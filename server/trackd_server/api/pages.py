"""Server-rendered pages: runs, those of a project, one run, the login. No script, all local."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

from starlette.responses import HTMLResponse, RedirectResponse, Response

from trackd_server.api import access, ansi, exhibits, system_charts
from trackd_server.api.bodies import read_body
from trackd_server.api.context import Services, services_of
from trackd_server.domain import (
    console,
    files,
    happenings,
    history,
    merge,
    run_records,
    runs,
)
from trackd_server.domain.errors import NotAuthenticated
from trackd_server.domain.run_records import LIVE_STATES, RunPath

if TYPE_CHECKING:
    from collections.abc import Mapping

    import jinja2
    from starlette.requests import Request

    from trackd_server.domain.runs import RunView

#: What the pages show at most.
MAX_RUNS = 200
MAX_ROWS = 20
MAX_COLUMNS = 12
MAX_CONSOLE_LINES = 200
MAX_FILES = 300
MAX_SYSTEM_ROWS = 1_200
MAX_EVENTS = 50
#: A page of a living run loads itself again so often.
REFRESH_S = 5

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self'; "
        "frame-src 'self'; form-action 'self'; base-uri 'none'; "
        # A notebook on the same machine shows a run in a frame.
        "frame-ancestors 'self' http://localhost:* http://127.0.0.1:*"
    ),
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}


@cache
def _templates() -> jinja2.Environment:
    import jinja2  # with the first page: the start of a run need not wait for it

    return jinja2.Environment(
        loader=jinja2.PackageLoader("trackd_server.api"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


@dataclass(frozen=True)
class RunFacts:
    """What a list or a headline says about a run."""

    name: str
    run_id: str
    project: str
    entity: str
    state: str
    created: str
    runtime: str
    steps: int
    url: str
    project_url: str

    @classmethod
    def of(cls, run: RunView, now: float) -> RunFacts:
        """Collect the facts."""
        row = run.row
        started, runtime_s = _times(run, now)
        return cls(
            row.display_name,
            row.name,
            row.project,
            row.entity,
            run.state,
            _ago(now - started),
            _span(runtime_s),
            run.history_lines,
            "/" + "/".join(map(quote, (row.entity, row.project, "runs", row.name))),
            "/" + "/".join(map(quote, (row.entity, row.project))),
        )


async def index(request: Request) -> Response:
    """Show the newest runs."""
    access.require_viewer(request)
    services = services_of(request)
    return _page(await services.call(_render_index, services))


async def project_page(request: Request) -> Response:
    """Show the newest runs of one project."""
    access.require_viewer(request)
    services = services_of(request)
    entity, name = request.path_params["entity"], request.path_params["project"]
    return _page(await services.call(_render_project, services, entity, name))


async def run_page(request: Request) -> Response:
    """Show one run."""
    access.require_viewer(request)
    params = request.path_params
    path = RunPath.of(params["entity"], params["project"], params["run"])
    services = services_of(request)
    return _page(await services.call(_render_run, services, path))


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
    return _page(_templates().get_template("login.html").render(message=message), 401)


def refusal(message: str, status: int) -> Response:
    """Return the page that says what is wrong."""
    return _page(_templates().get_template("refusal.html").render(message=message), status)


def _render_index(services: Services) -> str:
    with services.database.read() as connection:
        found = services.runs.newest(connection, MAX_RUNS)
    return _render_runs("Runs", "", found, len(found))


def _render_project(services: Services, entity: str, name: str) -> str:
    with services.database.read() as connection:
        number = runs.require_project(connection, entity, name).id
        total = runs.count_runs(connection, number)
        found = services.runs.page(connection, number, 0, MAX_RUNS, newest_first=True)
    return _render_runs(name, f"{entity} / {name}", found, total)


def _render_runs(title: str, crumbs: str, found: list[RunView], total: int) -> str:
    now = time.time()
    living = any(run.state in LIVE_STATES for run in found)
    return (
        _templates()
        .get_template("index.html")
        .render(
            title=title,
            crumbs=crumbs,
            runs=[RunFacts.of(run, now) for run in found],
            total=total,
            refresh_s=REFRESH_S if living else 0,
        )
    )


def _render_run(services: Services, path: RunPath) -> str:
    now = time.time()
    with services.database.read() as connection:
        run = services.runs.view(connection, run_records.by_path(connection, path))
        number = run.row.id
        rows = [dict(_flat(row)) for row in history.last_rows(connection, number, MAX_ROWS)]
        summary = merge.plain_summary(run.summary)
        happened = happenings.latest(connection, number, system_charts.MAX_MARKS)
        system_rows = history.sampled_system_metrics(connection, number, MAX_SYSTEM_ROWS)
        shown: dict[str, Any] = {
            "run": RunFacts.of(run, now),
            "row": run.row,
            "tags": run.tags,
            "labels": [writer.label for writer in run.writers if writer.label],
            "config": sorted(_flat(_own_config(run))),
            "summary": sorted(_flat(summary)),
            "media": exhibits.of(summary, exhibits.Shelf(services.files, connection, path, number)),
            "columns": _columns(rows),
            "rows": rows[::-1],
            "late_count": sum(
                stream.next_line for stream in run_records.late_streams_of(connection, number)
            ),
            "console": [
                (line, list(ansi.pieces(line.text)))
                for line in console.tail(connection, number, MAX_CONSOLE_LINES)
            ],
            "files": [
                (file.name, _size(file.bytes), f"/files/{quote(str(path))}/{quote(file.name)}")
                for file in files.first(connection, number, MAX_FILES)
            ],
            "file_count": files.count(connection, number),
            "system": _system(history.latest_system_metrics(connection, number)),
            "board": system_charts.board(system_rows, happened),
            "happened": [(_span(each.runtime), each) for each in happened[-MAX_EVENTS:][::-1]],
            "alerts": runs.alerts_of(connection, number),
            "refresh_s": REFRESH_S if run.state in LIVE_STATES else 0,
        }
    board = shown["board"]
    shown["board_span"] = f"From {_span(board.first_s)} to {_span(board.last_s)} of the run"
    return _templates().get_template("run.html").render(shown)


def _page(text: str, status: int = 200) -> Response:
    # A program may have printed or logged half a surrogate pair, which UTF-8 cannot carry.
    return HTMLResponse(text.encode(errors="replace"), status, _HEADERS)


def _times(run: RunView, now: float) -> tuple[float, float]:
    """Return when a run began and how long it ran, in seconds.

    A run that was recorded offline came here later and at once: its rows know better.
    """
    row, summary = run.row, run.summary
    own: Any = summary.get("_wandb")
    runtime_s = own.get("runtime") if isinstance(own, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(runtime_s, (int, float)):
        runtime_s = summary.get("_runtime")
    last, started = summary.get("_timestamp"), row.created_at
    if not isinstance(runtime_s, (int, float)) or not 0 <= runtime_s < now:
        runtime_s = (row.finished_at or row.heartbeat_at) - started
    elif isinstance(last, (int, float)) and runtime_s < last < started:
        started = last - runtime_s
    return started, now - started if run.state in LIVE_STATES else runtime_s


def _own_config(run: RunView) -> dict[str, Any]:
    """Return the config without what clients keep in it for themselves."""
    config = merge.plain_config(run.config)
    return {key: value for key, value in config.items() if key != "_wandb"}


def _columns(rows: list[dict[str, str]]) -> list[str]:
    """Return the columns of the table of rows: step and label first, then as they came."""
    seen = dict.fromkeys(key for row in rows for key in row)
    first = [key for key in ("_step", "_label") if key in seen]
    rest = [key for key in seen if not key.startswith("_")]
    return (first + rest)[:MAX_COLUMNS]


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested values as dotted names and short texts."""
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, dict) and value and "_type" not in value:
            found += _flat(value, f"{prefix}{key}.")  # pyright: ignore[reportUnknownArgumentType]
        else:
            found.append((f"{prefix}{key}", exhibits.cell(value)))
    return found


def _system(values: dict[str, Any]) -> list[tuple[str, str]]:
    chosen = {key.removeprefix("system."): v for key, v in values.items() if "system." in key}
    return [(key, exhibits.cell(value)) for key, value in sorted(chosen.items())]


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _span(seconds: float) -> str:
    whole = max(0, int(seconds))
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def _ago(seconds: float) -> str:
    return "just now" if seconds < 5 else f"{_span(seconds)} ago"
