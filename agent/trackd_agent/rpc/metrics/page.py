"""The page `/metrics`: made for each request, served with as much of HTTP/1.1 as that takes.

One request a connection: GET or HEAD, no body, then the connection is closed. A request names the
loopback as its host: a browser that a foreign page sends here does not.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import structlog

from trackd_agent.rpc.metrics import agent_families, exposition, node_families

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from trackd_agent.monitor import Lookout, Monitor
    from trackd_agent.rpc.admin_service import Process
    from trackd_agent.runs.registry import RunRegistry

log = structlog.get_logger()

PATH = "/metrics"
#: Beginnings of requests that are for us.
METHODS = (b"GET ", b"HEAD ")
_MAX_HEAD_BYTES = 16 * 1024
_END_OF_HEAD = b"\r\n\r\n"
_HOSTS = ("localhost", "127.0.0.1", "[::1]")
#: However often it is scraped, the node is not read more often than this, in seconds.
_MAX_AGE_S = 0.5


class Answer(NamedTuple):
    """One answer."""

    status: str
    body: str
    content_type: str = exposition.TEXT_TYPE


class MetricsPage:
    """Makes the page.

    Args:
        registry: the runs.
        monitor: the collectors.
        lookout: reads the node.
        process: the agent.
    """

    def __init__(
        self, registry: RunRegistry, monitor: Monitor, lookout: Lookout, process: Process
    ) -> None:
        self._registry = registry
        self._monitor = monitor
        self._lookout = lookout
        self._process = process

    async def text(self, *, open_metrics: bool) -> str:
        """Return the page in one of its formats."""
        view = await self._lookout.look(_MAX_AGE_S)
        runs = self._registry.runs(active_only=True)
        registry = self._registry
        families = (
            *agent_families.process_families(
                self._process.facts(), registry.journal_bytes, registry.backlog_bytes
            ),
            *agent_families.upstream_families(self._process.upstreams()),
            *agent_families.writer_families(runs),
            *agent_families.collector_families(self._monitor.status()),
            *node_families.node_families(view, runs),
        )
        return exposition.render(families, open_metrics=open_metrics)

    async def serve(self, connection: socket.socket, begun: bytes = b"") -> None:
        """Answer one request; the caller bounds the time and closes the connection.

        Args:
            connection: non-blocking.
            begun: what was read of the request already.
        """
        loop = asyncio.get_running_loop()
        head = begun
        while _END_OF_HEAD not in head and len(head) <= _MAX_HEAD_BYTES:
            piece = await loop.sock_recv(connection, 4096)
            if not piece:
                return
            head += piece
        try:
            answer = await self.answer(head)
        except Exception:  # seam: a page that cannot be made must not end the agent
            log.exception("metrics_page_failed")
            answer = Answer("500 Internal Server Error", "See the agent's log.\n")
        body = answer.body.encode(errors="replace")
        lines = (
            f"HTTP/1.1 {answer.status}",
            f"content-type: {answer.content_type}",
            f"content-length: {len(body)}",
            "cache-control: no-store",
            "connection: close",
            "\r\n",
        )
        is_head = head.startswith(METHODS[1])
        await loop.sock_sendall(connection, "\r\n".join(lines).encode())
        if not is_head:
            await loop.sock_sendall(connection, body)

    async def answer(self, head: bytes) -> Answer:
        """Return the answer to the head of a request."""
        if _END_OF_HEAD not in head:
            return Answer("431 Request Header Fields Too Large", "The request is too long.\n")
        first, *lines = head.partition(_END_OF_HEAD)[0].decode("latin-1").split("\r\n")
        method, target, version = [*first.split(" "), "", "", ""][:3]
        headers = dict(_headers(lines))
        if not version.startswith("HTTP/1."):
            return Answer("400 Bad Request", "This is no HTTP/1.1 request.\n")
        if method not in ("GET", "HEAD"):
            return Answer("405 Method Not Allowed", "Only GET and HEAD are served.\n")
        if not _is_local(headers.get("host", "localhost")):
            return Answer("403 Forbidden", "Ask for localhost or 127.0.0.1.\n")
        if target.partition("?")[0] != PATH:
            return Answer("404 Not Found", f"There is {PATH}, and nothing else.\n")
        wants_open = "application/openmetrics-text" in headers.get("accept", "")
        text = await self.text(open_metrics=wants_open)
        kind = exposition.OPEN_METRICS_TYPE if wants_open else exposition.TEXT_TYPE
        return Answer("200 OK", text, kind)


def _headers(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _, value = line.partition(":")
        yield name.strip().lower(), value.strip()


def _is_local(host: str) -> bool:
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    return name.lower() in _HOSTS
