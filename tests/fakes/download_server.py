"""A small server over real HTTP that only serves artifacts, and can be told to serve them badly."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request

ARTIFACT_ID = base64.b64encode(b"Artifact:1").decode()


def md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


@dataclass
class DownloadServer:
    """One version of one artifact, and how it is served."""

    base_url: str
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    #: Entries beside the files, or in place of theirs.
    entries: dict[str, Any] = field(default_factory=dict[str, Any])
    #: The text of the manifest, if it is not made from the above.
    manifest: bytes | None = None
    #: What is sent in place of a file's bytes.
    sent: dict[str, bytes] = field(default_factory=dict[str, bytes])
    #: Statuses of the next requests for a file; 200: it is sent.
    statuses: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    #: The next answers for a file end after so many bytes.
    cuts: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    features: tuple[str, ...] = ()
    #: What is answered where a server of ours tells or sends many contents.
    contents: bytes = b""
    serves_ranges: bool = True
    lists_files: bool = True
    names_files: bool = True
    page: int = 2
    #: How long each file takes at least, in seconds.
    delay_s: float = 0.0
    #: After so many requests for files their answers wait until they may go on.
    hold_after: int = 10**9
    may_go_on: anyio.Event = field(default_factory=anyio.Event)
    #: Answers that are being sent.
    open: int = 0
    requests: list[str] = field(default_factory=list[str])
    ranges: list[str] = field(default_factory=list[str])
    operations: list[str] = field(default_factory=list[str])

    def document(self) -> bytes:
        if self.manifest is not None:
            return self.manifest
        contents = {
            path: {"digest": md5(data), "size": len(data), "birthArtifactID": ARTIFACT_ID}
            for path, data in self.files.items()
        }
        head = {"version": 1, "storagePolicy": "wandb-storage-policy-v1"}
        config = {"storagePolicyConfig": {"storageLayout": "V2"}}
        return json.dumps({**head, **config, "contents": contents | self.entries}).encode()

    async def graphql(self, request: Request) -> Response:
        body = await request.json()
        name, variables = body["operationName"], body["variables"]
        self.operations.append(name)
        data: dict[str, Any] = {}
        if name == "FetchArtifactManifest":
            file = {"directUrl": f"{self.base_url}/manifest"}
            found = variables["id"] == ARTIFACT_ID
            data = {"artifact": {"currentManifest": {"file": file}} if found else None}
        elif name == "ArtifactByID":
            project = {"name": "p", "entity": {"name": "e"}}
            data = {
                "artifact": {
                    "versionIndex": 3,
                    "artifactSequence": {"name": "c", "project": project},
                }
            }
        elif name == "GetArtifactMembershipFileUrls":
            files = self._page(variables["cursor"]) if self.lists_files else None
            membership = {"artifactMembership": {"files": files}}
            data = {"project": {"artifactCollection": membership}}
        elif name == "ArtifactMembershipFiles" and self.names_files:
            (path,) = variables["fileNames"]
            node = {"name": path, "directUrl": f"{self.base_url}/signed/{path}"}
            info = {"endCursor": None, "hasNextPage": False}
            files = {"pageInfo": info, "edges": [{"node": node}]}
            data = {"project": {"artifactCollection": {"artifactMembership": {"files": files}}}}
        elif name == "ServerFeaturesQuery":
            features = [{"name": name, "isEnabled": True} for name in self.features]
            data = {"serverInfo": {"features": features}}
        return JSONResponse({"data": data})

    def _page(self, cursor: str | None) -> dict[str, Any]:
        start = int(cursor or 0)
        names = sorted(self.files)[start : start + self.page]
        end = start + len(names)
        edges = [{"node": {"name": n, "directUrl": f"{self.base_url}/signed/{n}"}} for n in names]
        info = {"endCursor": str(end), "hasNextPage": end < len(self.files)}
        return {"pageInfo": info, "edges": edges}

    async def signed(self, request: Request) -> Response:
        return self._file(request, request.path_params["path"])

    async def by_digest(self, request: Request) -> Response:
        if not request.headers.get("authorization"):
            return PlainTextResponse("no", 401)
        digest = request.path_params["digest"]
        found = (p for p, d in self.files.items() if hashlib.md5(d).hexdigest() == digest)
        return self._file(request, next(found))

    def _file(self, request: Request, path: str) -> Response:
        self.requests.append(request.url.path)
        statuses = self.statuses.get(path)
        if statuses and (status := statuses.pop(0)) != 200:
            return PlainTextResponse("no", status)
        data = self.sent.get(path, self.files[path])
        code, headers = 200, {"Content-Length": str(len(data))}
        if (wanted := request.headers.get("range")) and self.serves_ranges:
            self.ranges.append(wanted)
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
            assert match
            start, end = int(match[1]), int(match[2] or len(data) - 1) + 1
            code = 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
            data = data[start:end]
            headers["Content-Length"] = str(len(data))
        if cuts := self.cuts.get(path):
            data = data[: cuts.pop(0)]

        async def pieces() -> AsyncGenerator[bytes]:
            self.open += 1
            try:
                await anyio.sleep(self.delay_s)
                if len(self.requests) > self.hold_after:
                    await self.may_go_on.wait()
                yield data
            finally:
                self.open -= 1
            if len(data) != int(headers["Content-Length"]):
                raise ConnectionAbortedError("cut on purpose")

        return StreamingResponse(pieces(), code, headers)

    async def send_contents(self, _request: Request) -> Response:
        return Response(self.contents)

    async def send_manifest(self, _request: Request) -> Response:
        return Response(self.document())


@contextlib.asynccontextmanager
async def download_server(**facts: Any) -> AsyncGenerator[DownloadServer]:
    """Serve on a free port of this machine, in this process."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = DownloadServer(f"http://127.0.0.1:{listener.getsockname()[1]}", **facts)
    app = Starlette(
        routes=[
            Route("/graphql", server.graphql, methods=["POST"]),
            Route("/manifest", server.send_manifest),
            Route("/api/v1/contents/{what}", server.send_contents, methods=["POST"]),
            Route("/signed/{path:path}", server.signed),
            Route("/artifactsV2/default/e/p/c/{birth}/{digest}/{name}", server.by_digest),
        ]
    )
    config = uvicorn.Config(app, log_level="critical", lifespan="off", http="h11")
    process = uvicorn.Server(config)
    process.install_signal_handlers = lambda: None  # pyright: ignore[reportAttributeAccessIssue]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(process.serve, [listener])
        while not process.started:
            await anyio.sleep(0.005)
        try:
            yield server
        finally:
            process.should_exit = True
            process.force_exit = True
