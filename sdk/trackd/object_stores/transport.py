"""HTTP for reading: connections that are kept, bounded retries, proxies, redirects.

One transport is shared by all threads of one job and closed at its end. Answers are read as
streams; a connection goes back to the idle ones only after its answer was read to the end.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import random
import socket
import ssl
import threading
import time
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, NamedTuple, cast

from trackd.object_stores.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from typing import Self

#: Of one read or write of a socket.
_TIMEOUT_S = 60.0
MAX_ATTEMPTS = 5
_FIRST_WAIT_S = 0.2
_MAX_WAIT_S = 10.0
_MAX_REDIRECTS = 10
_MAX_IDLE = 32
_PIECE_BYTES = 1024 * 1024
#: Of an answer that is read as a whole: a page of a list, a description, an error.
_MAX_TEXT_BYTES = 64 * 1024 * 1024
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FAULTS = (OSError, http.client.HTTPException)


class Request(NamedTuple):
    """What is asked."""

    url: str
    headers: Mapping[str, str] = {}
    method: str = "GET"


class Answer:
    """What a server said: its head, and the body as a stream."""

    def __init__(self, response: http.client.HTTPResponse, method: str) -> None:
        self.status = response.status
        self.headers = cast("Mapping[str, str]", response.headers)  # names in any case
        self._response = response
        length = response.headers.get("Content-Length", "")
        self._expected = int(length) if length.isdecimal() and method != "HEAD" else None

    @property
    def is_read(self) -> bool:
        """True when the body was read to its end."""
        return self._response.isclosed()

    def pieces(self) -> Iterator[bytes]:
        """Yield the body.

        Raises:
            OSError: it ended too early.
        """
        count = 0
        while piece := self._response.read(_PIECE_BYTES):
            count += len(piece)
            yield piece
        # http.client takes the end of a connection for the end of a body.
        if self._expected is not None and count < self._expected:
            raise ConnectionError(f"the answer ended after {count} of {self._expected} bytes")

    def content(self) -> bytes:
        """Return the body, at most 64 MiB.

        Raises:
            StoreError: it is longer.
            OSError: it ended too early.
        """
        body = bytearray()
        for piece in self.pieces():
            body += piece
            if len(body) > _MAX_TEXT_BYTES:
                raise StoreError(f"an answer has more than {_MAX_TEXT_BYTES} bytes: refused")
        return bytes(body)


class Transport:
    """Connections to any number of servers; a context manager."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, str], list[http.client.HTTPConnection]] = {}
        self._busy: set[http.client.HTTPConnection] = set()
        self._is_closed = False
        self._lock = threading.Lock()
        self._tls: ssl.SSLContext | None = None
        self._proxies = urllib.request.getproxies()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; who waits for an answer gets an error at once."""
        with self._lock:
            self._is_closed = True
            connections = [each for pool in self._idle.values() for each in pool]
            self._idle.clear()
            busy = [each.sock for each in self._busy]
        for connection in connections:
            connection.close()
        for line in busy:
            with contextlib.suppress(OSError, AttributeError):  # not connected yet, or just closed
                line.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def ask(
        self, request: Request, sign: Callable[[Request], Request] | None = None
    ) -> Generator[Answer]:
        """Ask, again where the server is busy or the line is cut, and give the answer.

        Args:
            request: what to ask.
            sign: adds what tells who asks; called for each attempt, since signatures age.

        Raises:
            StoreError: there is no answer.
        """
        for attempt in range(MAX_ATTEMPTS):
            is_last = attempt == MAX_ATTEMPTS - 1
            if self._is_closed:
                raise StoreError(f"{_without_query(request.url)} is not asked any more: given up")
            signed = sign(request) if sign else request
            try:
                connection, answer = self._once(signed, fresh=attempt > 0)
            except _FAULTS as error:
                if is_last:
                    raise StoreError(
                        f"{_without_query(request.url)} does not answer: {error}; tried "
                        f"{MAX_ATTEMPTS} times"
                    ) from error
                time.sleep(_wait_s(attempt))
                continue
            if answer.status in _RETRIED and not is_last:
                self._drop(connection)
                time.sleep(_wait_s(attempt, answer.headers.get("Retry-After", "")))
                continue
            with self._lending(request.url, connection, answer):
                yield answer
            return

    @contextlib.contextmanager
    def follow(
        self, request: Request, sign: Callable[[Request], Request] | None = None
    ) -> Generator[Answer]:
        """As `ask`, going on where the server says; who asks is told to the first
        server alone, and not without its encryption.

        Raises:
            StoreError: there is no answer, or too many redirects.
        """
        first = _origin(urllib.parse.urlsplit(request.url))
        for _ in range(_MAX_REDIRECTS):
            is_same = _origin(urllib.parse.urlsplit(request.url)) == first
            with self.ask(request, sign if is_same else None) as answer:
                target = answer.headers.get("Location")
                if answer.status not in _REDIRECTS or not target:
                    yield answer
                    return
            url = urllib.parse.urljoin(request.url, target)
            if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
                raise StoreError(f"{_without_query(request.url)} leads to {url!r}: refused")
            request = request._replace(url=url)
        raise StoreError(f"{_without_query(request.url)}: more than {_MAX_REDIRECTS} redirects")

    # --- inside ------------------------------------------------------------------------------

    def _once(self, request: Request, *, fresh: bool) -> tuple[http.client.HTTPConnection, Answer]:
        parts = urllib.parse.urlsplit(request.url)
        connection = (None if fresh else self._taken(parts)) or self._connected(parts)
        with self._lock:
            self._busy.add(connection)
        target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        headers = {"User-Agent": "trackd", "Accept-Encoding": "identity", **request.headers}
        if parts.scheme == "http" and (proxy := self._proxy(parts)):
            target = f"http://{parts.netloc}{target}"
            headers |= _proxy_headers(proxy)
        try:
            self._connect(connection)
            connection.request(request.method, target, headers=headers)
            return connection, Answer(connection.getresponse(), request.method)
        except BaseException:
            self._drop(connection)
            raise

    def _connect(self, connection: http.client.HTTPConnection) -> None:
        if connection.sock is None:
            connection.connect()
        if self._is_closed:  # `close` may have looked before there was a line
            raise ConnectionError("given up")

    @contextlib.contextmanager
    def _lending(
        self, url: str, connection: http.client.HTTPConnection, answer: Answer
    ) -> Generator[None]:
        try:
            yield
        except BaseException:
            self._drop(connection)
            raise
        key = _origin(urllib.parse.urlsplit(url))
        with self._lock:
            pool = self._idle.setdefault(key, [])
            is_fit = answer.is_read and connection.sock and len(pool) < _MAX_IDLE
            if is_fit and not self._is_closed:
                self._busy.discard(connection)
                pool.append(connection)
                return
        self._drop(connection)

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._busy.discard(connection)
        connection.close()

    def _taken(self, parts: urllib.parse.SplitResult) -> http.client.HTTPConnection | None:
        with self._lock:
            pool = self._idle.get(_origin(parts))
            return pool.pop() if pool else None

    def _connected(self, parts: urllib.parse.SplitResult) -> http.client.HTTPConnection:
        host, port = parts.hostname or "", parts.port
        proxy = self._proxy(parts)
        if parts.scheme != "https":
            at = (proxy.hostname, proxy.port or 80) if proxy else (host, port)
            return http.client.HTTPConnection(at[0] or "", at[1], timeout=_TIMEOUT_S)
        context = self._tls = self._tls or ssl.create_default_context(cafile=_ca_file())
        if proxy is None:
            return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)
        connection = http.client.HTTPSConnection(
            proxy.hostname or "", proxy.port or 80, timeout=_TIMEOUT_S, context=context
        )
        connection.set_tunnel(host, port or 443, _proxy_headers(proxy))
        return connection

    def _proxy(self, parts: urllib.parse.SplitResult) -> urllib.parse.SplitResult | None:
        address = self._proxies.get(parts.scheme) or self._proxies.get("all")
        if not address or urllib.request.proxy_bypass(parts.hostname or ""):
            return None
        return urllib.parse.urlsplit(address if "://" in address else f"http://{address}")


def basic(user: str, password: str) -> str:
    """Return the value of an `Authorization` header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def resumable(error: BaseException) -> bool:
    """Tell whether an error cut a body short, so that the rest can be asked for."""
    return isinstance(error, (ConnectionError, socket.timeout, http.client.HTTPException))


def _origin(parts: urllib.parse.SplitResult) -> tuple[str, str]:
    return parts.scheme, parts.netloc


def _without_query(url: str) -> str:
    """Leave out what may hold a signature."""
    return url.partition("?")[0]


def _wait_s(attempt: int, told: str = "") -> float:
    if told.isdecimal():
        return min(float(told), _MAX_WAIT_S)
    return min(_FIRST_WAIT_S * 2**attempt, _MAX_WAIT_S) * random.uniform(0.5, 1)  # noqa: S311


def _proxy_headers(proxy: urllib.parse.SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    user = urllib.parse.unquote(proxy.username)
    return {"Proxy-Authorization": basic(user, urllib.parse.unquote(proxy.password or ""))}


def _ca_file() -> str | None:
    """Return the certificates that tools for object stores are told to trust."""
    names = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
    return next((path for name in names if (path := os.environ.get(name))), None)
