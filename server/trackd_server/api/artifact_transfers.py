"""Bytes of artifacts: PUT of files, parts and manifests, GET of files and manifests.

Uploads need a signed address; downloads that, or the key.
"""

from __future__ import annotations

import hashlib
import tempfile
from typing import IO, TYPE_CHECKING, Any

from starlette.responses import Response, StreamingResponse

from trackd_server.api import access
from trackd_server.api.context import services_of
from trackd_server.api.ranges import requested_range
from trackd_server.domain import names
from trackd_server.domain.artifacts import manifests, reading
from trackd_server.domain.artifacts.entries import DIGEST_BYTES, MD5, XXH128, encode_digest
from trackd_server.domain.errors import InvalidRequest, NotFound, TooLarge, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

MAX_NUMBER = (1 << 63) - 1
#: A million entries have about 250 MB.
MAX_MANIFEST_BYTES = 2 * 1024 * 1024 * 1024
#: Files up to this size are read at once: a stream of one costs three times as much.
SMALL_BYTES = 256 * 1024
#: Manifests up to this size are kept in memory while they arrive.
MEMORY_BYTES = 4 * 1024 * 1024


async def put_file(request: Request) -> Response:
    """Store a file of a pending version, if its digest is the announced one."""
    _require_signature(request)
    params: dict[str, Any] = request.path_params
    digest = _digest(params["digest"])
    if params["algorithm"] not in (MD5, XXH128) or digest is None:
        raise NotFound("There is no such upload.")
    uploads = services_of(request).artifacts.uploads
    await services_of(request).require_room(request)
    try:
        await uploads.receive(
            _number(request, "version"), params["algorithm"], digest, request.stream()
        )
    except OSError as error:
        raise Unavailable(f"The file could not be stored: {error}") from error
    return Response(status_code=200)


async def put_part(request: Request) -> Response:
    """Store one part of a file; the ETag names what came."""
    _require_signature(request)
    services = services_of(request)
    params: dict[str, Any] = request.path_params
    await services.require_room(request)
    part = await services.call(
        services.artifacts.uploads.part, params["upload"], _number(request, "number")
    )
    try:
        md5 = await services.artifacts.uploads.receive_part(part, request.stream())
    except OSError as error:
        raise Unavailable(f"The part could not be stored: {error}") from error
    return Response(status_code=200, headers={"etag": f'"{md5}"'})


async def put_manifest(request: Request) -> Response:
    """Take in a manifest."""
    _require_signature(request)
    services = services_of(request)
    number = _number(request, "manifest")
    try:
        with tempfile.SpooledTemporaryFile(MEMORY_BYTES) as file:
            md5 = await _spool(request, file)
            await services.call(services.artifacts.manifests.arrive, number, file, md5)
    except OSError as error:
        raise Unavailable(f"The manifest could not be stored: {error}") from error
    return Response(status_code=200)


async def get_manifest(request: Request) -> Response:
    """Send the manifest of a committed version."""
    if not access.is_signed(request):
        access.require_key(request)
    services = services_of(request)
    number = _number(request, "manifest")
    await services.call(reading.require_readable, services.database, number)
    body = manifests.json_pieces(services.database, number)

    async def pieces() -> AsyncIterator[bytes]:
        while piece := await services.call(next, body, b""):
            yield piece

    return StreamingResponse(pieces(), media_type="application/json")


async def delete_manifest(request: Request) -> Response:
    """Refuse: a manifest goes with its version only."""
    access.require_key(request)
    services = services_of(request)
    number = _number(request, "manifest")
    await services.call(reading.refuse_deletion, services.database, number)
    return Response(status_code=200)


async def get_file(request: Request) -> Response:
    """Send a file, or a range of it: `/artifactsV2/{region}/{entity}/{project}/{collection}/...`.

    The rest is `[{artifact id}/]{birth id}/{hex digest}/{name}`, as different clients ask for it.
    """
    if not access.is_signed(request):
        access.require_key(request)
    services = services_of(request)
    version, digest = _asked_file(request.path_params["rest"])
    content = await services.call(reading.content, services.database, version, digest)
    return await _send(request, content)


async def get_file_v1(request: Request) -> Response:
    """Send a file by its digest alone: `/artifacts/{entity}/{hex digest}`."""
    access.require_key(request)
    digest = _digest(request.path_params["digest"])
    if digest is None:
        raise NotFound("There is no such file: the address has no digest.")
    services = services_of(request)
    return await _send(
        request, await services.call(reading.content, services.database, None, digest)
    )


async def _send(request: Request, content: reading.StoredFile) -> Response:
    start, end, status = requested_range(request, content.bytes)
    headers = {
        "content-length": str(end - start),
        "accept-ranges": "bytes",
        "etag": f'"{content.digest.hex()}"',
        "x-content-type-options": "nosniff",
        "content-disposition": "attachment",
    }
    if status == 206:
        headers["content-range"] = f"bytes {start}-{end - 1}/{content.bytes}"
    kind = "application/octet-stream"
    if request.method == "HEAD" or start == end:
        return Response(b"", status, headers, media_type=kind)
    services = services_of(request)
    if end - start <= SMALL_BYTES:
        data = await services.call(services.storage.read, content.id, start, end)
        return Response(data, status, headers, media_type=kind)
    body = services.storage.stream(content.id, start, end)
    return StreamingResponse(body, status, headers, media_type=kind)


def _asked_file(rest: str) -> tuple[int | None, bytes]:
    parts = rest.split("/")
    for place in (1, 2):  # the artifact id may be left out
        digest = _digest(parts[place]) if len(parts) > place else None
        if digest is not None:
            version = names.row_number("Artifact", parts[0]) if place == 2 else None
            return version, digest
    raise NotFound("There is no such file: the address has no digest.")


def _number(request: Request, name: str) -> int:
    """Return a number of an address; no row has one that a column cannot hold."""
    number: int = request.path_params[name]
    if number > MAX_NUMBER:
        raise NotFound(f"There is no {name} {str(number)[:20]}.")
    return number


def _digest(text: str) -> bytes | None:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        return None
    return digest if len(digest) == DIGEST_BYTES else None


def _require_signature(request: Request) -> None:
    if not access.is_signed(request):
        access.require_key(request)


async def _spool(request: Request, file: IO[bytes]) -> str:
    """Write a body to a file and return its MD5; refuse one that its Content-MD5 belies."""
    services = services_of(request)
    md5 = hashlib.md5(usedforsecurity=False)
    total = 0
    async for piece in request.stream():
        total += len(piece)
        if total > MAX_MANIFEST_BYTES:
            raise TooLarge(f"The manifest is larger than {MAX_MANIFEST_BYTES} bytes.")
        md5.update(piece)
        if total < MEMORY_BYTES:
            file.write(piece)
        else:
            await services.call(file.write, piece)
    wanted = request.headers.get("content-md5")
    if wanted and wanted != encode_digest(md5.digest()):
        raise InvalidRequest("The manifest's bytes are not those of its Content-MD5: send again.")
    return md5.hexdigest()
