"""The ASGI application, and errors as clients understand them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from trackd_server.api import graphql, pages, routes
from trackd_server.domain.errors import DomainError, NotAuthenticated, Unavailable
from trackd_server.store import DatabaseBusy, DatabaseDamaged, DatabaseFull

if TYPE_CHECKING:
    from trackd_server.api.context import Services

log = logging.getLogger(__name__)


def build_app(services: Services) -> Starlette:
    """Return the application over these services."""
    app = Starlette(
        routes=routes.all_routes(),
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
