"""A real S3 server (moto's) in this process, spoken to over a socket."""

from __future__ import annotations

import contextlib
import logging
import urllib.parse
import urllib.request
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trackd.object_stores.aws_identity import Keys, signed
from trackd.object_stores.transport import Request

if TYPE_CHECKING:
    from collections.abc import Generator


_KEYS = Keys("test", "test")


class S3Server:
    """What tests put into it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def bucket(self, name: str) -> None:
        """Make a bucket."""
        self._ask("PUT", f"/{name}")

    def keep_versions(self, bucket: str) -> None:
        """Let a bucket keep the versions of its objects from now on."""
        self._ask(
            "PUT",
            f"/{bucket}?versioning",
            b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
        )

    def put(self, bucket: str, key: str, body: bytes, kind: str = "text/plain") -> str:
        """Put an object; return its version."""
        headers = self._ask("PUT", f"/{bucket}/{urllib.parse.quote(key)}", body, kind)
        return headers.get("x-amz-version-id") or ""

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object, or hide it below a mark where versions are kept."""
        self._ask("DELETE", f"/{bucket}/{urllib.parse.quote(key)}")

    def _ask(self, method: str, path: str, body: bytes = b"", kind: str = "text/plain") -> Any:
        asked = signed(Request(self.url + path, {}, method), _KEYS, "us-east-1", datetime.now(UTC))
        headers = {**asked.headers, "Content-Type": kind}
        request = urllib.request.Request(asked.url, body or None, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()
            return answer.headers


@contextlib.contextmanager
def s3_server() -> Generator[S3Server]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own libraries
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        server: Any = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        try:
            yield S3Server(f"http://{host}:{port}")
        finally:
            server.stop()
