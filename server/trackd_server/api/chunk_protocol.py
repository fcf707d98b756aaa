"""The chunk protocol: what our agent asks and sends instead of whole files.

All under `/api/v1/artifacts/{artifact_id}`, for a pending artifact, with the API key; bodies and
answers are MessagePack, a pack is as `trackd_proto.chunks` says::

    POST known     {"files": [[path, algorithm, digest, size], ...]}  -> {"stored": [bool, ...]}
    POST missing   {"chunks": names one after another}                -> {"missing": [index, ...]}
    PUT  packs     a pack                                             -> {"stored": chunks new}
    POST contents  {"files": [[path, algorithm, digest, size, names], ...]} -> {"missing": [name]}

Every call may be repeated. What `known` finds and what `contents` makes is kept for the artifact
until its commit. `known` tells more to callers on the same machine (see `adoption`), and
`GET /api/v1/contents/{algorithm}/{hex digest}?size=&start=` where the chunks of a content lie in
the server's folder.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from starlette.responses import Response

from trackd_proto import chunks as protocol
from trackd_server.api import access, adoption
from trackd_server.api.bodies import read_decoded
from trackd_server.api.context import services_of
from trackd_server.domain import names
from trackd_server.domain.errors import InvalidRequest, NotAllowed, NotFound, Unavailable
from trackd_server.domain.storage import packing, reading
from trackd_server.domain.storage.packing import Assembly

if TYPE_CHECKING:
    from starlette.requests import Request

    from trackd_server.api.context import Services

T = TypeVar("T")

#: Bytes of a request other than a pack: 262,144 names have 8 MiB.
MAX_BODY_BYTES = 64 * 1024 * 1024
#: Extents of one answer; a larger content is asked for in several steps.
MAX_EXTENTS = 65_536
#: Digits of a number that a column holds.
MAX_DIGITS = 18


class _Files(msgspec.Struct):
    """Files by name: path, algorithm, digest, size."""

    files: list[tuple[str, str, bytes, int]]


class _Assemblies(msgspec.Struct):
    """Files and their chunks: path, algorithm, digest, size, names one after another."""

    files: list[tuple[str, str, bytes, int, bytes]]


class _Names(msgspec.Struct):
    """Names of chunks, one after another."""

    chunks: bytes


_files = msgspec.msgpack.Decoder(_Files)
_assemblies = msgspec.msgpack.Decoder(_Assemblies)
_names = msgspec.msgpack.Decoder(_Names)


async def known(request: Request) -> Response:
    """Keep for the artifact what is stored already; say what that is."""
    version_id = _version(request)
    wanted = (await _decoded(request, _files)).files
    _require_few(len(wanted), protocol.MAX_FILES_AT_ONCE, "files")
    services = services_of(request)
    checked = [packing.checked_name(*file[1:]) for file in wanted]
    stored = await services.call(_packs(services).known, version_id, checked)
    return _packed({"stored": stored, "inbox": adoption.inbox(request)})


async def missing(request: Request) -> Response:
    """Say which chunks are not stored; what the versions before brought is cut first."""
    version_id = _version(request)
    wanted = _split((await _decoded(request, _names)).chunks)
    _require_few(len(wanted), protocol.MAX_NAMES_AT_ONCE, "chunks")
    services = services_of(request)
    await services.storage.indexer.catch_up(version_id)
    return _packed({"missing": await services.call(_packs(services).missing, wanted)})


async def put_pack(request: Request) -> Response:
    """Store the chunks of a pack."""
    version_id = _version(request)
    services = services_of(request)
    await services.require_room(request)
    try:
        stored = await _packs(services).receive(version_id, request.stream())
    except OSError as error:
        raise Unavailable(f"The pack could not be stored: {error}") from error
    return _packed({"stored": stored})


async def assemble(request: Request) -> Response:
    """Make files of chunks that are stored, and keep them for the artifact."""
    version_id = _version(request)
    wanted = (await _decoded(request, _assemblies)).files
    _require_few(len(wanted), protocol.MAX_FILES_AT_ONCE, "files")
    files = [Assembly(packing.checked_name(*file[1:4]), _split(file[4])) for file in wanted]
    services = services_of(request)
    lacking = await services.call(_packs(services).assemble, version_id, files)
    return _packed({"missing": lacking})


async def extents(request: Request) -> Response:
    """Tell a caller on this machine where the chunks of a content lie."""
    access.require_key(request)
    if request.client is None or not ipaddress.ip_address(request.client.host).is_loopback:
        raise NotAllowed("Places on the server's disk are told only on the server's machine.")
    query = request.query_params
    size, start = (_bytes(query.get(key, "")) for key in ("size", "start"))
    services = services_of(request)
    params = request.path_params
    try:
        digest = bytes.fromhex(params["digest"])
    except ValueError as error:
        raise InvalidRequest(f"Invalid digest: {error}.") from error
    return _packed(
        await services.call(_extents, services, (params["algorithm"], digest, size), start or 0)
    )


def _bytes(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or len(text) > MAX_DIGITS:
        raise InvalidRequest(f"Invalid number of bytes {text[:50]!r}.")
    return int(text)


def _extents(services: Services, name: tuple[str, bytes, int | None], start: int) -> dict[str, Any]:
    with services.database.read() as connection:
        content = reading.readable(connection, *name)
        if content is None:
            raise NotFound("No such content is stored.")
        found = reading.extents(connection, content.id, start, MAX_EXTENTS)
    end = found[-1].start + found[-1].bytes if found else content.bytes
    return {
        "folder": str(services.blobs.folder),
        "bytes": content.bytes,
        "extents": [extent[1:] for extent in found],
        "next": end if end < content.bytes else None,
    }


def _packs(services: Services) -> packing.PackIntake:
    return services.storage.packs


def _version(request: Request) -> int:
    access.require_key(request)
    return names.row_number("Artifact", request.path_params["artifact_id"])


async def _decoded(request: Request, decoder: msgspec.msgpack.Decoder[T]) -> T:
    return await read_decoded(request, MAX_BODY_BYTES, decoder.decode)


def _split(row: bytes) -> list[bytes]:
    try:
        return protocol.split_names(row)
    except protocol.InvalidPack as error:
        raise InvalidRequest(str(error)) from error


def _require_few(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise InvalidRequest(f"{count} {what} in one request: send at most {limit} at once.")


def _packed(value: object) -> Response:
    return Response(msgspec.msgpack.encode(value), media_type="application/msgpack")
