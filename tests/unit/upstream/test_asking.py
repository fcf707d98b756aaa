"""What people are told of a server that does not answer."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.abc import SocketAttribute

from trackd_agent.core.errors import NotAllowed, UpstreamUnavailable
from trackd_agent.upstream import (
    Credentials,
    Manner,
    RequestFailed,
    UpstreamConfig,
    UpstreamPool,
    ask,
)

if TYPE_CHECKING:
    from pathlib import Path

    from anyio.abc import SocketStream


class NeverStarts:
    """A server of ours that ends whenever it is started."""

    problem = "the server ended with status 1: see server.log"

    async def resolve(self) -> tuple[str, str]:
        await anyio.sleep_forever()
        raise AssertionError


async def test_a_server_of_ours_that_does_not_start_is_told_with_its_reason(
    tmp_path: Path,
) -> None:
    pool = UpstreamPool(UpstreamConfig(), Credentials(tmp_path / "c.json"), NeverStarts())
    async with pool:
        upstream = pool.get("")

        async def question() -> bytes:
            return await upstream.call("GET", "/x", b"", 0, Manner())

        with pytest.raises(UpstreamUnavailable, match=r"within 0\.1 s: the server ended with stat"):
            await ask(upstream, Manner(), 0.1, question)
        (state,) = pool.status()
        assert (state.state, state.problem) == ("unreachable", NeverStarts.problem)


async def test_a_server_that_refuses_a_request_is_no_less_ready(tmp_path: Path) -> None:
    statuses = iter((404, 200, 404, 503))
    states: list[str] = []

    async def answer(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            body = b"[]"
            head = f"HTTP/1.1 {next(statuses)} x\r\nContent-Length: {len(body)}\r\n"
            await stream.send(head.encode() + b"Connection: close\r\n\r\n" + body)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    pool = UpstreamPool(UpstreamConfig(), Credentials(tmp_path / "c.json"), NeverStarts())
    async with pool, listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer)
        upstream = pool.get(f"http://127.0.0.1:{port}")
        for _ in range(4):
            with suppress(RequestFailed):
                await upstream.call("GET", "/x", b"", 0, Manner())
            states.append(pool.status()[0].state)
        tasks.cancel_scope.cancel()
    assert states == ["unreachable", "ready", "ready", "unreachable"]


async def test_a_refusal_without_words_tells_who_refused_what(tmp_path: Path) -> None:
    async def answer(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            head = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
            await stream.send(head.encode() + b"no")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    address = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
    pool = UpstreamPool(UpstreamConfig(), Credentials(tmp_path / "c.json"), NeverStarts())
    async with pool, listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer)
        upstream = pool.get(address)

        async def question() -> bytes:
            return await upstream.call("GET", "/x", b"", 0, Manner())

        with pytest.raises(NotAllowed, match=f"^{address} refuses: x: HTTP 403 Forbidden "):
            await ask(upstream, Manner(), 40, question)
        tasks.cancel_scope.cancel()
