"""Pages of storage: who stores how much; the rows of each page add up to its total, to the byte."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from trackd_server.api import access, rendering
from trackd_server.api.artifact_pages.facts import project_url
from trackd_server.api.context import Services, services_of
from trackd_server.api.run_facts import size_text
from trackd_server.domain.usage import Accounts, Breakdown, LimitState, Part, ServerUsage

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

#: Rows of a page; the others are summed up in one more.
MAX_ROWS = 200
_REFERRED = "Referred to, uncompressed"
#: What people read for the kinds of the ledger.
_KINDS = {
    "file": "files of artifacts",
    "manifest": "manifests",
    "run_file": "files of runs",
    "media": "media",
    "console": "console output",
    "history": "history",
    "events": "system metrics",
    "multipart_part": "parts of uploads",
    "other": "other",
}


@dataclass(frozen=True)
class Row:
    """One line of a table: bytes are exact, widths are percent of what lies on the disk."""

    name: str
    url: str | None
    exclusive: int
    size: str
    width: float
    logical: str = ""
    references: str = ""
    note: str = ""


async def server_page(request: Request) -> Response:
    """Show what each project stores, and that the sum is what lies on the disk."""
    access.require_viewer(request)
    services = services_of(request)
    return rendering.page(await services.call(_render_server, services))


async def project_page(request: Request) -> Response:
    """Show what a project's runs and collections store."""
    return await _page(request, lambda accounts, place: accounts.project(*place))


async def run_page(request: Request) -> Response:
    """Show what a run stores, and the versions that it logged."""
    return await _page(request, lambda accounts, place: accounts.run(*place))


async def collection_page(request: Request) -> Response:
    """Show what the versions of a collection store."""
    return await _page(request, lambda accounts, place: accounts.collection(*place))


async def _page(
    request: Request, choose: Callable[[Accounts, tuple[str, ...]], Breakdown]
) -> Response:
    access.require_viewer(request)
    services, place = services_of(request), tuple(request.path_params.values())
    return rendering.page(await services.call(_render_part, services, place, choose))


def _render_server(services: Services) -> str:
    with services.database.read() as connection:
        usage = Accounts(connection).server(services.storage)
        limit = services.limit.state()
    return rendering.render(
        "storage.html",
        title="Storage",
        crumbs=[("storage", "/storage")],
        figures=[
            ("On the disk", _exact(usage.disk)),
            (_REFERRED, _exact(usage.logical)),
            ("References elsewhere", _exact(usage.references)),
        ],
        alerts=_alerts(usage, limit),
        tables=[("Projects", _rows(usage.projects, usage.physical, _project_address))],
        kinds=_kinds(usage.kinds, usage.physical),
        sums=[
            ("projects", sum(part.exclusive for part in usage.projects)),
            ("shared between projects", usage.shared),
            ("database beside the rows counted above", usage.index),
            ("in transit", usage.in_transit),
        ],
        total=usage.physical,
    )


def _render_part(
    services: Services,
    place: tuple[str, ...],
    choose: Callable[[Accounts, tuple[str, ...]], Breakdown],
) -> str:
    with services.database.read() as connection:
        found = choose(Accounts(connection), place)
    entity, project = place[:2]
    own = f"/storage{project_url(entity, project)}"
    crumbs = [("storage", "/storage"), (f"{entity} / {project}", own)]
    whole = found.physical
    runs = _rows(found.runs, whole, lambda part: f"{own}/runs/{quote(part.name, safe='')}")
    collections = _rows(
        found.collections, whole, lambda part: f"{own}/artifacts/{quote(part.name, safe='')}"
    )
    versions = _rows(found.versions, whole, lambda part: None)
    tables = (("Collections", collections), ("Versions", versions), ("Runs", runs))
    parts = [*found.runs, *found.collections, *found.versions]
    return rendering.render(
        "storage.html",
        title=f"Storage of {place[-1]}",
        crumbs=crumbs,
        figures=[
            ("On the disk", _exact(found.physical)),
            (_REFERRED, _exact(found.logical)),
            ("References elsewhere", _exact(found.references)),
        ],
        alerts=list[str](),
        tables=[table for table in tables if table[1]],
        kinds=_kinds(found.kinds, found.physical),
        sums=[
            ("rows above", sum(part.exclusive for part in parts)),
            ("shared between them", found.shared),
        ],
        total=found.physical,
    )


def _rows(parts: list[Part], whole: int, address: Callable[[Part], str | None]) -> list[Row]:
    ordered = sorted(parts, key=lambda part: -part.exclusive)
    rows = [
        Row(
            part.name,
            address(part),
            part.exclusive,
            size_text(part.exclusive),
            _width(part.exclusive, whole),
            size_text(part.logical),
            size_text(part.references) if part.references else "",
            _note(part),
        )
        for part in ordered[:MAX_ROWS]
    ]
    rest = ordered[MAX_ROWS:]
    if rest:
        left = sum(part.exclusive for part in rest)
        name = f"{len(rest):,} more"
        rows.append(Row(name, None, left, size_text(left), _width(left, whole)))
    return rows


def _width(size: int, whole: int) -> float:
    return 100 * size / whole if whole else 0.0


def _note(part: Part) -> str:
    """Return what a row says beside its sizes: a run's title, versions, state of a draft."""
    title = part.facts.get("display_name")
    return " · ".join(text for text in (title, _versions(part)) if text)


def _versions(part: Part) -> str:
    if part.facts.get("state") == "PENDING":
        return "upload not finished"
    if count := part.facts.get("versions"):
        return f"{count:,} version{'' if count == 1 else 's'}"
    return ""


def _kinds(kinds: dict[str, int], whole: int) -> list[Row]:
    return [
        Row(_KINDS.get(kind, kind), None, size, size_text(size), _width(size, whole))
        for kind, size in sorted(kinds.items(), key=lambda item: -item[1])
    ]


def _alerts(usage: ServerUsage, limit: LimitState | None) -> list[str]:
    found: list[str] = []
    if limit is not None and limit.warning:
        used, most = size_text(limit.used), size_text(limit.bytes)
        found.append(f"{used} of the limit of {most} are used: uploads beyond it are refused.")
    if usage.pending["versions"]:
        count, size = usage.pending["versions"], size_text(usage.pending["bytes"])
        uploads = "1 upload is" if count == 1 else f"{count:,} uploads are"
        found.append(f"{uploads} not finished ({size}).")
    if any(usage.reclaim.values()):
        found.append(
            f"Space is being given back: {usage.reclaim['files']:,} files to delete, "
            f"{usage.reclaim['packs']:,} packs to rewrite, {usage.reclaim['remains']:,} manifests "
            "and drafts to clear away."
        )
    return found


def _project_address(part: Part) -> str:
    return f"/storage{project_url(part.facts['entity'], part.facts['project'])}"


def _exact(size: int) -> str:
    return f"{size_text(size)} ({size:,} bytes)" if size >= 1024 else f"{size:,} bytes"
