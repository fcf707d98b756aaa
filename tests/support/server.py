"""A real server process for tests: `async with running_server(tmp_path) as server: ...`."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

START_TIMEOUT_S = 120
#: What the `wandb` package waits for its service, a run and an answer, in seconds: its own 30, 90
#: and 19 are no limits for a machine that is slow or stalls.
_PATIENCE = dict.fromkeys(
    ("WANDB_X_SERVICE_WAIT", "WANDB_INIT_TIMEOUT", "WANDB_HTTP_TIMEOUT"), "240"
)
#: What runs as a server: all of it, or all but the chunk protocol, as other servers are.
WHOLE = ("-m", "trackd_server")
WITHOUT_CHUNKS = (
    "-c",
    """
from trackd_server.api.resolvers import viewer
viewer.FEATURES = tuple(each for each in viewer.FEATURES if each != viewer.CHUNKS_FEATURE)
from trackd_server.app.verbs import server
server(prog_name="trackd server")
""",
)


@dataclass
class RunningServer:
    """A serving process, and the ways tests talk to it."""

    directory: Path
    address: str
    key: str
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """Return the authorisation that clients send."""
        return {"authorization": "Basic " + base64.b64encode(f"api:{self.key}".encode()).decode()}

    def client(self) -> httpx.Client:
        """Return an HTTP client that shows the API key."""
        return httpx.Client(
            base_url=self.address, headers=self.headers, timeout=240, trust_env=False
        )

    def graphql(self, query: str, variables: dict[str, Any] | None = None) -> Any:
        """Run an operation and return its `data`; errors fail the test."""
        with self.client() as client:
            answer = client.post("/graphql", json={"query": query, "variables": variables or {}})
        body = answer.json()
        assert answer.status_code == 200 and "errors" not in body, body
        return body["data"]

    def stream(
        self, run: str, body: dict[str, Any], *, project: str = "p", **headers: str
    ) -> httpx.Response:
        """Send one file_stream request."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with self.client() as client:
            path = f"/files/local/{project}/{run}/file_stream"
            return client.post(path, json=body, headers=named)

    def document(self, run: str, project: str = "p") -> dict[str, Any]:
        """Return a run's document."""
        with self.client() as client:
            answer = client.get(f"/api/v1/runs/local/{project}/{run}/document")
        assert answer.status_code == 200, answer.text
        return json.loads(answer.content)

    def wandb_environment(self, home: Path) -> dict[str, str]:
        """Return the environment in which the `wandb` package talks to this server only."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return kept | {
            **_PATIENCE,
            "HOME": str(home),
            "WANDB_BASE_URL": self.address,
            "WANDB_API_KEY": self.key,
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_SILENT": "true",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    async def kill(self) -> None:
        """SIGKILL the process."""
        self.process.kill()
        await anyio.to_thread.run_sync(self.process.wait)

    async def stop(self) -> int:
        """SIGTERM the process; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return await anyio.to_thread.run_sync(self.process.wait)


@asynccontextmanager
async def running_server(
    directory: Path,
    *,
    port: int = 0,
    options: Sequence[str] = (),
    program: Sequence[str] = WHOLE,
) -> AsyncGenerator[RunningServer]:
    """Start a server in `directory / "server"` on a free port; it is gone afterwards."""
    folder = directory / "server"
    command = [sys.executable, *program, "--dir", str(folder), "--port", str(port)]
    log_path = directory / "server.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [*command, "--json", *options],
            stdout=subprocess.PIPE,
            stderr=log,
            stdin=subprocess.PIPE,
        )
    try:
        facts = await _first_line(process, log_path)
        key = (folder / "api_key").read_text().strip()
        yield RunningServer(folder, facts["address"], key, process)
    finally:
        if process.poll() is None:
            process.terminate()
            with anyio.move_on_after(60, shield=True):
                await anyio.to_thread.run_sync(process.wait)
        process.kill()
        await anyio.to_thread.run_sync(process.wait)
        for pipe in (process.stdout, process.stdin):
            assert pipe is not None
            pipe.close()


async def _first_line(process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    assert process.stdout is not None
    started = time.monotonic()
    with anyio.fail_after(START_TIMEOUT_S):
        line = await anyio.to_thread.run_sync(process.stdout.readline, abandon_on_cancel=True)
    if not line.startswith(b'{"address"'):
        elapsed = time.monotonic() - started
        raise AssertionError(f"no server after {elapsed:.1f} s: {line!r}\n{log.read_text()}")
    return json.loads(line)
