"""`POST /files/{entity}/{project}/{run}/file_stream`: lines of a run, acknowledged once stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from trackd_proto.wandb_http import LABEL_HEADER, STREAM_CLIENT_ID_HEADER
from trackd_server.api import access
from trackd_server.api.bodies import read_body
from trackd_server.api.context import services_of
from trackd_server.domain import streams
from trackd_server.domain.run_records import Client, RunPath

if TYPE_CHECKING:
    from starlette.requests import Request

    from trackd_server.api.context import Services

#: Clients send about 10 MiB at most; lines are JSON inside JSON, so escapes may double that.
MAX_BODY_BYTES = 32 * 1024 * 1024


async def file_stream(request: Request) -> Response:
    """Store one request of a writer."""
    access.require_key(request)
    services = services_of(request)
    params = request.path_params
    path = RunPath.of(params["entity"], params["project"], params["run"])
    headers = request.headers
    client = Client.of(headers.get(STREAM_CLIENT_ID_HEADER, ""), headers.get(LABEL_HEADER, ""))
    body = await read_body(request, MAX_BODY_BYTES)
    answer = await services.take_in(_store, services, path, client, body)
    shown: dict[str, Any] = {"exitcode": answer.exit_code, "limits": {}}
    if answer.stopped:
        shown["stopped"] = True
    return Response(msgspec.json.encode(shown), media_type="application/json")


def _store(services: Services, path: RunPath, client: Client, body: bytes) -> streams.StreamAnswer:
    return services.streams.accept(path, client, streams.parse(body))
