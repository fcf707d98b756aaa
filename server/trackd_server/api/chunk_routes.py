"""Which addresses lead to the endpoints of the chunk protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from trackd_server.api import adoption, chunk_protocol, content_reads

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    Endpoint = Callable[[Request], Awaitable[Response]]


def routes(guarded: Callable[[Endpoint], Endpoint]) -> list[Route]:
    """Return the routes; `guarded` refuses what browsers send for other sites."""
    artifact = "/api/v1/artifacts/{artifact_id}"
    return [
        Route(f"{artifact}/known", guarded(chunk_protocol.known), methods=["POST"]),
        Route(f"{artifact}/missing", guarded(chunk_protocol.missing), methods=["POST"]),
        Route(f"{artifact}/packs", guarded(chunk_protocol.put_pack), methods=["PUT"]),
        Route(f"{artifact}/contents", guarded(chunk_protocol.assemble), methods=["POST"]),
        Route(f"{artifact}/adopt", guarded(adoption.adopt), methods=["POST"]),
        Route("/api/v1/contents/extents", guarded(content_reads.extents), methods=["POST"]),
        Route("/api/v1/contents/read", guarded(content_reads.read), methods=["POST"]),
        Route("/api/v1/contents/{algorithm}/{digest}", chunk_protocol.extents),
    ]
