"""A real HTTP server with pages that a test sets: what Prometheus endpoints are to the agent."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass
class Page:
    """One answer; headers are added to those that the body asks for."""

    body: bytes = b""
    content_type: str = TEXT
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    #: Sends the body itself, unframed: for what is slow, endless or broken.
    send: Callable[[Callable[[bytes], object]], object] | None = None


@dataclass
class Request:
    """What somebody asked."""

    path: str
    headers: dict[str, str]  # names in lower case


class Endpoints:
    """Serves on a port of the loopback while it is open."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[Request] = []
        self.choose: Callable[[Request], Page | None] = self._find
        self.released = threading.Event()  # set at the end: nobody waits longer
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                request = Request(
                    self.path, {name.lower(): value for name, value in self.headers.items()}
                )
                outer.requests.append(request)
                outer._answer(self, outer.choose(request) or Page(status=404))

            def log_message(self, format: str, *args: object) -> None:
                del format, args

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                del request, client_address  # clients break off: that is what is tested

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _find(self, request: Request) -> Page | None:
        path = request.path
        return self.pages.get(path) or self.pages.get(path.partition("?")[0]) or self.pages.get("*")

    @staticmethod
    def _answer(handler: BaseHTTPRequestHandler, page: Page) -> None:
        handler.send_response(page.status)
        handler.send_header("Content-Type", page.content_type)
        for name, value in page.headers.items():
            handler.send_header(name, value)
        if page.send:
            handler.send_header("Connection", "close")
            handler.end_headers()
            page.send(handler.wfile.write)
            handler.close_connection = True
        else:
            handler.send_header("Content-Length", str(len(page.body)))
            handler.end_headers()
            handler.wfile.write(page.body)
