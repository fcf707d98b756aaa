"""A time by which everything of an HTTP exchange is over, however its bytes come.

The timeouts of the client are for each single wait: a server that sends a byte of a header now and
then, or one interim answer (103) after the other, would keep a thread for ever.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable


class Deadline(threading.local):
    """When the exchange of this thread has to be over (`time.monotonic`); at first: never."""

    until_s = float("inf")

    def left_s(self, timeout_s: float | None, error: type[httpcore.TimeoutException]) -> float:
        """Return how long one wait may take.

        Raises:
            httpcore.TimeoutException: The time is over.
        """
        left_s = self.until_s - time.monotonic()
        if left_s <= 0:
            raise error("the time for the whole exchange is over")
        return left_s if timeout_s is None else min(left_s, timeout_s)


class DeadlineTransport(httpx.HTTPTransport):
    """The connections of a client; no wait on them goes beyond the deadline of its thread."""

    def __init__(
        self, deadline: Deadline, idle_s: float, verify: ssl.SSLContext | None = None
    ) -> None:
        """Prepare; connections are kept for `idle_s`, `verify` checks certificates."""
        super().__init__(verify=verify or False, trust_env=False)
        # The one thing that httpx lets nobody choose; the pool is httpcore's public one.
        self._pool = httpcore.ConnectionPool(
            ssl_context=verify,
            max_connections=None,
            max_keepalive_connections=None,
            keepalive_expiry=idle_s,
            network_backend=_Backend(deadline),
        )


class _Backend(httpcore.SyncBackend):
    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left_s = self._deadline.left_s(timeout, httpcore.ConnectTimeout)
        stream = super().connect_tcp(host, port, left_s, local_address, socket_options)
        return _Stream(stream, self._deadline)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left_s = self._deadline.left_s(timeout, httpcore.ReadTimeout)
        return self._stream.read(max_bytes, left_s)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left_s(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left_s = self._deadline.left_s(timeout, httpcore.ConnectTimeout)
        stream = self._stream.start_tls(ssl_context, server_hostname, left_s)
        return _Stream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
