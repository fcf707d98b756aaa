"""Which address leads to which endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.convertors import PathConvertor, register_url_convertor
from starlette.routing import Route

from trackd_server.api import (
    access,
    artifact_pages,
    artifact_transfers,
    chunk_routes,
    documents,
    graphql,
    health,
    pages,
    stream,
    transfers,
    usage,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    Endpoint = Callable[[Request], Awaitable[Response]]


class FileNameConvertor(PathConvertor):
    """Names of files: as `path`, and line ends may be in them, too."""

    regex = "(?s:.*)"


register_url_convertor("file", FileNameConvertor())


def all_routes() -> list[Route]:
    """Return the routes of the application."""
    run_files = "/files/{entity}/{project}/{run}"
    return [
        Route("/healthz", health.healthz),
        Route("/graphql", graphql.graphql, methods=["POST"]),
        Route(f"{run_files}/file_stream", _guarded(stream.file_stream), methods=["POST"]),
        Route(f"{run_files}/{{name:file}}", _guarded(transfers.put_file), methods=["PUT"]),
        Route(f"{run_files}/{{name:file}}", transfers.get_file, methods=["GET", "HEAD"]),
        *_artifact_routes(),
        Route("/api/v1/runs/{entity}/{project}/{run}/document", documents.document),
        *usage.routes(_guarded),
        *chunk_routes.routes(_guarded),
        Route("/login", _guarded(pages.login), methods=["POST"]),
        *artifact_pages.routes(),
        Route("/{entity}/{project}/runs/{run}", pages.run_page),
        Route("/{entity}/{project}", pages.project_page),
        Route("/", pages.index),
    ]


def _artifact_routes() -> list[Route]:
    """Return where bytes of artifacts go in and out."""
    manifest = "/artifact_manifests/{manifest:int}"
    file = "/artifact_files/{version:int}/{algorithm}/{digest}"
    part = "/artifact_parts/{upload}/{number:int}"
    return [
        Route(file, _guarded(artifact_transfers.put_file), methods=["PUT"]),
        Route(part, _guarded(artifact_transfers.put_part), methods=["PUT"]),
        Route(manifest, _guarded(artifact_transfers.put_manifest), methods=["PUT"]),
        Route(manifest, _guarded(artifact_transfers.delete_manifest), methods=["DELETE"]),
        Route(manifest, artifact_transfers.get_manifest),
        Route(
            "/artifactsV2/{region}/{entity}/{project}/{collection}/{rest:file}",
            artifact_transfers.get_file,
        ),
        Route("/artifacts/{entity}/{digest}", artifact_transfers.get_file_v1),
    ]


def _guarded(endpoint: Endpoint) -> Endpoint:
    """Wrap an endpoint that changes something: not for other sites in the user's browser."""

    async def guarded(request: Request) -> Response:
        access.refuse_other_sites(request)
        return await endpoint(request)

    return guarded
