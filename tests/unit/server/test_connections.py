"""Connections that send slowly or nothing: they go, the others are served."""

from __future__ import annotations

import resource
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from trackd_server.app import connections

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from anyio.abc import SocketStream
    from starlette.requests import Request

HEAD_TIMEOUT_S = 0.3


async def answer(request: Request) -> PlainTextResponse:
    await anyio.sleep(float(request.query_params.get("sleep_s", "0")))
    return PlainTextResponse(str(len(await request.body())))


left_off: list[bool] = []


async def endless(request: Request) -> StreamingResponse:
    del request

    async def pieces() -> AsyncGenerator[bytes]:
        try:
            while True:
                await anyio.sleep(0)
                yield b"x" * 100_000
        finally:
            left_off.append(True)

    return StreamingResponse(pieces())


@asynccontextmanager
async def listening(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[int]:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", HEAD_TIMEOUT_S)
    app = Starlette(
        routes=[Route("/", answer, methods=["GET", "POST"]), Route("/endless", endless)]
    )
    config = uvicorn.Config(
        app, http=connections.BoundedConnection, ws="none", lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            yield listener.getsockname()[1]
            server.should_exit = True


async def closed_after_s(port: int, *pieces: bytes, pause_s: float = 0.05) -> float:
    """Send pieces with pauses; return after how long the server closed the connection."""
    started_s = anyio.current_time()
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        with anyio.fail_after(120):
            try:
                for piece in pieces:
                    await stream.send(piece)
                    await anyio.sleep(pause_s)
                while await stream.receive():
                    pass
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass
    return anyio.current_time() - started_s


@pytest.mark.parametrize(
    "pieces",
    [(), (b"GET / HT",), (b"GET / HTTP/1.1\r\n", *(b"x: y\r\n" for _ in range(100)))],
    ids=["silent", "half", "drop by drop"],
)
async def test_a_head_that_does_not_end_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch, pieces: tuple[bytes, ...]
) -> None:
    async with listening(monkeypatch) as port:
        assert await closed_after_s(port, *pieces) >= HEAD_TIMEOUT_S * 0.9


async def test_slow_bodies_slow_answers_and_pauses_between_requests_are_no_slow_heads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def slowly() -> AsyncGenerator[bytes]:
        for _ in range(4):
            await anyio.sleep(HEAD_TIMEOUT_S / 2)
            yield b"1234"

    async with (
        listening(monkeypatch) as port,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False
        ) as client,
    ):

        async def answered(ask: Callable[[], Awaitable[httpx.Response]]) -> str:
            """Return the answer; ask again where this machine was too slow to send the head."""
            while True:
                began_s = anyio.current_time()
                try:
                    return (await ask()).text
                except httpx.TransportError:
                    late_s.append(anyio.current_time() - began_s)
                    assert len(late_s) < 20, late_s

        late_s: list[float] = []
        assert await answered(lambda: client.post("/", content=slowly())) == "16"
        slow = {"sleep_s": HEAD_TIMEOUT_S * 2}
        assert await answered(lambda: client.get("/", params=slow)) == "0"
        await anyio.sleep(HEAD_TIMEOUT_S * 2)
        assert await answered(lambda: client.get("/")) == "0"


async def test_a_reader_that_stands_still_is_left_and_a_slow_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "STANDSTILL_S", HEAD_TIMEOUT_S)

    async def longest_gap_s(stream: SocketStream) -> float:
        """Read slowly until the server leaves, or for long enough; return the longest pause."""
        read_s, slow_until_s = anyio.current_time(), anyio.current_time() + HEAD_TIMEOUT_S * 4
        longest_s = 0.0
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while read_s < slow_until_s and not left_off:
                for _ in range(100):
                    await stream.receive(65_536)
                    read_s, before_s = anyio.current_time(), read_s
                    longest_s = max(longest_s, read_s - before_s)
                await anyio.sleep(HEAD_TIMEOUT_S / 4)
        return longest_s

    async with listening(monkeypatch) as port:
        for _ in range(20):
            left_off.clear()
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                await stream.send(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
                gap_s = await longest_gap_s(stream)
                if not left_off:
                    with anyio.fail_after(120):
                        while not left_off:
                            await anyio.sleep(0.05)
                    return
                assert gap_s > HEAD_TIMEOUT_S / 2, "it was read all the time"
        pytest.fail("this machine stands still all the time")


def get(port: int) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}/", timeout=120, trust_env=False)


async def test_more_connections_than_the_limit_are_turned_away_until_some_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)
    async with listening(monkeypatch) as port:
        monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 1000.0)
        held = [await anyio.connect_tcp("127.0.0.1", port) for _ in range(2)]  # taken in order
        with pytest.raises(httpx.TransportError):
            await anyio.to_thread.run_sync(get, port)
        for each in held:
            await each.aclose()
        with anyio.fail_after(120):
            while True:
                with suppress(httpx.TransportError):  # the server has not heard of it yet
                    assert (await anyio.to_thread.run_sync(get, port)).status_code == 200
                    break


def test_the_process_may_open_as_many_files_as_its_user_may() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        connections.allow_many_files()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert hard == before[1] and soft > 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
