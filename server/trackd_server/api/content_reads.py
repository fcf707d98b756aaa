"""Reading many contents at once: what our agent asks when it downloads an artifact.

Both take MessagePack `{"files": [[algorithm, digest, size or null], ...]}` and the API key::

    POST /api/v1/contents/extents
        -> {"folder": path, "files": [null | [[key, offset, stored bytes, bytes]...]]}
    POST /api/v1/contents/read     -> for each file u64 little-endian length, then its bytes

The first is for callers on the same machine: ranges of files in the server's folder, in order,
neighbours merged; null is also told of what is damaged, and of what would make more than
`MAX_RANGES` in one answer. A range that has fewer bytes there than it stands for is one compressed
chunk (`trackd_proto.chunk_encoding`). The second leaves out (length 2**64-1) what is not stored,
damaged, or larger than `MAX_READ_BYTES`: such files are for requests of their own.
"""

from __future__ import annotations

import ipaddress
import os
import struct
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response, StreamingResponse

from trackd_proto import chunks as protocol
from trackd_server.api import access
from trackd_server.api.bodies import read_decoded
from trackd_server.api.context import services_of
from trackd_server.domain.errors import InvalidRequest, NotAllowed
from trackd_server.domain.storage import contents, reading

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.requests import Request

    from trackd_server.api.context import Services
    from trackd_server.domain.storage.contents import ContentName
    from trackd_server.domain.storage.reading import Range

#: Contents above this size have requests of their own.
MAX_READ_BYTES = 1024 * 1024
#: Ranges of one answer: some 8 GiB of compressed chunks, 60 MiB of memory.
MAX_RANGES = 131_072
_MAX_BODY_BYTES = 4 * 1024 * 1024
_AT_ONCE = 32
_LENGTH = struct.Struct("<Q")
_LEFT_OUT = _LENGTH.pack(2**64 - 1)


class _Wanted(msgspec.Struct):
    """Contents by name: algorithm, digest, size."""

    files: list[tuple[str, bytes, int | None]]


_decoder = msgspec.msgpack.Decoder(_Wanted)


async def extents(request: Request) -> Response:
    """Tell a caller on this machine where contents lie."""
    names = await _wanted(request)
    if request.client is None or not ipaddress.ip_address(request.client.host).is_loopback:
        raise NotAllowed("Places on the server's disk are told only on the server's machine.")
    services = services_of(request)
    answer = await services.call(_places, services, names)
    return Response(answer, media_type="application/msgpack")


async def read(request: Request) -> Response:
    """Send contents one after another."""
    names = await _wanted(request)
    services = services_of(request)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(names), _AT_ONCE):
            yield await services.call(_read, services, names[start : start + _AT_ONCE])

    return StreamingResponse(pieces(), media_type="application/octet-stream")


async def _wanted(request: Request) -> list[ContentName]:
    access.require_key(request)
    files: Any = (await read_decoded(request, _MAX_BODY_BYTES, _decoder.decode)).files
    if len(files) > protocol.MAX_FILES_AT_ONCE:
        raise InvalidRequest(
            f"{len(files)} files in one request: send at most {protocol.MAX_FILES_AT_ONCE} at once."
        )
    return files


def _ranges(services: Services, names: Sequence[ContentName]) -> list[list[Range] | None]:
    with services.database.read() as connection:
        found = contents.find_whole(connection, names)  # a damaged one's own request says so
        ranges = reading.ranges_of_many(connection, set(found.values()), MAX_RANGES)
    return [ranges.get(found.get(name, 0)) for name in names]


def _places(services: Services, names: Sequence[ContentName]) -> bytes:
    """Return the answer of `extents`; as many ranges as there may be would stop the event loop."""
    found = _ranges(services, names)
    files = [ranges and [(*each[:3], each.bytes) for each in ranges] for ranges in found]
    return msgspec.msgpack.encode({"folder": str(services.blobs.folder), "files": files})


def _read(services: Services, names: Sequence[ContentName]) -> bytes:
    found = _ranges(services, names)
    sent: list[bytes] = []
    with ExitStack() as stack:
        opened: dict[str, int] = {}

        def piece(wanted: Range) -> bytes:
            key = wanted.blob_key
            if key not in opened:
                opened[key] = services.blobs.open(key)
                stack.callback(os.close, opened[key])
            return wanted.read(opened[key])

        for ranges in found:
            size = sum(each.bytes for each in ranges or ())
            if ranges is None or size > MAX_READ_BYTES:
                sent.append(_LEFT_OUT)
                continue
            try:
                content = b"".join(map(piece, ranges))
            except OSError:  # moved or deleted meanwhile, or damaged: its own request finds it
                sent.append(_LEFT_OUT)
                continue
            sent += [_LENGTH.pack(size), content]
    return b"".join(sent)
