"""The question whether the server serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from trackd_server import __version__
from trackd_server.api.context import Services, services_of
from trackd_server.domain import names

if TYPE_CHECKING:
    from starlette.requests import Request


async def healthz(request: Request) -> Response:
    """Say that the server serves. Open to everybody; names nothing private."""
    await services_of(request).take_in(_touch_database, services_of(request))
    said = {"status": "ok", "version": __version__, "entity": names.DEFAULT_ENTITY}
    return Response(msgspec.json.encode(said), media_type="application/json")


def _touch_database(services: Services) -> None:
    with services.database.read() as connection:
        connection.exec_driver_sql("SELECT 1").scalar()
