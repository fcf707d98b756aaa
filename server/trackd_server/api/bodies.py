"""Reading request bodies: bounded, unpacked if they are gzip, decoded."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, TypeVar

from trackd_server.domain.errors import InvalidRequest, TooLarge

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

T = TypeVar("T")


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body, unpacked; it may have `limit` bytes packed and unpacked."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge(_too_large(limit))
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise TooLarge(_too_large(limit))
        pieces.append(piece)
    body = b"".join(pieces)
    if request.headers.get("content-encoding", "").lower() == "gzip":
        return _unpacked(body, limit)
    return body


async def read_decoded(request: Request, limit: int, decode: Callable[[bytes], T]) -> T:
    """Return what `decode` of `msgspec` makes of the body; InvalidRequest if it cannot."""
    body = await read_body(request, limit)
    try:
        return decode(body)
    except (ValueError, RecursionError) as error:  # another shape, no UTF-8, nested without end
        raise InvalidRequest(f"The body is not what this call takes: {error}") from error


def _unpacked(body: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(body, limit)
    except zlib.error as error:
        raise InvalidRequest(f"The body is no gzip data: {error}") from error
    if unpacker.unconsumed_tail:
        raise TooLarge(_too_large(limit))
    if not unpacker.eof or unpacker.unused_data:
        raise InvalidRequest("The body is not one whole gzip member.")
    return unpacked


def _too_large(limit: int) -> str:
    return f"The body is larger than {limit} bytes; send less at once."
