"""The listener in front of gRPC: judges who connects, bounds how many, and joins the two ends.

grpcio shows no peer uid and serves no inherited socket; both are done here. A connection gets
through when its user is allowed, the limits leave room, and the HTTP/2 preface arrives in time;
one that begins like a request of HTTP/1.1 is answered with `/metrics`.
From then on bytes are copied both ways; a full buffer on one side stops reading on the other,
so that a connection holds at most one buffer each way.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import secrets
import socket
from collections import Counter
from typing import TYPE_CHECKING, Self, cast

import anyio
import structlog

from trackd_agent.rpc.callers import abstract_name, peer_of
from trackd_agent.rpc.metrics.page import METHODS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from anyio.abc import TaskGroup

    from trackd_agent.rpc.config import RpcConfig
    from trackd_agent.rpc.metrics.page import MetricsPage
    from trackd_agent.runs.options import Caller

log = structlog.get_logger()

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_BUFFER_BYTES = 512 * 1024
_PROBE = "probe"
_ACCEPT_PAUSE_S = 0.1
_NAME_TRIES = 16
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Refused(Exception):
    """A connection that is not let in; the message says why."""


class _Pipe(asyncio.Protocol):
    """One end of a joined connection: what arrives goes out at the other end."""

    def __init__(self, doorman: Doorman, caller: Caller) -> None:
        self.other: _Pipe | None = None
        self.transport: asyncio.Transport | None = None
        self._doorman = doorman
        self._caller = caller
        self._early: list[bytes] = []

    def join(self, other: _Pipe) -> None:
        """Let bytes go to the other end from now on, those that came too early first."""
        self.other = other
        assert self.transport is not None
        assert other.transport is not None
        other.transport.writelines(self._early)
        self._early.clear()
        self.transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        other = self.other
        if other is not None and other.transport is not None:
            other.transport.write(data)
        else:  # the other end is not there yet
            self._early.append(data)
            if self.transport is not None:
                self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Close both ends: gRPC never half-closes a connection."""
        return False

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        other = self.other
        if other is not None and other.transport is not None and not other.transport.is_closing():
            other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        other, self.other = self.other, None
        if other is not None and other.transport is not None:
            other.other = None
            other.transport.close()  # what is buffered there still goes out
            self._doorman.forget(self, other, self._caller)


