"""One server, one attempt at a time: every method either returns an acknowledgement or raises."""

from __future__ import annotations

import base64
import gzip
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote, urlsplit

import anyio.to_thread
import httpx
import msgspec

from trackd_agent.upstream.failures import (
    RequestFailed,
    RetryClass,
    parse_retry_after,
    retry_class_of,
    retry_class_of_errors,
)
from trackd_agent.upstream.http_client import HttpClient
from trackd_agent.upstream.manner import OWN_MANNER, Manner
from trackd_proto.wandb_http.operations import SERVER_FEATURES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping

    from trackd_agent.upstream.config import UpstreamConfig
    from trackd_agent.upstream.endpoint import Endpoint
    from trackd_proto.wandb_http.operations import Operation

S = TypeVar("S")

USER_AGENT = "trackd-agent"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_MAX_PROBLEM_CHARS = 300
_GZIP_LEVEL = 1


@dataclass(frozen=True, slots=True)
class RunPath:
    """Where a run lives on a server, by the server's own names."""

    entity: str
    project: str
    run: str

    @property
    def url_path(self) -> str:
        """The path in addresses, each part quoted."""
        return "/".join(quote(part, safe="") for part in (self.entity, self.project, self.run))


@dataclass(slots=True)
class Counters:
    """What happened on the way to one server since the agent started."""

    requests_ok: int = 0
    requests_failed: int = 0
    bytes_sent: int = 0


class _Feature(msgspec.Struct, rename="camel"):
    name: str
    is_enabled: bool = False


class _ServerInfo(msgspec.Struct):
    features: list[_Feature] = msgspec.field(default_factory=list[_Feature])


