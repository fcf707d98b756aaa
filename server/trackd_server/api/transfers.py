"""PUT and GET of run files under `/files/{entity}/{project}/{run}/{name}`.

Uploads need a signed address (or the key); downloads that, the key, or a viewer of the pages.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from trackd_server.api import access
from trackd_server.api.context import services_of
from trackd_server.api.ranges import requested_range
from trackd_server.domain import threads
from trackd_server.domain.errors import InvalidRequest, Unavailable
from trackd_server.domain.files import FilePath, mime_type
from trackd_server.domain.run_records import RunPath

if TYPE_CHECKING:
    from starlette.requests import Request

#: Types that a browser shows or plays without running anything; the rest it saves.
_SHOWN = re.compile(
    r"text/(plain|html)|image/(png|jpeg|gif|webp|bmp)|(audio|video)/[\w.+-]+|application/json"
)
#: A page that somebody logged is shown as it looks: it may run nothing, fetch nothing, and be
#: framed by nobody but us.
_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "media-src 'self' data:; frame-ancestors 'self'"
)


async def put_file(request: Request) -> Response:
    """Store a run file; the former version stays until the new one is whole."""
    if not access.is_signed(request):
        access.require_key(request)
    files = services_of(request).files
    call = services_of(request).call
    path = _path(request)
    await services_of(request).require_room(request)
    key = await call(files.begin_upload, path)
    done = False
    try:
        stored = await files.receive(key, request.stream())
        declared = request.headers.get("content-length")
        if declared is not None and int(declared) != stored.bytes:
            raise InvalidRequest(f"{stored.bytes} of {declared} bytes arrived.")
        await call(files.end_upload, path, stored)
        done = True
    except OSError as error:
        raise Unavailable(f"The file could not be stored: {error}") from error
    finally:
        if not done:
            await threads.clean_up(partial(files.abandon, key))
    return Response(status_code=200)


async def get_file(request: Request) -> Response:
    """Send a run file or a range of it."""
    if not access.is_signed(request):
        access.require_viewer(request)
    services = services_of(request)
    path = _path(request)
    row = await services.call(services.files.get, path)
    start, end, status = requested_range(request, row.bytes)
    kind = mime_type(row.name)
    shown = kind if _SHOWN.fullmatch(kind) else "application/octet-stream"
    base_name = quote(row.name.rpartition("/")[2])
    headers = {
        "content-length": str(end - start),
        "accept-ranges": "bytes",
        "etag": f'"{row.md5}"',
        # Asked for again with each look at a page, sent again only if it changed.
        "cache-control": "private, no-cache",
        "content-security-policy": _POLICY,
        "x-content-type-options": "nosniff",
        "content-disposition": f"inline; filename*=UTF-8''{base_name}",
    }
    if status == 206:
        headers["content-range"] = f"bytes {start}-{end - 1}/{row.bytes}"
    if headers["etag"] in request.headers.get("if-none-match", "").split(", "):
        del headers["content-length"]
        return Response(b"", 304, headers)
    if request.method == "HEAD" or start == end:
        return Response(b"", status, headers, media_type=shown)
    body = services.files.stream(row, start, end)
    return StreamingResponse(body, status, headers, media_type=shown)


def _path(request: Request) -> FilePath:
    params: dict[str, Any] = request.path_params
    run = RunPath.of(params["entity"], params["project"], params["run"])
    return FilePath(run, params["name"])
