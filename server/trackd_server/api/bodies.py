"""Reading request bodies: bounded, and unpacked if they are gzip."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from trackd_server.domain.errors import InvalidRequest, TooLarge

if TYPE_CHECKING:
    from starlette.requests import Request


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
