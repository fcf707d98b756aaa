"""Fetching what HTTP endpoints say: many at once, each bounded in time and size.

An endpoint that takes longer than a tick can wait is not given up: the exchange goes on in its
thread, for five seconds, and what came then is the answer of the next tick. That endpoint is not
waited for any more until it has been quick once, so that it slows down nobody else's samples.
There is at most one exchange at a time for each request: threads do not pile up.
"""

from __future__ import annotations

import ssl
import threading
import time
import zlib
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

import httpx

from trackd_agent.monitor.readers.http_deadline import Deadline, DeadlineTransport

if TYPE_CHECKING:
    from collections.abc import Iterable

#: How long an exchange may take, redirections included, before it is cut off.
EXCHANGE_S = 5.0
CONNECT_S = 2.0
#: Largest body that is read, after decompression.
MAX_BODY_BYTES = 16 * 1024**2
MAX_REDIRECTS = 5
#: Exchanges under way at a time, of all subjects together.
MAX_EXCHANGES = 128
_IDLE_S = 60.0
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
#: Compressed pieces of which one body may consist.
_MAX_MEMBERS = 1000
_ENCODINGS = ("gzip", "x-gzip", "deflate")

#: Text format 0.0.4 before OpenMetrics: only then are the keys those of the W&B client, for
#: exporters name counters differently and leave out gauges (`_created`) in OpenMetrics.
ACCEPT_TEXT = "text/plain; version=0.0.4; q=1, */*; q=0.1"
#: For servers that have nothing else, and say so.
ACCEPT_OPEN_METRICS = "application/openmetrics-text; version=1.0.0, */*; q=0.1"


class HttpError(Exception):
    """An endpoint gave no usable answer; the text says why, without secrets."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What is asked of whom; headers are secrets."""

    url: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    accept: str = ACCEPT_TEXT
    max_bytes: int = MAX_BODY_BYTES


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A body of status 2xx, decompressed."""

    content_type: str
    body: bytes
    is_framed: bool  # False: it ended with the connection, so that its end may be missing


class _Exchange:
    """One request under way in a thread of its own, and its outcome."""

    def __init__(
        self, late: HttpAnswer | HttpError | None = None, *, is_slow: bool = False
    ) -> None:
        self.done = threading.Event()
        self.outcome: HttpAnswer | HttpError = HttpError("no answer yet")
        self.is_read = False
        self.is_slow = is_slow  # it need not be waited for
        self.late = late  # what the exchange before gave after its tick

    def end(self, outcome: HttpAnswer | HttpError, *, is_slow: bool) -> None:
        self.outcome, self.is_slow = outcome, is_slow
        self.done.set()


class HttpReader:
    """Fetches bodies; connections are kept between ticks."""

    def __init__(self, wait_s: float, exchange_s: float = EXCHANGE_S) -> None:
        """Prepare; nothing is opened before the first request.

        Args:
            wait_s: How long `get_all` waits for the answers.
            exchange_s: How long one exchange may take.
        """
        self._wait_s = wait_s
        self._exchange_s = exchange_s
        self._exchanges: dict[HttpRequest, _Exchange] = {}
        self._lock = threading.Lock()
        self._deadline = Deadline()
        self._clients: dict[str, httpx.Client] = {}

    def get_all(
        self, requests: Iterable[HttpRequest], wait_s: float | None = None
    ) -> dict[HttpRequest, HttpAnswer | HttpError]:
        """Return what each endpoint says now, or said since it was asked the last time.

        Blocks until all have answered, and for the time to wait at most.
        """
        wait_s = self._wait_s if wait_s is None else wait_s
        exchanges = {request: self._begin(request) for request in set(requests)}
        until_s = time.monotonic() + wait_s
        answers: dict[HttpRequest, HttpAnswer | HttpError] = {}
        for request, exchange in exchanges.items():
            left_s = 0.0 if exchange.is_slow else max(0.0, until_s - time.monotonic())
            if exchange.done.wait(left_s):
                answers[request] = exchange.outcome
                self._let_go(request, exchange)
            else:
                exchange.is_slow = True
                late, exchange.late = exchange.late, None
                answers[request] = late or HttpError(
                    f"no answer within {wait_s:g} s; one within {self._exchange_s:g} s "
                    "counts for the next sample"
                )
        return answers

    def close(self) -> None:
        """Close connections; exchanges under way fail."""
        with self._lock:
            clients = list(self._clients.values())
            self._clients.clear()
        for client in clients:
            client.close()

    def _begin(self, request: HttpRequest) -> _Exchange:
        """Return the exchange under way, begun now if need be."""
        with self._lock:
            last = self._exchanges.pop(request, None)
            if last is not None and not last.done.is_set():
                self._exchanges[request] = last
                return last
            if last is None:
                exchange = _Exchange()
            else:
                late = None if last.is_read else last.outcome
                exchange = _Exchange(late, is_slow=last.is_slow)
            if not self._make_room():
                exchange.end(HttpError(f"more than {MAX_EXCHANGES} endpoints"), is_slow=False)
                return exchange
            self._exchanges[request] = exchange
        # A daemon: an endpoint that dribbles its headers must not hold up the end of the agent.
        thread = threading.Thread(
            target=self._run, args=(request, exchange), name="http-exchange", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # no thread to spare: it may be otherwise at the next tick
            exchange.end(HttpError(str(error)), is_slow=False)
        return exchange

    def _let_go(self, request: HttpRequest, exchange: _Exchange) -> None:
        """Keep of an exchange that was read only how quick it was: bodies are large."""
        rest = _Exchange(is_slow=exchange.is_slow)
        rest.is_read = True
        rest.done.set()
        with self._lock:
            if self._exchanges.get(request) is exchange:
                self._exchanges[request] = rest

    def _make_room(self) -> bool:
        """Forget the exchange that is over for the longest time; False: all are under way."""
        if len(self._exchanges) < MAX_EXCHANGES:
            return True
        over = next((key for key, each in self._exchanges.items() if each.done.is_set()), None)
        if over is None:
            return False
        del self._exchanges[over]
        return True

    def _run(self, request: HttpRequest, exchange: _Exchange) -> None:
        began_s = time.monotonic()
        outcome: HttpAnswer | HttpError
        try:
            outcome = self._get(request)
        except HttpError as error:
            outcome = error.with_traceback(None)  # which keeps what was read
        except Exception as error:  # noqa: BLE001 (seam: nobody else sees what ends this thread)
            outcome = HttpError(_reason(error, self._exchange_s))
        exchange.end(outcome, is_slow=time.monotonic() - began_s > self._wait_s)

    def _get(self, request: HttpRequest) -> HttpAnswer:
        self._deadline.until_s = time.monotonic() + self._exchange_s
        url, accept = _checked(request.url), request.accept
        origin = _origin(url)
        for _ in range(MAX_REDIRECTS + 1):
            headers = [("accept", accept), ("accept-encoding", "gzip")]
            if _origin(url) == origin:  # what authenticates us is for nobody else
                headers += request.headers
            with self._client(url.scheme).stream("GET", url, headers=headers) as response:
                if response.has_redirect_location:
                    url = _checked(str(url.join(response.headers["location"])))
                    continue
                status = response.status_code
                if status == HTTPStatus.NOT_ACCEPTABLE and accept == ACCEPT_TEXT:
                    accept = ACCEPT_OPEN_METRICS
                    continue
                if not response.is_success:
                    raise HttpError(f"HTTP status {status} {response.reason_phrase}".rstrip())
                return _read(response, request.max_bytes)
        raise HttpError(f"more than {MAX_REDIRECTS} redirections")

    def _client(self, scheme: str) -> httpx.Client:
        with self._lock:
            if scheme not in self._clients:
                # Proxies of the environment are for the way out; endpoints are on the way in.
                # Certificates are those of the system, or of SSL_CERT_FILE.
                verify = ssl.create_default_context() if scheme == "https" else None
                self._clients[scheme] = httpx.Client(
                    timeout=httpx.Timeout(self._exchange_s, connect=CONNECT_S),
                    transport=DeadlineTransport(self._deadline, _IDLE_S, verify),
                    trust_env=False,
                )
            return self._clients[scheme]


def _read(response: httpx.Response, max_bytes: int) -> HttpAnswer:
    """Read a body as it comes, and stop where it is too large."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", *_ENCODINGS):
        raise HttpError(f"the body is encoded as {encoding!r}, which was not asked for")
    inflater = _Inflater() if encoding in _ENCODINGS else None
    body = bytearray()
    for chunk in response.iter_raw():
        left = max_bytes + 1 - len(body)
        body += inflater.inflate(chunk, left) if inflater else chunk
        if len(body) > max_bytes:
            raise HttpError(f"the body is larger than {max_bytes // 1024**2} MiB")
    if inflater and not inflater.is_at_end and body:
        raise HttpError("the compressed body has no end")
    headers = response.headers
    return HttpAnswer(
        headers.get("content-type", ""),
        bytes(body),
        "content-length" in headers or "transfer-encoding" in headers,
    )


