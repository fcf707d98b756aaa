"""A small W&B server over real HTTP that can be told to misbehave.

It keeps lines by (run, stream, file, line number), so that what counts as loss, doubling or
reordering can be read from it, and it notes every request.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from tests.fakes.artifacts import FakeArtifacts

#: Gets the request and its answer maker; returns what is sent instead.
Fault = Callable[[Request, Callable[[], Awaitable[Response]]], Awaitable[Response]]


def status(code: int, headers: dict[str, str] | None = None, body: str = "no") -> Fault:
    """Answer with a status, without doing anything."""

    async def fault(_request: Request, _answer: Callable[[], Awaitable[Response]]) -> Response:
        return PlainTextResponse(body, code, headers)

    return fault


def not_json(body: str = "<html>please log in</html>", code: int = 200) -> Fault:
    """Answer as a proxy would."""
    return status(code, {"Content-Type": "text/html"}, body)


class _Dropped(Response):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["transport"].abort()
        while (await receive())["type"] != "http.disconnect":
            pass


async def drop(_request: Request, _answer: Callable[[], Awaitable[Response]]) -> Response:
    """Close the connection without an answer."""
    return _Dropped()


async def drop_after_apply(
    _request: Request, answer: Callable[[], Awaitable[Response]]
) -> Response:
    """Do what is asked, then close the connection without an answer."""
    await answer()
    return _Dropped()


async def hang(_request: Request, _answer: Callable[[], Awaitable[Response]]) -> Response:
    """Never answer."""
    await _request.app.state.fake.closing.wait()
    return Response(status_code=503)


def too_large(limit_bytes: int) -> Fault:
    """Refuse bodies above a limit with 413."""

    async def fault(request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
        if len(await request.body()) > limit_bytes:
            return PlainTextResponse("too large", 413)
        return await answer()

    return fault


def for_the_first(count: int, fault: Fault) -> Fault:
    """Return a fault that goes away."""
    left = count

    async def fading(request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
        nonlocal left
        left -= 1
        return await fault(request, answer) if left >= 0 else await answer()

    return fading


@dataclass
class FakeServer:
    """State of the server; tests read and change it directly."""

    base_url: str = ""
    api_key: str = "k" * 40
    #: Faults in force, by kind of request: `graphql`, `file_stream`, `put`.
    faults: dict[str, Fault] = field(default_factory=dict[str, Fault])
    #: Runs for which a fault of `file_stream` counts; None: all.
    fault_runs: set[str] | None = None
    lines: dict[tuple[str, str, str], dict[int, str]] = field(
        default_factory=dict[tuple[str, str, str], dict[int, str]]
    )
    #: Lines that came again with other bytes at the same place.
    rewritten: list[tuple[str, str, int]] = field(default_factory=list[tuple[str, str, int]])
    runs: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    uploaded: list[str] = field(default_factory=list[str])
    put_headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    bodies: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    operations: list[tuple[str, dict[str, Any]]] = field(
        default_factory=list[tuple[str, dict[str, Any]]]
    )
    complete: dict[str, int] = field(default_factory=dict[str, int])
    requests: dict[str, int] = field(default_factory=dict[str, int])
    stopped: bool = False
    closing: anyio.Event = field(default_factory=anyio.Event)
    history_line_count: int = 0
    #: Switches that are on; None: it does not know the question.
    features: list[str] | None = None
    artifacts: FakeArtifacts = field(default_factory=FakeArtifacts)

    def rows(self, run: str, stream: str = "") -> list[dict[str, Any]]:
        """History of one stream, in order; fails on holes."""
        lines = self.lines.get((run, stream, "wandb-history.jsonl"), {})
        assert sorted(lines) == list(range(len(lines))), "holes in the history"
        return [json.loads(lines[n]) for n in sorted(lines)]

    def streams(self, run: str) -> set[str]:
        """Names of the streams of a run."""
        return {stream for name, stream, _ in self.lines if name == run}

    async def graphql(self, request: Request) -> Response:
        return await self._guarded("graphql", request, self._graphql)

    async def file_stream(self, request: Request) -> Response:
        return await self._guarded("file_stream", request, self._file_stream)

    async def put(self, request: Request) -> Response:
        return await self._guarded("put", request, self._put)

    async def _guarded(
        self, kind: str, request: Request, answer: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        self.requests[kind] = self.requests.get(kind, 0) + 1
        if kind != "put":
            expected = "Basic " + base64.b64encode(f"api:{self.api_key}".encode()).decode()
            if request.headers.get("authorization") != expected:
                return JSONResponse({"errors": [{"message": "who are you"}]}, 401)
        fault = self.faults.get(kind)
        run = request.path_params.get("run")
        if fault is None or (self.fault_runs is not None and run not in self.fault_runs):
            return await answer(request)
        return await fault(request, lambda: answer(request))

    async def _graphql(self, request: Request) -> Response:
        body = await request.json()
        name, variables = body["operationName"], body["variables"]
        self.operations.append((name, variables))
        if name == "UpsertBucket":
            is_new = variables["name"] not in self.runs
            run = self.runs.setdefault(variables["name"], {})
            run.update({k: v for k, v in variables.items() if v is not None})
            entity = variables["entity"] or "local"
            bucket = {
                "id": "UnVuOjU=",
                "name": variables["name"],
                "displayName": variables.get("displayName") or "amber-run-5",
                "project": {"name": variables["project"], "entity": {"name": entity}},
                "historyLineCount": self._history_count(variables["name"]),
            }
            return _data({"upsertBucket": {"bucket": bucket, "inserted": is_new}})
        if name == "RunResumeStatus":
            counts = {
                key: len(self.lines.get((variables["name"], "", file), {}))
                for key, file in (
                    ("eventsLineCount", "wandb-events.jsonl"),
                    ("logLineCount", "output.log"),
                )
            }
            counts["historyLineCount"] = self._history_count(variables["name"])
            return _data({"model": {"bucket": {"name": variables["name"], **counts}}})
        if name == "CreateRunFiles":
            files = [
                {"name": n, "uploadUrl": f"{self.base_url}/put/{variables['run']}/{n}"}
                for n in variables["files"]
            ]
            created = {"runID": "UnVuOjU=", "uploadHeaders": ["X-Sent: back"], "files": files}
            return _data({"createRunFiles": created})
        if name == "RewindRun":
            kept = int(variables["metricValue"]) + 1
            self.history_line_count = min(self.history_line_count, kept)
            return _data({"rewindRun": {"rewoundRun": {"name": variables["runName"]}}})
        if name == "ServerFeaturesQuery" and self.features is not None:
            features = [{"name": feature, "isEnabled": True} for feature in self.features]
            return _data({"serverInfo": {"features": features}})
        if name == "NotifyScriptableRunAlert":
            return _data({"notifyScriptableRunAlert": {"success": True}})
        if (answer := self.artifacts.answer(name, variables, self.base_url)) is not None:
            return _data(answer)
        return JSONResponse({"errors": [{"message": f"unknown {name}"}]})

    async def put_artifact(self, request: Request) -> Response:
        return await self._guarded("put", request, self.artifacts.put)

    async def chunks(self, request: Request) -> Response:
        return await self._guarded("chunks", request, self.artifacts.chunks)

    def _history_count(self, run: str) -> int:
        lines = self.lines.get((run, "", "wandb-history.jsonl"), {})
        return max(self.history_line_count, len(lines))

    async def _file_stream(self, request: Request) -> Response:
        raw = await request.body()
        if request.headers.get("content-encoding") == "gzip":
            raw = gzip.decompress(raw)
        body = json.loads(raw)
        run = request.path_params["run"]
        stream = request.headers.get("x-wandb-async-client-id", "")
        self.bodies.append(body)
        for name, chunk in body.get("files", {}).items():
            lines = self.lines.setdefault((run, stream, name), {})
            for number, line in enumerate(chunk["content"], chunk["offset"]):
                fixed = name in ("wandb-history.jsonl", "wandb-events.jsonl")
                if fixed and lines.get(number, line) != line:
                    self.rewritten.append((run, name, number))
                lines[number] = line
        self.uploaded += body.get("uploaded", [])
        if body.get("complete"):
            self.complete[run] = body["exitcode"]
        return JSONResponse({"exitcode": None, "limits": {}, "stopped": self.stopped})

    async def _put(self, request: Request) -> Response:
        data = await request.body()
        assert int(request.headers["content-length"]) == len(data)
        self.put_headers.append(dict(request.headers))
        self.files[request.path_params["name"]] = data
        return Response()


def _data(data: dict[str, Any]) -> Response:
    return JSONResponse({"data": data})


@contextlib.asynccontextmanager
async def fake_server(port: int = 0) -> AsyncGenerator[FakeServer]:
    """Serve on a loopback port until the block is left."""
    fake = FakeServer()
    app = Starlette(
        routes=[
            Route("/graphql", fake.graphql, methods=["POST"]),
            Route(
                "/files/{entity}/{project}/{run}/file_stream", fake.file_stream, methods=["POST"]
            ),
            Route("/put/{run}/{name:path}", fake.put, methods=["PUT"]),
            Route("/artifact/{token:path}", fake.put_artifact, methods=["PUT"]),
            Route("/api/v1/artifacts/{id}/{what}", fake.chunks, methods=["POST", "PUT"]),
        ]
    )
    app.state.fake = fake

    async def with_transport(scope: Any, receive: Any, send: Any) -> None:
        """Give faults the connection itself, which the server keeps behind `send`."""
        await app({**scope, "transport": send.__self__.transport}, receive, send)

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    fake.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        with_transport,
        log_level="critical",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=0,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    with listener:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: server.serve(sockets=[listener]))
            while not server.started:
                await anyio.sleep(0.01)
            try:
                yield fake
            finally:
                server.should_exit = True
                fake.closing.set()
                await anyio.sleep(0.01)
                server.force_exit = True