class Doorman:
    """Async context manager that serves a listening socket.

    Args:
        listener: the public socket, listening; closed on leaving.
        private_path: grpcio's socket.
        config: limits.
        page: what requests of HTTP/1.1 get.
    """

    def __init__(
        self,
        listener: socket.socket,
        private_path: Path,
        config: RpcConfig,
        page: MetricsPage | None = None,
    ) -> None:
        self._page = page
        self.refused: Counter[str] = Counter()
        self._listener = listener
        self._private_path = str(private_path)
        self._config = config
        self._allowed = {0, os.getuid(), *config.allowed_uids}
        self._per_uid: Counter[int] = Counter()
        self._pipes: set[_Pipe] = set()
        self._names = itertools.count()
        self._nonce = secrets.token_hex(4)
        self._tasks: TaskGroup | None = None

    @property
    def connections(self) -> int:
        """Connections that are open or in their handshake."""
        return sum(self._per_uid.values())

    async def __aenter__(self) -> Self:
        self._listener.setblocking(False)
        self._tasks = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        assert self._tasks is not None
        self._tasks.cancel_scope.cancel()
        done = await self._tasks.__aexit__(kind, error, trace)
        self._listener.close()
        for pipe in list(self._pipes):
            if pipe.transport is not None:
                pipe.transport.abort()
        return done

    def start_accepting(self) -> None:
        """Let people in; those who came earlier wait in the socket's queue."""
        assert self._tasks is not None
        self._tasks.start_soon(self._accept, name="doorman")

    def stop_accepting(self) -> None:
        """Let nobody in any more; open connections go on."""
        assert self._tasks is not None
        self._tasks.cancel_scope.cancel()
        self._listener.close()

    def forget(self, pipe: _Pipe, other: _Pipe, caller: Caller) -> None:
        """A joined connection has ended."""
        self._pipes -= {pipe, other}
        self._leave(caller)

    def _leave(self, caller: Caller) -> None:
        self._per_uid[caller.uid] -= 1
        if not self._per_uid[caller.uid]:
            del self._per_uid[caller.uid]

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        assert self._tasks is not None
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError as error:
                if error.errno in _NO_DESCRIPTORS:
                    log.warning("accept_failed", problem=str(error))
                    await anyio.sleep(_ACCEPT_PAUSE_S)
                continue
            connection.setblocking(False)
            self._tasks.start_soon(self._receive, connection)

    async def _receive(self, connection: socket.socket) -> None:
        """Let one connection in, or close it; nothing that it does gets further than here."""
        caller: Caller | None = None
        joined = False
        try:
            caller = self._judge(connection)
            with anyio.fail_after(self._config.handshake_timeout_s):
                begun = await _expect_preface(connection, METHODS if self._page else ())
                if begun and self._page is not None:
                    await self._page.serve(connection, begun)
                else:
                    await self._join(connection, caller)
                    joined = True
        except TimeoutError:
            self._refuse("handshake_timeout", caller)
        except Refused as refusal:
            self._refuse(str(refusal), caller)
        except OSError as error:
            self._refuse("connection_failed", caller, problem=str(error))
        finally:
            if not joined:
                connection.close()
                if caller is not None:
                    self._leave(caller)

    def _judge(self, connection: socket.socket) -> Caller:
        """Return who connects, counted in, or refuse."""
        caller = peer_of(connection)
        if caller.uid not in self._allowed:
            raise Refused("user_not_allowed")
        if self.connections >= self._config.max_connections:
            raise Refused("too_many_connections")
        if self._per_uid[caller.uid] >= self._config.max_connections_per_uid:
            raise Refused("too_many_connections_of_user")
        self._per_uid[caller.uid] += 1
        return caller

    async def _join(self, connection: socket.socket, caller: Caller) -> None:
        loop = asyncio.get_running_loop()
        inner = self._name_socket(caller)
        try:
            await loop.sock_connect(inner, self._private_path)
            await loop.sock_sendall(inner, PREFACE)
            _, near = await loop.create_unix_connection(lambda: _Pipe(self, caller), sock=inner)
        except BaseException:
            inner.close()
            raise
        try:
            _, far = await loop.create_unix_connection(lambda: _Pipe(self, caller), sock=connection)
        except BaseException:
            assert near.transport is not None
            near.transport.abort()
            raise
        assert near.transport is not None
        assert far.transport is not None
        if near.transport.is_closing() or far.transport.is_closing():
            near.transport.abort()
            far.transport.abort()
            raise Refused("connection_failed")
        self._pipes |= {near, far}
        near.join(far)
        far.join(near)

    def _name_socket(self, caller: Caller) -> socket.socket:
        """Return a socket whose name tells gRPC's handlers who the caller is."""
        inner = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        inner.setblocking(False)
        for _ in range(_NAME_TRIES):
            try:
                inner.bind(abstract_name(caller, f"{self._nonce}{next(self._names):x}"))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    inner.close()
                    raise
            else:
                return inner
        inner.close()
        raise Refused("no_free_name")

    def _refuse(self, reason: str, caller: Caller | None, problem: str = "") -> None:
        if reason == _PROBE:
            return
        self.refused[reason] += 1
        count = self.refused[reason]
        if count & (count - 1) == 0:  # 1, 2, 4, …: a flood of refusals is no flood of log lines
            log.warning(
                "connection_refused",
                reason=reason,
                count=count,
                uid=caller.uid if caller else None,
                pid=caller.pid if caller else None,
                problem=problem,
            )


async def _expect_preface(connection: socket.socket, others: Sequence[bytes]) -> bytes:
    """Read exactly the HTTP/2 preface, or return what begins like one of some others.

    Anything else is refused at its first wrong byte.
    """
    loop = asyncio.get_running_loop()
    seen = b""
    while len(seen) < len(PREFACE):
        piece = await loop.sock_recv(connection, len(PREFACE) - len(seen))
        seen += piece
        if not piece:
            # A probe (is somebody listening?) connects and leaves: nothing to complain about.
            raise Refused("closed_in_handshake" if seen else _PROBE)
        if seen.startswith(tuple(others)):
            return seen
        if not any(known.startswith(seen) for known in (PREFACE, *others)):
            raise Refused("not_http2")
    return b""