class _Inflater:
    """Decompresses a body, which may be several compressed ones in a row, as Prometheus reads it.

    zlib's own object would keep all that follows the first one, without a bound.
    """

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._members = 1

    @property
    def is_at_end(self) -> bool:
        """Whether the last one is complete."""
        return self._inflater.eof

    def inflate(self, chunk: bytes, max_bytes: int) -> bytes:
        """Return what follows, up to so many bytes."""
        body = bytearray()
        while chunk and len(body) < max_bytes:
            if self._inflater.eof:
                self._begin_next()
            body += self._inflater.decompress(chunk, max_bytes - len(body))
            chunk = self._inflater.unused_data
        return bytes(body)

    def _begin_next(self) -> None:
        self._members += 1
        if self._members > _MAX_MEMBERS:
            raise HttpError(f"the body consists of more than {_MAX_MEMBERS} compressed pieces")
        self._inflater = zlib.decompressobj(_GZIP_OR_ZLIB)


def _checked(text: str) -> httpx.URL:
    url = httpx.URL(text)
    if url.scheme not in ("http", "https") or not url.host:
        raise HttpError("the address does not begin with http:// or https:// and a host")
    return url


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _reason(error: Exception, exchange_s: float) -> str:
    """Return why an exchange failed, without what was sent."""
    if isinstance(error, httpx.TimeoutException):
        return f"no complete answer within {exchange_s:g} s"
    if isinstance(error, httpx.LocalProtocolError | UnicodeError):
        return "a header of x_stats_open_metrics_http_headers cannot be sent: check its characters"
    if isinstance(error, zlib.error):
        return "the body is not compressed as its header says"
    return f"{type(error).__name__}: {error}"


def shown(url: str) -> str:
    """Return an address as it may be shown: without user, password and query."""
    try:
        return str(httpx.URL(url).copy_with(username=None, password=None, query=None))
    except httpx.InvalidURL:
        return "an address that cannot be read"
