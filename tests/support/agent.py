"""A real agent process for tests: `async with running_agent(tmp_path) as agent: ...`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import grpc
import grpc.aio

from trackd_agent.daemon.instance import answers
from trackd_proto import layout
from trackd_proto.v1 import admin_pb2, admin_pb2_grpc, run_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

START_TIMEOUT_S = 120.0
#: Variables of the caller that would change what a test sees.
_FOREIGN = ("TRACKD_", "WANDB_", "NOTIFY_SOCKET", "LISTEN_", "XDG_RUNTIME_DIR")


@dataclass
class RunningAgent:
    """An agent process with a data directory of its own, and the ways tests talk to it."""

    data: Path
    environment: dict[str, str]
    options: list[str] = field(default_factory=list[str])
    process: subprocess.Popen[bytes] = field(init=False, repr=False)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def socket(self) -> Path:
        return layout.socket_path(self.environment)

    @property
    def target(self) -> str:
        return f"unix:{self.socket}"

    @property
    def log(self) -> str:
        """Everything that the agents of this data directory wrote."""
        return (self.data.parent / f"{self.data.name}.agent.log").read_text(errors="replace")

    def begin(self) -> None:
        """Start the process without waiting for it."""
        with (self.data.parent / f"{self.data.name}.agent.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "trackd_agent", *self.options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,
            )

    async def start(self) -> None:
        """Start the process and wait until it listens."""
        self.begin()
        await self.wait_listening()

    async def wait_listening(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not answers(self.socket):
            assert self.process.poll() is None, (
                f"agent ended: {self.process.returncode}\n{self.log}"
            )
            assert time.monotonic() < deadline, f"agent does not listen\n{self.log}"
            await anyio.sleep(0.01)

    def channel(self) -> grpc.aio.Channel:
        """Return a new connection; close it with `async with`."""
        # It listens a while before it serves: a try to connect has as long as its start.
        patience = ("grpc.min_reconnect_backoff_ms", int(START_TIMEOUT_S * 1000))
        return grpc.aio.insecure_channel(
            self.target, options=[("grpc.use_local_subchannel_pool", 1), patience]
        )

    @contextlib.asynccontextmanager
    async def admin(self) -> AsyncGenerator[Any]:
        """Return a stub of the AdminService."""
        async with self.channel() as channel:
            yield admin_pb2_grpc.AdminServiceStub(channel)

    @contextlib.asynccontextmanager
    async def runs(self) -> AsyncGenerator[Any]:
        """Return a stub of the RunService."""
        async with self.channel() as channel:
            yield run_pb2_grpc.RunServiceStub(channel)

    async def status(self) -> admin_pb2.GetStatusResponse:
        async with self.admin() as admin:
            request = admin_pb2.GetStatusRequest()
            return await admin.GetStatus(request, timeout=120, wait_for_ready=True)

    async def flush(self, timeout_s: float = 120.0) -> bool:
        """Wait until everything is uploaded; return whether it is."""
        async with self.admin() as admin:
            request = admin_pb2.FlushRequest(timeout_s=timeout_s)
            answer = await admin.Flush(request, timeout=timeout_s + 60, wait_for_ready=True)
        return answer.complete

    async def wait(self, timeout_s: float = 120.0) -> int:
        """Wait for the end of the process; return its exit status."""
        with anyio.fail_after(timeout_s):
            while (status := self.process.poll()) is None:
                await anyio.sleep(0.01)
        return status

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    async def kill(self) -> None:
        """SIGKILL it and wait."""
        self.signal(signal.SIGKILL)
        await self.wait()

    async def terminate(self, timeout_s: float = 120.0) -> int:
        """SIGTERM it; return its exit status."""
        self.signal(signal.SIGTERM)
        return await self.wait(timeout_s)

    async def restart(self) -> None:
        """SIGKILL it if it runs, and start another one on the same data."""
        if self.process.poll() is None:
            await self.kill()
        await self.start()


def agent_environment(data: Path, **env: str) -> dict[str, str]:
    """Return an environment in which everything of trackd belongs to `data`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
    return {**kept, "TRACKD_DIR": str(data), **env}


@contextlib.asynccontextmanager
async def running_agent(
    folder: Path, *, started: bool = True, options: tuple[str, ...] = (), **env: str
) -> AsyncGenerator[RunningAgent]:
    """Run an agent with its data below `folder`; it and its server are gone afterwards.

    Args:
        folder: usually `tmp_path`; the data directory is `folder / "data"`.
        started: False: the test calls `start()` or `begin()` itself.
        options: arguments of the command.
        env: environment variables, such as `TRACKD_IDLE_TIMEOUT="1"`.
    """
    data = folder / "data"
    agent = RunningAgent(data, agent_environment(data, **env), list(options))
    if started:
        await agent.start()
    try:
        yield agent
    finally:
        if hasattr(agent, "process") and agent.process.poll() is None:
            agent.process.kill()
            await anyio.to_thread.run_sync(agent.process.wait)
