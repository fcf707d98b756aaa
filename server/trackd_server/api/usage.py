"""Storage over HTTP: who stores how much, what a deletion frees, whether the books are right.

`GET /api/v1/usage[/{entity}/{project}[/runs/{run} | /artifacts/{collection}]]` are the figures of
`domain.usage.accounts`. `POST /api/v1/usage/dry-run` says what a deletion would free, `GET
/api/v1/fsck` compares books and disk, `POST /api/v1/gc` collects what nobody needs.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from trackd_server.api import access
from trackd_server.api.bodies import read_decoded
from trackd_server.api.context import services_of
from trackd_server.domain import names
from trackd_server.domain.errors import InvalidRequest
from trackd_server.domain.run_records import RunPath
from trackd_server.domain.usage import Accounts, collecting, deletions, forecast, fsck

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from trackd_server.api.context import Services
    from trackd_server.domain.usage import LimitState, ServerUsage

MAX_BODY_BYTES = 64 * 1024


class _Deletion(msgspec.Struct, forbid_unknown_fields=True):
    """What might be deleted: one of the first three."""

    version: str | None = None
    collection: str | None = None
    run: str | None = None
    delete_aliases: bool = True
    delete_artifacts: bool = False


class _Collection(msgspec.Struct, forbid_unknown_fields=True):
    """How to collect; `drop_pending`: every version that is not committed, however young."""

    dry_run: bool = False
    drop_pending: bool = False


def routes(guarded: Callable[[Any], Any]) -> list[Route]:
    """Return the routes of this module; `guarded` wraps those that change something."""
    within = "/api/v1/usage/{entity}/{project}"
    return [
        Route("/api/v1/usage", server_usage),
        Route("/api/v1/usage/dry-run", guarded(dry_run), methods=["POST"]),
        Route(within, project_usage),
        Route(f"{within}/runs/{{name}}", run_usage),
        Route(f"{within}/artifacts/{{name}}", collection_usage),
        Route("/api/v1/fsck", check),
        Route("/api/v1/gc", guarded(collect), methods=["POST"]),
    ]


async def server_usage(request: Request) -> Response:
    """Send the figures of the server."""
    access.require_key(request)
    services = services_of(request)
    found, limit = await services.call(_server, services)
    return _json(asdict(found) | {"limit": None if limit is None else asdict(limit)})


async def project_usage(request: Request) -> Response:
    """Send the figures of a project."""
    return await _breakdown(request, lambda accounts, params: accounts.project(*params))


async def run_usage(request: Request) -> Response:
    """Send the figures of a run."""
    return await _breakdown(request, lambda accounts, params: accounts.run(*params))


async def collection_usage(request: Request) -> Response:
    """Send the figures of a collection."""
    return await _breakdown(request, lambda accounts, params: accounts.collection(*params))


async def dry_run(request: Request) -> Response:
    """Say what a deletion would free, to the byte."""
    access.require_key(request)
    wanted = await _decoded(request, _Deletion)
    services = services_of(request)
    found = await services.call(forecast, services.database, _deletion(wanted))
    return _json(asdict(found))


async def check(request: Request) -> Response:
    """Compare the books with the disk."""
    access.require_key(request)
    services = services_of(request)
    verify = request.query_params.get("verify", "") in ("1", "true")
    report = await services.call(fsck.check, services.storage, verify=verify)
    answer: dict[str, Any] = {"ok": report.ok, "checked": report.checked, "found": {}}
    sorts = ("objects_without_row", "rows_without_object", "wrong_counts", "damaged", "repaired")
    for sort in sorts:
        findings: fsck.Findings = getattr(report, sort)
        answer[sort] = findings.listed
        answer["found"][sort] = findings.found
    return _json(answer)


async def collect(request: Request) -> Response:
    """Give back what nobody needs."""
    access.require_key(request)
    wanted = await _decoded(request, _Collection)
    services = services_of(request)
    found = await services.call(
        collecting.collect,
        services.storage,
        services.artifacts,
        0.0 if wanted.drop_pending else services.pending_s,
        dry_run=wanted.dry_run,
    )
    return _json(asdict(found))


def _server(services: Services) -> tuple[ServerUsage, LimitState | None]:
    with services.database.read() as connection:
        return Accounts(connection).server(services.storage), services.limit.state()


async def _breakdown(
    request: Request, choose: Callable[[Accounts, tuple[str, ...]], Any]
) -> Response:
    access.require_key(request)
    services = services_of(request)
    params = tuple(request.path_params.values())

    def read() -> Any:
        with services.database.read() as connection:
            return choose(Accounts(connection), params)

    return _json(asdict(await services.call(read)))


def _deletion(wanted: _Deletion) -> deletions.Deletion:
    """Return the deletion as a function of the transaction."""
    if wanted.version is not None:
        number = names.row_number("Artifact", wanted.version)
        return deletions.of_version(number, delete_aliases=wanted.delete_aliases)
    if wanted.collection is not None:
        return deletions.of_collection(*_path(wanted.collection))
    if wanted.run is not None:
        run = RunPath.of(*_path(wanted.run))
        return deletions.of_run(run, with_artifacts=wanted.delete_artifacts)
    raise InvalidRequest("Say what would be deleted: a version, a collection or a run.")


def _path(text: str) -> tuple[str, str, str]:
    parts = text.split("/")
    if len(parts) != 3:
        raise InvalidRequest(f"{text[:200]!r} is no path: write entity/project/name.")
    return parts[0], parts[1], parts[2]


async def _decoded(request: Request, kind: Any) -> Any:
    def decode(body: bytes) -> Any:
        return msgspec.json.decode(body or b"{}", type=kind)

    return await read_decoded(request, MAX_BODY_BYTES, decode)


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
