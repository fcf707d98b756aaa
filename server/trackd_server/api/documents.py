"""Our own REST calls: the run document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import StreamingResponse

from trackd_server.api import access
from trackd_server.api.context import services_of
from trackd_server.domain import document as documents
from trackd_server.domain import run_records, threads
from trackd_server.domain.run_records import RunPath

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from starlette.requests import Request
    from starlette.responses import Response

    from trackd_server.api.context import Services


async def document(request: Request) -> Response:
    """Send a run's document as it is read: `GET /api/v1/runs/{entity}/{project}/{run}/document`."""
    access.require_key(request)
    params = request.path_params
    path = RunPath.of(params["entity"], params["project"], params["run"])
    services = services_of(request)
    await services.call(_check, services, path)
    return StreamingResponse(_streamed(services, path), media_type="application/json")


def _check(services: Services, path: RunPath) -> None:
    with services.database.read() as connection:
        run_records.by_path(connection, path)


async def _streamed(services: Services, path: RunPath) -> AsyncGenerator[bytes]:
    """Yield the document; its snapshot is let go of even if the reader leaves half-way."""
    pieces = _pieces(services, path)
    try:
        while piece := await services.call(next, pieces, b""):
            yield piece
    finally:
        await threads.clean_up(pieces.close)


def _pieces(services: Services, path: RunPath) -> Generator[bytes]:
    with services.database.read() as connection:
        run = services.runs.view(connection, run_records.by_path(connection, path))
        yield from documents.pieces(connection, run, services.files)
