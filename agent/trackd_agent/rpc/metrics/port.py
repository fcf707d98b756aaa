"""`/metrics` on a port of the loopback, for a Prometheus that cannot read Unix sockets."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Self

import anyio
import structlog

if TYPE_CHECKING:
    from types import TracebackType

    from anyio.abc import TaskGroup

    from trackd_agent.rpc.metrics.page import MetricsPage

log = structlog.get_logger()

_HOST = "127.0.0.1"
#: Connections that are served at once; others wait in the socket's queue.
_MAX_CONNECTIONS = 16
#: Longest time of one request, from its connection to the last byte of the answer.
_REQUEST_S = 15.0
_ACCEPT_PAUSE_S = 0.1


class MetricsPort:
    """Async context manager that serves the page; a port that is taken is logged, no more.

    Args:
        page: what is served.
        port: on 127.0.0.1; 0: nothing is served.
    """

    def __init__(self, page: MetricsPage, port: int) -> None:
        self._page = page
        self._port = port
        self._listener: socket.socket | None = None
        self._tasks: TaskGroup | None = None

    @property
    def address(self) -> str:
        """Where it is served; empty: nowhere."""
        return f"http://{_HOST}:{self._port}/metrics" if self._listener is not None else ""

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        if self._port:
            try:
                self._listener = _listen(self._port)
            except OSError as error:
                log.warning("metrics_port_not_served", port=self._port, problem=str(error))
        if self._listener is not None:
            self._tasks.start_soon(self._accept, self._listener, name="metrics port")
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
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        return done

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        places = anyio.Semaphore(_MAX_CONNECTIONS)
        async with anyio.create_task_group() as tasks:
            while True:
                await places.acquire()
                try:
                    connection, _ = await loop.sock_accept(listener)
                except OSError as error:
                    log.warning("accept_failed", problem=str(error))
                    places.release()
                    await anyio.sleep(_ACCEPT_PAUSE_S)
                    continue
                tasks.start_soon(self._serve, connection, places)

    async def _serve(self, connection: socket.socket, places: anyio.Semaphore) -> None:
        """Answer one request; nothing that a client does gets further than here."""
        with connection:
            connection.setblocking(False)
            try:
                with anyio.move_on_after(_REQUEST_S):
                    await self._page.serve(connection)
            except OSError as error:
                log.debug("metrics_not_served", problem=str(error))
            finally:
                places.release()


def _listen(port: int) -> socket.socket:
    listener = socket.create_server((_HOST, port), backlog=_MAX_CONNECTIONS)
    listener.setblocking(False)
    return listener
