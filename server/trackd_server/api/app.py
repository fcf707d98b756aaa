"""The ASGI application: routes, and errors as clients understand them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from trackd_server import __version__
from trackd_server.api import (
    access,
    artifact_pages,
    artifact_transfers,
    chunk_protocol,
    content_reads,
    documents,
    graphql,
    pages,
    stream,
    transfers,
    usage,
)
from trackd_server.api.context import Services, services_of
from trackd_server.domain import names
from trackd_server.domain.errors import DomainError, NotAuthenticated, Unavailable
from trackd_server.store import DatabaseBusy, DatabaseDamaged, DatabaseFull

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Endpoint = Callable[[Request], Awaitable[Response]]

log = logging.getLogger(__name__)


def build_app(services: Services) -> Starlette:
    """Return the application over these services."""
    run_files = "/files/{entity}/{project}/{run}"
    routes = [
        Route("/healthz", healthz),
        Route("/graphql", graphql.graphql, methods=["POST"]),
        Route(f"{run_files}/file_stream", _guarded(stream.file_stream), methods=["POST"]),
        Route(f"{run_files}/{{name:path}}", _guarded(transfers.put_file), methods=["PUT"]),
        Route(f"{run_files}/{{name:path}}", transfers.get_file, methods=["GET", "HEAD"]),
        *_artifact_routes(),
        Route("/api/v1/runs/{entity}/{project}/{run}/document", documents.document),
        *usage.routes(_guarded),
        *chunk_routes(),
        Route("/login", _guarded(pages.login), methods=["POST"]),
        *artifact_pages.routes(),
        Route("/{entity}/{project}/runs/{run}", pages.run_page),
        Route("/{entity}/{project}", pages.project_page),
        Route("/", pages.index),
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={
            DomainError: _domain_error,
            DatabaseFull: _database_error,
            DatabaseBusy: _database_error,
            DatabaseDamaged: _database_damaged,
            HTTPException: _http_error,
            ClientDisconnect: _client_left,
            Exception: _unexpected,
        },
    )
    app.router.redirect_slashes = False  # an address is right or wrong
    app.state.services = services
    app.state.engine = graphql.Engine.build()
    return app


def chunk_routes() -> list[Route]:
    """Return the routes of the chunk protocol."""
    artifact = "/api/v1/artifacts/{artifact_id}"
    return [
        Route(f"{artifact}/known", _guarded(chunk_protocol.known), methods=["POST"]),
        Route(f"{artifact}/missing", _guarded(chunk_protocol.missing), methods=["POST"]),
        Route(f"{artifact}/packs", _guarded(chunk_protocol.put_pack), methods=["PUT"]),
        Route(f"{artifact}/contents", _guarded(chunk_protocol.assemble), methods=["POST"]),
        Route("/api/v1/contents/extents", _guarded(content_reads.extents), methods=["POST"]),
        Route("/api/v1/contents/read", _guarded(content_reads.read), methods=["POST"]),
        Route("/api/v1/contents/{algorithm}/{digest}", chunk_protocol.extents),
    ]


def _artifact_routes() -> list[Route]:
    """Return where bytes of artifacts go in and out."""
    manifest = "/artifact_manifests/{manifest:int}"
    file = "/artifact_files/{version:int}/{algorithm}/{digest}"
    part = "/artifact_parts/{upload}/{number:int}"
    return [
        Route(file, _guarded(artifact_transfers.put_file), methods=["PUT"]),
        Route(part, _guarded(artifact_transfers.put_part), methods=["PUT"]),
        Route(manifest, _guarded(artifact_transfers.put_manifest), methods=["PUT"]),
        Route(manifest, _guarded(artifact_transfers.delete_manifest), methods=["DELETE"]),
        Route(manifest, artifact_transfers.get_manifest),
        Route(
            "/artifactsV2/{region}/{entity}/{project}/{collection}/{rest:path}",
            artifact_transfers.get_file,
        ),
        Route("/artifacts/{entity}/{digest}", artifact_transfers.get_file_v1),
    ]


async def healthz(request: Request) -> Response:
    """Say that the server serves. Open to everybody; names nothing private."""
    await services_of(request).take_in(_touch_database, services_of(request))
    return _json({"status": "ok", "version": __version__, "entity": names.DEFAULT_ENTITY})


def _touch_database(services: Services) -> None:
    with services.database.read() as connection:
        connection.exec_driver_sql("SELECT 1").scalar()


def _guarded(endpoint: Endpoint) -> Endpoint:
    """Wrap an endpoint that changes something: not for other sites in the user's browser."""

    async def guarded(request: Request) -> Response:
        access.refuse_other_sites(request)
        return await endpoint(request)

    return guarded


async def _domain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)
    if isinstance(error, NotAuthenticated) and _wants_page(request):
        return pages.login_form(error.message)
    return _refused(request, error.status, error.message, error.code)


async def _database_error(request: Request, error: Exception) -> Response:
    del request
    log.warning("database_unavailable", extra={"facts": {"error": str(error)}})
    return _errors(503, f"The database cannot take this now: {error}", Unavailable.code)


async def _database_damaged(request: Request, error: Exception) -> Response:
    log.error("database_damaged", extra={"facts": {"path": request.url.path, "error": str(error)}})
    return _errors(500, f"The database file is damaged: {error}", "DATABASE_DAMAGED")


async def _client_left(request: Request, error: Exception) -> Response:
    """Answer nobody: a client that died while sending is no fault of the server."""
    del request, error
    return Response(status_code=400)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _refused(request, error.status_code, f"{error.detail}: {request.url.path}", "HTTP")


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("request_failed", extra={"facts": {"path": request.url.path}}, exc_info=error)
    return _refused(request, 500, "Internal error; the server's log has the details.", "INTERNAL")


def _wants_page(request: Request) -> bool:
    """Tell whether a person waits for the answer, in a browser."""
    return "text/html" in request.headers.get("accept", "")


def _refused(request: Request, status: int, message: str, code: str) -> Response:
    if _wants_page(request):
        return pages.refusal(message, status)
    return _errors(status, message, code)


def _errors(status: int, message: str, code: str) -> Response:
    return _json({"errors": [{"message": message, "extensions": {"code": code}}]}, status)


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
