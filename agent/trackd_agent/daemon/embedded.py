"""The agent's own server: a child process, started when the first run needs it, kept alive.

The child leaves when its standard input closes, so it never outlives the agent. Its port is
chosen once and kept beside its data, so that addresses of runs stay what they were. A server
that somebody else runs on the same directory is used as it is.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Self

import anyio
import structlog

from trackd_agent.upstream import UpstreamState
from trackd_proto import layout

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from anyio.abc import Process, TaskGroup

    from trackd_agent.daemon.config import EmbeddedConfig

log = structlog.get_logger()

_HOST = "127.0.0.1"
_AFTER_RANKS_S = 0.5
_START_POLL_S = 0.05
_BACKOFF_S = (0.2, 10.0)
#: A server that lived this long was well: the next restart comes without delay again.
_WELL_AFTER_S = 30.0
_FAILED_CHECKS = 3
_STOP_S = 2.5
_MAX_ANSWER_BYTES = 64 * 1024


class EmbeddedServer:
    """Async context manager; an endpoint for the upstream room.

    Args:
        data: the data directory.
        config: settings.
    """

    def __init__(self, data: Path, config: EmbeddedConfig) -> None:
        self._folder = layout.server_dir(data)
        self._log_path = data / "agent" / "server.log"
        self._config = config
        self._wanted = anyio.Event()
        self._ready = anyio.Event()
        self._address = ""
        self._problem = ""
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        self._tasks.start_soon(self._supervise, name="embedded-server")
        if self._config.start == "at_once":
            self._wanted.set()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        assert self._tasks is not None
        self._tasks.cancel_scope.cancel()
        return await self._tasks.__aexit__(kind, error, trace)

    async def resolve(self) -> tuple[str, str]:
        """Return address and API key, once the server answers."""
        self._wanted.set()
        await self._ready.wait()
        return self._address, self._api_key()

    @property
    def problem(self) -> str:
        """Why it does not answer; empty: it does, or just starts."""
        return "" if self._ready.is_set() else self._problem

    def expected_address(self) -> str:
        """Return the address that the server has or is going to have; empty where unknown."""
        if self._address or self._config.start == "never":
            return self._address
        with contextlib.suppress(OSError):
            return f"http://{_HOST}:{self._port()}"
        return ""

    def state(self) -> UpstreamState:
        """Return the state for people, also before anything was sent there."""
        if self._ready.is_set():
            word = "ready"
        else:
            word = "starting" if self._wanted.is_set() else "not_started"
        return UpstreamState("embedded", self._address, word, self._problem, 0, 0, 0)

    def _api_key(self) -> str:
        try:
            return (self._folder / "api_key").read_text().strip()
        except OSError as error:
            self._problem = f"cannot read its API key: {error}"
            return ""

    async def _supervise(self) -> None:
        if self._config.start == "when_needed" and (self._folder / "api_key").exists():
            # There are runs to look at. Ranks that are just attaching come first.
            with anyio.move_on_after(_AFTER_RANKS_S):
                await self._wanted.wait()
            self._wanted.set()
        await self._wanted.wait()
        backoff_s = _BACKOFF_S[0]
        while True:
            started_s = time.monotonic()
            if address := await self._running_elsewhere():
                await self._use(address)
            else:
                await self._run_child()
            self._ready = anyio.Event()
            if time.monotonic() - started_s > _WELL_AFTER_S:
                backoff_s = _BACKOFF_S[0]
            log.warning("server_gone", problem=self._problem, restart_in_s=backoff_s)
            await anyio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, _BACKOFF_S[1])

    async def _running_elsewhere(self) -> str:
        """Return the address of a server that already serves our directory, or nothing."""
        try:
            address = (self._folder / "address").read_text().strip()
        except OSError:
            return ""
        return address if await is_healthy(address, self._config.health_timeout_s) else ""

    async def _use(self, address: str) -> None:
        """Offer a server until it is not well any more."""
        self._address = address
        self._problem = ""
        self._ready.set()
        log.info("server_ready", address=address)
        failed = 0
        while failed < _FAILED_CHECKS:
            await anyio.sleep(self._config.health_interval_s)
            healthy = await is_healthy(address, self._config.health_timeout_s)
            failed = 0 if healthy else failed + 1
        self._problem = f"no answer from {address}"

    async def _run_child(self) -> None:
        """Start the server, offer it while it is well, and see it end."""
        try:
            port = self._port()
            process = await self._spawn(port)
        except OSError as error:
            self._problem = f"cannot start the server: {error}"
            return
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._offer, f"http://{_HOST}:{port}", tasks.cancel_scope)
                status = await process.wait()
                self._problem = f"the server ended with status {status}: see {self._log_path}"
                tasks.cancel_scope.cancel()
            if not self._ready.is_set() and not self._config.port:
                self._forget_taken_port(port)
        finally:
            with anyio.CancelScope(shield=True):
                await _end(process)

    async def _offer(self, address: str, child: anyio.CancelScope) -> None:
        with anyio.move_on_after(self._config.start_timeout_s) as waiting:
            while not await is_healthy(address, self._config.health_timeout_s):  # noqa: ASYNC110
                await anyio.sleep(_START_POLL_S)
        if waiting.cancelled_caught:
            self._problem = f"no answer within {self._config.start_timeout_s:g} s of its start"
        else:
            await self._use(address)
        child.cancel()

    async def _spawn(self, port: int) -> Process:
        command = [sys.executable, "-m", "trackd_server"]
        options = ["--dir", str(self._folder), "--port", str(port), "--exit-on-stdin-close"]
        with self._log_path.open("ab") as out:
            process = await anyio.open_process(
                [*command, *options],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                start_new_session=True,
                cwd="/",
            )
        log.info("server_started", pid=process.pid, port=port)
        return process

    def _port(self) -> int:
        """Return the port of this directory's server; chosen at the first start, then kept."""
        if self._config.port:
            return self._config.port
        kept = self._folder / "port"
        with contextlib.suppress(OSError, ValueError):
            return int(kept.read_text())
        with socket.socket() as probe:
            probe.bind((_HOST, 0))
            port = int(probe.getsockname()[1])
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = kept.with_name(".port")
        temporary.write_text(f"{port}\n")
        temporary.replace(kept)
        return port

    def _forget_taken_port(self, port: int) -> None:
        """Choose another port next time when another program has taken ours meanwhile."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, port))
            except OSError:
                log.warning("server_port_taken", port=port)
                (self._folder / "port").unlink(missing_ok=True)


async def is_healthy(address: str, timeout_s: float) -> bool:
    """Tell whether a server on this machine answers `/healthz` with 200."""
    host, _, port = address.removeprefix("http://").rpartition(":")
    request = f"GET /healthz HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
    answer = b""
    try:
        with anyio.fail_after(timeout_s):
            async with await anyio.connect_tcp(host.strip("[]"), int(port)) as stream:
                await stream.send(request.encode())
                with contextlib.suppress(anyio.EndOfStream):
                    while len(answer) < _MAX_ANSWER_BYTES:
                        answer += await stream.receive()
    except (OSError, ValueError, TimeoutError, anyio.BrokenResourceError):
        return False
    return answer.startswith(b"HTTP/1.1 200 ")


async def _end(process: Process) -> None:
    """Let the child go: first by word, then by force."""
    if process.returncode is None:
        assert process.stdin is not None
        await process.stdin.aclose()
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with anyio.move_on_after(_STOP_S):
            await process.wait()
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    with anyio.move_on_after(1.0):
        await process.aclose()
