"""The doorman in front of a plain echo server: who gets in, how many, and what they carry."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

import anyio
from tests.support.runs import until

from trackd_agent.rpc.config import RpcConfig
from trackd_agent.rpc.doorman import PREFACE, Doorman

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


class Place:
    """A doorman, its public socket, and what its inner server saw."""

    def __init__(self, folder: Path) -> None:
        self.public = folder / "agent.sock"
        self.private = folder / "inner.sock"
        self.peers: list[str] = []
        self.echoes = 0
        self.doorman: Any = None

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self.public)


@contextlib.asynccontextmanager
async def guarded_echo(folder: Path, **config: Any) -> AsyncGenerator[Place]:
    place = Place(folder)
    sessions: list[asyncio.StreamWriter] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = writer.get_extra_info("peername")
        place.peers.append(name.decode() if isinstance(name, bytes) else str(name))
        sessions.append(writer)
        place.echoes += 1
        writer.write(b"hello ")  # as gRPC does: the server speaks at once
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()
        place.echoes -= 1

    inner = await asyncio.start_unix_server(echo, place.private)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(place.public))
    listener.listen(64)
    async with Doorman(listener, place.private, RpcConfig(**config)) as doorman:
        place.doorman = doorman
        doorman.start_accepting()
        yield place
    for writer in sessions:
        writer.close()
    inner.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            await inner.wait_closed()
    while place.echoes:
        await anyio.sleep(0.001)
    await anyio.sleep(0.05)


async def closed(reader: asyncio.StreamReader, timeout_s: float = 120) -> bool:
    with anyio.fail_after(timeout_s):
        try:
            return await reader.read() == b""
        except ConnectionError:
            return True


async def test_a_client_reaches_the_server_and_its_name_tells_uid_and_pid(tmp_path: Path) -> None:
    async with guarded_echo(tmp_path) as place:
        reader, writer = await place.connect()
        writer.write(PREFACE + b"and more")
        expected = b"hello " + PREFACE + b"and more"
        assert await reader.readexactly(len(expected)) == expected
        assert place.peers[0].lstrip("\0").startswith(f"trackd-{os.getuid()}-{os.getpid()}-")
        await until(lambda: place.doorman.connections == 1)
        writer.close()
        with anyio.fail_after(120):
            while place.doorman.connections:
                await anyio.sleep(0.01)


async def test_a_connection_is_counted_out_once_whoever_closes_it(tmp_path: Path) -> None:
    async with guarded_echo(tmp_path, max_connections_per_uid=3) as place:
        for _ in range(20):
            reader, writer = await place.connect()
            writer.write(PREFACE)
            await reader.readexactly(6 + len(PREFACE))
            writer.close()
            with anyio.fail_after(120):
                while place.doorman.connections:
                    assert place.doorman.connections > 0
                    await anyio.sleep(0.001)
        assert not place.doorman.refused


async def test_other_protocols_are_closed_at_their_first_wrong_byte(tmp_path: Path) -> None:
    async with guarded_echo(tmp_path) as place:
        for hostile in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 64, b"PRI * HTTP/1", os.urandom(4096)):
            reader, writer = await place.connect()
            writer.write(hostile)
            assert await closed(reader)
            writer.close()
        await until(lambda: place.doorman.refused["not_http2"] == 4)
        await until(lambda: place.doorman.connections == 0)
        assert not place.peers


async def test_half_a_preface_is_closed_after_the_deadline(tmp_path: Path) -> None:
    async with guarded_echo(tmp_path, handshake_timeout_s=0.2) as place:
        reader, writer = await place.connect()
        writer.write(PREFACE[:10])
        assert await closed(reader)
        await until(lambda: place.doorman.refused["handshake_timeout"] == 1)
        writer.close()


async def test_a_user_has_so_many_connections_and_no_more(tmp_path: Path) -> None:
    async with guarded_echo(tmp_path, max_connections_per_uid=2) as place:
        held = [await place.connect() for _ in range(2)]
        await anyio.sleep(0.05)
        reader, writer = await place.connect()
        assert await closed(reader)
        await until(lambda: place.doorman.refused["too_many_connections_of_user"] == 1)
        for _, each in [*held, (reader, writer)]:
            each.close()


async def test_a_probe_is_no_refusal(tmp_path: Path) -> None:
    async with guarded_echo(tmp_path) as place:
        _, probe = await place.connect()
        probe.close()
        reader, writer = await place.connect()  # comes in behind the probe
        writer.write(PREFACE)
        await reader.readexactly(6 + len(PREFACE))
        while place.doorman.connections > 1:
            await anyio.sleep(0.001)
        assert not place.doorman.refused
        writer.close()
        while place.doorman.connections:
            await anyio.sleep(0.001)


async def test_other_users_are_refused(tmp_path: Path) -> None:
    async with guarded_echo(tmp_path) as place:
        place.doorman._allowed = {0xFFFF}  # nobody whom this test could be
        reader, writer = await place.connect()
        writer.write(PREFACE)
        assert await closed(reader)
        await until(lambda: place.doorman.refused["user_not_allowed"] == 1)
        writer.close()


async def test_megabytes_arrive_unchanged_through_a_reader_that_is_slow(tmp_path: Path) -> None:
    payload = os.urandom(8 * 1024 * 1024)
    async with guarded_echo(tmp_path) as place:
        reader, writer = await place.connect()
        received = bytearray()

        async def read() -> None:
            while len(received) < 6 + len(PREFACE) + len(payload):
                received.extend(await reader.read(64 * 1024))
                await anyio.sleep(0.0005)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            writer.write(PREFACE + payload)
            await writer.drain()
        assert bytes(received[6 + len(PREFACE) :]) == payload
        writer.close()
