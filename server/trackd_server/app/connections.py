"""Connections, bounded: a client that does not finish its request's head, or take its answer, goes.

Uvicorn closes idle connections only after a first answer. Without a limit before that, anybody on
the machine could hold any number of connections open with a byte now and then. A reader that
stands still holds a snapshot of the database, whose log grows as long as that lasts.
"""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import TYPE_CHECKING

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

#: From the first byte (or the connection) to the end of the request's head.
HEAD_TIMEOUT_S = 20.0
#: How long a client may take nothing of an answer that waits for it.
STANDSTILL_S = 60.0
#: Connections at once; more are closed as they come.
MAX_CONNECTIONS = 4_096
#: Files of the database and the blobs, beside the connections.
_OTHER_FILES = 1_024


class BoundedConnection(H11Protocol):
    """One HTTP connection, with a deadline for each request's head and for standstills."""

    _head_timer: asyncio.TimerHandle | None = None
    _standstill_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Start the deadline of the first request, or turn the client away."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that is whole needs no deadline any more."""
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines."""
        self._stop_head_timer()
        self._stop_standstill_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Start the deadline of a client that takes nothing."""
        super().pause_writing()
        self._stop_standstill_timer()
        self._standstill_timer = self.loop.call_later(STANDSTILL_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The client took some."""
        self._stop_standstill_timer()
        super().resume_writing()

    def _watch_head(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop_head_timer()
        elif self._head_timer is None and self.timeout_keep_alive_task is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.abort)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_standstill_timer(self) -> None:
        if self._standstill_timer is not None:
            self._standstill_timer.cancel()
            self._standstill_timer = None


def allow_many_files() -> None:
    """Let the process open as many files as that many connections need, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + _OTHER_FILES
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):  # it only means fewer connections
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