class Upstream:
    """Client of one server.

    The API key goes to addresses below the server's own base address only; addresses that a
    server hands out for files carry their own authority.
    """

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        config: UpstreamConfig,
        reload_credentials: Callable[[], Awaitable[None]],
    ) -> None:
        self.name = name
        self.config = config
        self.base_url = ""
        self.counters = Counters()
        self.problem = ""
        self.unauthorized = False
        self._features: frozenset[str] | None = None
        self._endpoint = endpoint
        self._reload_credentials = reload_credentials
        #: By whether the server is here, by proxy, whether certificates are checked, and by
        #: whether files travel.
        self._clients: dict[tuple[bool, str, bool, bool], httpx.AsyncClient] = {}

    @property
    def trouble(self) -> str:
        """What keeps requests from going there, for people; empty: nothing."""
        return self.problem or self._endpoint.problem

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine."""
        return _is_loopback(self.base_url)

    @property
    def interval_s(self) -> float:
        """Time between two file_stream requests of one writer."""
        return self.config.local_interval_s if self.is_local else self.config.remote_interval_s

    async def aclose(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    async def features(self, manner: Manner = OWN_MANNER) -> frozenset[str]:
        """Return the names of the switches that are on at the server; asked for once.

        A server that does not know the question, or answers another one, has none.

        Raises:
            RequestFailed: the server did not tell; the next call asks again.
        """
        if self._features is None:
            self._features = await self._ask_for_features(manner)
        return self._features

    async def _ask_for_features(self, manner: Manner) -> frozenset[str]:
        try:
            data = await self.graphql(SERVER_FEATURES, {}, None, manner)
            info = msgspec.convert(data.get("serverInfo") or {}, _ServerInfo)
        except RequestFailed as failure:
            is_told = failure.status in (HTTPStatus.OK, HTTPStatus.BAD_REQUEST)
            if failure.retry_class is not RetryClass.PARKED or not is_told:
                raise
            return frozenset()
        except msgspec.ValidationError:
            return frozenset()
        return frozenset(f.name for f in info.features if f.is_enabled)

    async def graphql(
        self,
        operation: Operation,
        variables: Mapping[str, object],
        headers: Mapping[str, str] | None = None,
        manner: Manner = OWN_MANNER,
    ) -> dict[str, Any]:
        """Run one operation and return its `data`.

        Raises:
            RequestFailed: it was not acknowledged.
        """
        body = msgspec.json.encode(
            {"query": operation.text, "variables": variables, "operationName": operation.name}
        )
        timeout_s = manner.timeout_s or self.config.graphql_timeout_s
        answer = await self._post_json("/graphql", body, headers or {}, timeout_s, manner)
        errors = answer.get("errors")
        data = answer.get("data")
        if errors or not isinstance(data, dict):
            raise await self._denied(operation.name, _error_text(answer) or "answer without data")
        self._note_success()
        return cast("dict[str, Any]", data)

    async def file_stream(
        self,
        path: RunPath,
        body: bytes,
        headers: Mapping[str, str],
        manner: Manner = OWN_MANNER,
    ) -> dict[str, Any]:
        """Send one file_stream request and return the server's answer.

        Raises:
            RequestFailed: it was not acknowledged.
        """
        sent = dict(headers)
        compress = self.config.gzip if manner.gzip is None else manner.gzip
        if compress and len(body) > 1024:
            body = await anyio.to_thread.run_sync(gzip.compress, body, _GZIP_LEVEL)
            sent["Content-Encoding"] = "gzip"
        address = f"/files/{path.url_path}/file_stream"
        timeout_s = manner.timeout_s or self.config.file_stream_timeout_s
        answer = await self._post_json(address, body, sent, timeout_s, manner)
        if text := _error_text({k: answer[k] for k in ("errors", "error") if answer.get(k)}):
            raise await self._denied("file_stream", text)
        self._note_success()
        return answer

    async def put(
        self,
        url: str,
        headers: Mapping[str, str],
        size_bytes: int,
        chunks: AsyncIterator[bytes] | bytes,
        manner: Manner = OWN_MANNER,
    ) -> str:
        """Send a file to an address that the server handed out; return the ETag, if there is one.

        Raises:
            RequestFailed: the server did not take it.
        """
        sent = {**headers, "Content-Length": str(size_bytes), "User-Agent": USER_AGENT}
        timeout = self._timeout(manner.timeout_s or self.config.transfer_timeout_s)
        try:
            response = await self._client(url, manner, for_files=True).put(
                url, headers=sent, content=chunks, timeout=timeout
            )
        # UnicodeError: headers that the server asked for and HTTP cannot carry.
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise self._unreachable("file upload", error) from error
        self.counters.bytes_sent += size_bytes
        if not response.is_success:
            raise self._refused("file upload", response)
        self._note_success()
        return response.headers.get("ETag", "")

    async def call(
        self,
        method: str,
        path: str,
        body: bytes | AsyncIterator[bytes],
        size_bytes: int,
        manner: Manner = OWN_MANNER,
    ) -> bytes:
        """Send one request with a binary body to the server itself; return the answer's body.

        Args:
            method: of HTTP.
            path: below the server's base address.
            body: its bytes, or an iterator over them.
            size_bytes: their number.
            manner: how requests go.

        Raises:
            RequestFailed: it was not acknowledged.
        """
        sent = {
            "Content-Type": "application/msgpack",
            "Content-Length": str(size_bytes),
            **await self._own_headers(manner),
        }
        what = path.rsplit("/", 1)[-1]
        timeout = self._timeout(manner.timeout_s or self.config.transfer_timeout_s)
        url = self.base_url + path
        try:
            response = await self._client(url, manner, for_files=True).request(
                method, url, headers=sent, content=body, timeout=timeout
            )
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise self._unreachable(what, error) from error
        self.counters.bytes_sent += size_bytes
        if not response.is_success:
            raise await self._rejected(what, response, manner)
        self._note_success()
        return response.content

    async def _own_headers(self, manner: Manner) -> dict[str, str]:
        """Return the headers of requests to the server itself, once it is known where it is."""
        base_url, api_key = await self._endpoint.resolve()
        self.base_url = base_url.rstrip("/")
        sent = {"User-Agent": USER_AGENT, **manner.headers}
        if api_key := manner.api_key or api_key:
            token = base64.b64encode(f"api:{api_key}".encode()).decode()
            sent["Authorization"] = f"Basic {token}"
        return sent

    @asynccontextmanager
    async def fetch(
        self, url: str, headers: Mapping[str, str], manner: Manner = OWN_MANNER
    ) -> AsyncGenerator[httpx.Response]:
        """Open a file at an address that the server handed out, or at a path of the server itself.

        Args:
            url: a path (`/artifactsV2/...`) goes to the server with the API key; redirects from
                there to other servers are followed without it.
            headers: further headers, such as `Range`.
            manner: how the request goes.

        Raises:
            RequestFailed: the server did not deliver, also while the body is read.
        """
        sent = {**headers, "User-Agent": USER_AGENT}
        if url.startswith("/"):
            sent |= await self._own_headers(manner)
            url = self.base_url + url
        timeout = self._timeout(manner.timeout_s or self.config.transfer_timeout_s)
        try:
            client = self._client(url, manner, for_files=True)
            stream = client.stream("GET", url, headers=sent, timeout=timeout, follow_redirects=True)
            async with stream as response:
                if not response.is_success:
                    await response.aread()
                    raise self._refused("file download", response)
                yield response
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, UnicodeError) as error:
            raise self._unreachable("file download", error) from error
        self._note_success()

    async def _post_json(
        self,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        timeout_s: float,
        manner: Manner,
    ) -> dict[str, Any]:
        own = await self._own_headers(manner)
        url = self.base_url + path
        sent = {"Content-Type": "application/json", **own, **headers}
        what = path.rsplit("/", 1)[-1]
        try:
            response = await self._client(url, manner).post(
                url, content=body, headers=sent, timeout=self._timeout(timeout_s)
            )
        # UnicodeError: headers of a run's settings that HTTP cannot carry.
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise self._unreachable(what, error) from error
        self.counters.bytes_sent += len(body)
        if not response.is_success:
            raise await self._rejected(what, response, manner)
        answer = _acknowledgement(response)
        if answer is None:
            problem = f"{what}: HTTP {response.status_code} whose body is not a JSON object"
            self._note_failure(problem)
            raise RequestFailed(RetryClass.TRANSIENT, problem, status=response.status_code)
        return answer

    def _unreachable(self, what: str, error: Exception) -> RequestFailed:
        problem = f"{what}: {type(error).__name__}: {error}"[:_MAX_PROBLEM_CHARS]
        self._note_failure(problem)
        return RequestFailed(RetryClass.TRANSIENT, problem)

    def _refused(self, what: str, response: httpx.Response) -> RequestFailed:
        status = response.status_code
        said = _error_text(_json_object(response.content))
        problem = f"{what}: HTTP {status} {said or response.reason_phrase}"[:_MAX_PROBLEM_CHARS]
        retry_class = retry_class_of(status)
        self._note_failure(problem, retry_class)
        self.unauthorized = retry_class is RetryClass.CREDENTIALS
        return RequestFailed(
            retry_class,
            problem,
            status=status,
            retry_after_s=parse_retry_after(response.headers.get("Retry-After")),
            said=said,
        )

    async def _rejected(self, what: str, response: httpx.Response, manner: Manner) -> RequestFailed:
        """A refusal by the server itself: perhaps the key that is kept was changed meanwhile."""
        before = self.unauthorized
        failure = self._refused(what, response)
        if failure.retry_class is RetryClass.CREDENTIALS:
            if manner.api_key:  # which says nothing about the kept one
                self.unauthorized = before
            else:
                await self._reload_credentials()
        return failure

    async def _denied(self, what: str, text: str) -> RequestFailed:
        """An answer with status 200 that holds errors is no acknowledgement."""
        problem = f"{what}: {text}"[:_MAX_PROBLEM_CHARS]
        retry_class = retry_class_of_errors(text)
        self._note_failure(problem, retry_class)
        if retry_class is RetryClass.CREDENTIALS:
            self.unauthorized = True
            await self._reload_credentials()
        return RequestFailed(retry_class, problem, status=200, said=text)

    def _note_success(self) -> None:
        self.counters.requests_ok += 1
        self.problem = ""
        self.unauthorized = False

    def _note_failure(self, problem: str, retry_class: RetryClass = RetryClass.TRANSIENT) -> None:
        """Count a failure; one request that a server refuses for good does not make it unwell.

        Of a server that never took any it is told: perhaps it is none of this kind.
        """
        self.counters.requests_failed += 1
        is_refusal = retry_class in (RetryClass.PARKED, RetryClass.TOO_LARGE)
        self.problem = "" if is_refusal and self.counters.requests_ok else problem

    def _timeout(self, read_s: float) -> httpx.Timeout:
        return httpx.Timeout(read_s, connect=self.config.connect_timeout_s)

    def _client(self, url: str, manner: Manner, *, for_files: bool = False) -> httpx.AsyncClient:
        """Return the client for an address.

        Files have connections of their own: rows never wait until a large one is through.
        A server on this machine is never reached through a proxy, and plain HTTP needs no
        certificates: loading them costs 30 ms and several MiB.

        Raises:
            RequestFailed: the proxy is none that can be used.
        """
        parts = urlsplit(url)
        plain = parts.scheme == "http" and _is_loopback(url)
        proxy = "" if plain else manner.proxy_for(url)
        kind = (plain, proxy, manner.verify, for_files)
        client = self._clients.get(kind)
        if client is None:
            limits = httpx.Limits(
                max_connections=self.config.max_connections,
                max_keepalive_connections=self.config.max_connections,
                keepalive_expiry=30.0,
            )
            try:
                client = HttpClient(
                    limits=limits,
                    trust_env=not plain,
                    verify=manner.verify and not plain,
                    proxy=proxy or None,
                )
            except (ValueError, ImportError, httpx.InvalidURL) as error:
                # Not the error's own words: the address of a proxy may hold a password.
                problem = (
                    f"a proxy of the settings cannot be used ({type(error).__name__}): give an "
                    "address like http://host:port in http_proxy, https_proxy or x_proxies"
                )
                self._note_failure(problem)
                raise RequestFailed(RetryClass.PARKED, problem) from error
            self._clients[kind] = client
        return client


def expect(data: Mapping[str, object], field: str, shape: type[S]) -> S:
    """Return one field of an answer in its expected shape.

    Raises:
        RequestFailed: it has another shape, so this is no acknowledgement.
    """
    try:
        return msgspec.convert(data.get(field), shape)
    except msgspec.ValidationError as error:
        raise RequestFailed(RetryClass.TRANSIENT, f"unexpected answer: {field}: {error}") from error


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in _LOOPBACK


def _acknowledgement(response: httpx.Response) -> dict[str, Any] | None:
    """Return the body of a 2xx as JSON object; None: this is no acknowledgement."""
    if response.status_code == 204 and not response.content:
        return {}
    return _json_object(response.content)


def _json_object(content: bytes) -> dict[str, Any] | None:
    try:
        parsed: object = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else None


def _error_text(answer: dict[str, Any] | None) -> str:
    """Return the messages in an error answer, joined."""
    if answer is None:
        return ""
    errors: object = answer.get("errors") or answer.get("error") or answer.get("message") or []
    if not isinstance(errors, list):
        return str(errors)
    texts: list[str] = []
    for item in cast("list[object]", errors):
        if isinstance(item, dict):
            message: object = cast("dict[str, object]", item).get("message")
            texts.append(str(message or "unnamed error"))
        else:
            texts.append(str(item))
    return "; ".join(texts)
