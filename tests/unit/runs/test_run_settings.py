"""What a run's own settings change about its way to the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from starlette.responses import JSONResponse
from tests.fakes import wandb_server as fake
from tests.fakes.wandb_server import fake_server
from tests.support.rank import Rank
from tests.support.runs import running_registry, until

from trackd_agent.core.errors import InvalidRequest
from trackd_agent.filestream import FileStreamConfig
from trackd_agent.rpc.conversion import continue_options
from trackd_agent.runs.options import RunRef
from trackd_agent.runs.upload.run_settings import (
    ignored_globs,
    manners_of,
    stream_limits,
    transfer_limits,
)
from trackd_agent.transfer import TransferConfig
from trackd_agent.upstream import Manner, UpstreamConfig
from trackd_proto.records import FileSaved
from trackd_proto.v1 import common_pb2, run_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response


def test_each_kind_of_request_has_its_own_waits() -> None:
    manners = manners_of(
        {
            "x_file_stream_timeout_seconds": 1.5,
            "x_file_stream_retry_wait_min_seconds": 2,
            "x_file_transfer_timeout_seconds": 3,
            "x_graphql_retry_wait_max_seconds": 4.0,
            "x_file_stream_no_gzip": False,
        }
    )
    assert (manners.rows.timeout_s, manners.rows.retry_min_s, manners.rows.gzip) == (1.5, 2, True)
    assert (manners.files.timeout_s, manners.files.gzip) == (3, None)
    assert (manners.calls.timeout_s, manners.calls.retry_max_s) == (None, 4)


def test_values_of_a_wrong_kind_count_as_not_given() -> None:
    odd: dict[str, Any] = {
        "x_file_stream_timeout_seconds": "soon",
        "x_graphql_timeout_seconds": True,
        "x_file_transfer_timeout_seconds": -1,
        "x_extra_http_headers": ["a"],
        "http_proxy": 5,
        "ignore_globs": "*.txt",
        "heartbeat_seconds": float("inf"),
        "x_live_policy_rate_limit": None,
    }
    manners = manners_of(odd)
    assert manners.rows == manners.calls == manners.files == Manner()
    assert ignored_globs(odd) == ()
    assert stream_limits(FileStreamConfig(), odd) == FileStreamConfig()
    assert transfer_limits(TransferConfig(), odd) == TransferConfig()


def test_limits_have_a_floor() -> None:
    limits = stream_limits(FileStreamConfig(), {"x_file_stream_max_bytes": 1})
    assert limits.max_request_bytes == 1024
    assert stream_limits(FileStreamConfig(), {"heartbeat_seconds": 0.001}).heartbeat_s == 1.0
    assert transfer_limits(TransferConfig(), {"x_live_policy_rate_limit": 9}).live_interval_s == 9


def test_waits_stay_in_order() -> None:
    config = UpstreamConfig(retry_min_s=1.0, retry_max_s=60.0)
    assert Manner().waits(config) == (1.0, 60.0)
    assert Manner(retry_max_s=0.5).waits(config) == (0.5, 0.5)
    assert Manner(retry_min_s=90.0).waits(config) == (90.0, 90.0)
    assert Manner(retry_min_s=0.0).waits(config) == (0.1, 60.0)


def test_secrets_are_not_shown() -> None:
    manner = manners_of({"x_extra_http_headers": {"X": "geheim"}, "http_proxy": "http://u:pw@p"})
    assert "geheim" not in repr(manner)
    assert "pw" not in repr(manner)


def save(rank: Rank, name: str) -> None:
    """Put a file into the run."""
    path = Path(rank.facts["run_dir"]) / "files" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(name)
    rank.add(FileSaved(name, "now"))


async def test_headers_and_compression_of_a_run_reach_the_server(tmp_path: Path) -> None:
    seen: dict[str, dict[str, str]] = {}

    def note(kind: str) -> fake.Fault:
        async def fault(request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
            seen[kind] = dict(request.headers)
            return await answer()

        return fault

    settings = {"x_extra_http_headers": {"X-Team": "vision"}, "x_file_stream_no_gzip": False}
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        server.faults = {kind: note(kind) for kind in ("graphql", "file_stream", "put")}
        rank = Rank(tmp_path, settings=settings)
        await rank.attach(registry)
        save(rank, "a.txt")
        for number in range(500):
            rank.log({"n": number})
        await rank.finish()
        await until(lambda: "r1" in server.complete)
    assert seen["graphql"]["x-team"] == seen["file_stream"]["x-team"] == "vision"
    assert "x-team" not in seen["put"]  # a signed address has an authority of its own
    assert len(server.rows("r1")) == 500


async def test_what_is_asked_of_an_earlier_run_goes_the_way_of_the_run(tmp_path: Path) -> None:
    seen: list[str | None] = []

    async def note(request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
        seen.append(request.headers.get("x-team"))
        return await answer()

    request = run_pb2.ContinueRunRequest(
        run=common_pb2.RunRef(run_id="r1", project="p"),
        mode=run_pb2.MODE_ONLINE,
        resume="never",
        timeout_s=120,
        settings_json=b'{"x_extra_http_headers": {"X-Team": "vision"}}',
    )
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        server.faults = {"graphql": note}
        assert await registry.earlier_run(continue_options(request)) is None
    assert "vision" in seen
    request.settings_json = b"[1]"
    with pytest.raises(InvalidRequest, match="settings_json must be a JSON object"):
        continue_options(request)


async def test_ignored_files_stay_here(tmp_path: Path) -> None:
    settings = {"ignore_globs": ["*.ckpt", "media/*", "config.yaml"]}
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path, settings=settings)
        await rank.attach(registry)
        for name in ("a.ckpt", "deep/a.ckpt", "media/x.png", "media/images/x.png", "b.txt"):
            save(rank, name)
        await rank.finish()
        await until(lambda: "r1" in server.complete)
        names = {name.removeprefix("r1/") for name in server.files}
    assert {"deep/a.ckpt", "media/images/x.png", "b.txt"} <= names
    assert not names & {"a.ckpt", "media/x.png", "config.yaml"}


async def test_a_run_with_a_short_timeout_asks_again_sooner(tmp_path: Path) -> None:
    settings = {"x_file_stream_timeout_seconds": 0.2, "x_file_stream_retry_wait_max_seconds": 0.1}
    slow = {"file_stream_timeout_s": 240.0, "retry_min_s": 100.0, "retry_max_s": 200.0}
    async with (
        fake_server() as server,
        running_registry(tmp_path, server.base_url, upstream=slow) as registry,
    ):
        server.faults["file_stream"] = fake.hang
        rank = Rank(tmp_path, settings=settings)
        await rank.attach(registry)
        rank.log({"n": 1})
        rank.send()
        began_s = time.monotonic()
        await until(lambda: server.requests.get("file_stream", 0) >= 3)
        assert time.monotonic() - began_s < 200  # the first alone would take 240 s otherwise
        del server.faults["file_stream"]
        server.closing.set()
        await rank.finish()
        await until(lambda: "r1" in server.complete)


@contextlib.asynccontextmanager
async def forward_proxy(port: int, asked: list[str]) -> AsyncGenerator[str]:
    """A proxy that takes every address for the server at a port of this machine."""
    tasks: set[asyncio.Task[None]] = set()

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target, version = (await reader.readline()).decode().split()
        asked.append(target)
        back, on = await asyncio.open_connection("127.0.0.1", port)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        # One request a connection: the next one has to come through here again.
        on.write(
            f"{method} {urlsplit(target).path} {version}\r\nConnection: close\r\n{head}".encode()
        )
        tasks.update({asyncio.ensure_future(copy(reader, on))})  # noqa: TID251
        await copy(back, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()


@pytest.mark.parametrize("name", ["http_proxy", "x_proxies"])
async def test_a_run_goes_through_its_proxy(tmp_path: Path, name: str) -> None:
    asked: list[str] = []
    async with fake_server() as server:
        port = urlsplit(server.base_url).port
        assert port is not None
        async with forward_proxy(port, asked) as proxy:
            value = proxy if name == "http_proxy" else {"http": proxy}
            address = "http://tracking.invalid"
            async with running_registry(tmp_path, address) as registry:
                rank = Rank(tmp_path, settings={name: value})
                await rank.attach(registry)
                rank.log({"n": 1})
                await rank.finish()
                await until(lambda: "r1" in server.complete)
    assert {urlsplit(target).netloc for target in asked} == {"tracking.invalid"}
    assert [row["n"] for row in server.rows("r1")] == [1]


@pytest.mark.parametrize("proxy", ["nonsense", "ftp://user:secret@host", "http://host:port"])
async def test_a_proxy_that_is_none_holds_up_its_own_run_and_says_so(
    tmp_path: Path, proxy: str
) -> None:
    async with running_registry(tmp_path, "http://tracking.invalid") as registry:
        rank = Rank(tmp_path, settings={"http_proxy": proxy})
        await rank.attach(registry)
        rank.log({"n": 1})
        await rank.finish()
        await until(lambda: bool(registry.status(RunRef("r1")).upload_problem))
        problem = registry.status(RunRef("r1")).upload_problem
        assert "proxy" in problem or "port" in problem
        assert "secret" not in problem
        [run] = registry._runs.values()  # pyright: ignore[reportPrivateUsage]
        assert all(uplink.is_running for uplink in run.uplinks)


class _Telling:
    """Answers the question for features, and counts how often it was asked."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.asked = 0
        self._body = body

    async def __call__(
        self, request: Request, answer: Callable[[], Awaitable[Response]]
    ) -> Response:
        if json.loads(await request.body())["operationName"] != "ServerFeaturesQuery":
            return await answer()
        self.asked += 1
        return JSONResponse(self._body)


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"serverInfo": {"features": 5}}},
        {"data": {"serverInfo": {"features": [{"name": "X", "isEnabled": None}]}}},
        {"data": {"serverInfo": []}},
        {"errors": [{"message": 'Cannot query field "features" on type "ServerInfo".'}]},
    ],
    ids=["number", "null", "list", "unknown"],
)
async def test_a_server_that_does_not_tell_its_features_has_none_and_is_asked_once(
    tmp_path: Path, body: dict[str, Any]
) -> None:
    telling = _Telling(body)
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        server.faults["graphql"] = telling
        rank = Rank(tmp_path)
        writer = await rank.attach(registry)
        for step in (5, 3, 6, 4, 7):
            rank.log({"n": step}, step=step)
            rank.send()
            await until(lambda: writer.uploaded_seq == rank.last_seq)
        await rank.finish()
        await until(lambda: "r1" in server.complete)
    assert [row["n"] for row in server.rows("r1")] == [5, 6, 7]
    assert telling.asked == 1


@pytest.mark.parametrize("paths", [5, "/data", [], None, [1, "/"]], ids=str)
async def test_odd_disks_to_watch_disturb_no_row(tmp_path: Path, paths: object) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path, settings={"x_stats_disk_paths": paths})
        await rank.attach(registry)
        rank.log({"n": 1})
        await rank.finish()
        await until(lambda: "r1" in server.complete)
