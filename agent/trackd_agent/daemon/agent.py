"""The composition root: which components there are, in which order, and what ends them."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio
import structlog

from trackd_agent.artifacts.downloads.downloads import Downloads
from trackd_agent.daemon.embedded import EmbeddedServer
from trackd_agent.daemon.housekeeping import Housekeeping
from trackd_agent.monitor import Lookout, Monitor
from trackd_agent.rpc.admin_service import AdminService, ProcessFacts
from trackd_agent.rpc.artifact_service import ArtifactService
from trackd_agent.rpc.doorman import Doorman
from trackd_agent.rpc.failures import FailureCounts
from trackd_agent.rpc.metrics.page import MetricsPage
from trackd_agent.rpc.metrics.port import MetricsPort
from trackd_agent.rpc.record_streams import RecordStreams
from trackd_agent.rpc.run_service import RunService
from trackd_agent.rpc.server import RpcServer, Services
from trackd_agent.runs.context import RoomConfigs
from trackd_agent.runs.registry import RunRegistry
from trackd_agent.upstream import Credentials, StaticEndpoint, UpstreamPool, UpstreamState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    from trackd_agent.daemon.premises import Premises
    from trackd_agent.rpc.admin_service import ConfigValue

log = structlog.get_logger()

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Agent:
    """One serving agent; what operators may ask of the process (`rpc.admin_service.Process`).

    Args:
        premises: lock, socket and settings.
    """

    def __init__(self, premises: Premises) -> None:
        config = premises.settings.config
        self._premises = premises
        self._epoch = secrets.randbits(63)
        self._started_s = time.monotonic()
        self._failures = FailureCounts()
        self._credentials = Credentials(premises.data / "agent" / "credentials.json")
        server = config.server
        if config.base_url and server.start == "when_needed":
            server = server.model_copy(update={"start": "never"})
        self._embedded = EmbeddedServer(premises.data, server)
        self._upstreams = self._pool()
        self._monitor = Monitor(config.monitor)
        self._lookout = Lookout(self._monitor, config.monitor.deadline_s)
        self._registry = RunRegistry(
            data_dir=premises.data,
            config=config.runs,
            upstreams=self._upstreams,
            monitor=self._monitor,
            epoch=self._epoch,
            rooms=RoomConfigs(
                journal=config.journal,
                filestream=config.filestream,
                transfer=config.transfer,
                artifacts=config.artifacts,
            ),
        )
        self._downloads = Downloads(premises.data, config.artifacts)
        private_path = premises.socket.private_path()
        self._streams = RecordStreams(self._registry, config.rpc)
        page = MetricsPage(self._registry, self._monitor, self._lookout, self)
        self._metrics_port = MetricsPort(page, config.rpc.metrics_port)
        self._doorman = Doorman(premises.socket.listener, private_path, config.rpc, page)
        self._rpc = RpcServer(
            private_path,
            Services(
                RunService(self._registry, self._streams, config.rpc),
                ArtifactService(self._upstreams, self._registry.saves, self._downloads),
                AdminService(self._registry, self._monitor, self._lookout, self),
            ),
            config.rpc,
            self._failures,
        )
        self._housekeeping = Housekeeping(premises, self._registry, self._doorman)

    def _pool(self) -> UpstreamPool:
        config = self._premises.settings.config
        if not config.base_url:
            return UpstreamPool(config.upstream, self._credentials, self._embedded)
        endpoint = StaticEndpoint(config.base_url, self._credentials)
        return UpstreamPool(
            config.upstream, self._credentials, endpoint, "configured", config.base_url
        )

    async def serve(self) -> None:
        """Serve until something says stop, then drain."""
        config = self._premises.settings.config
        if config.base_url and (key := config.api_key.get_secret_value()):
            await self._credentials.put(config.base_url, key)
        components: tuple[AbstractAsyncContextManager[object], ...] = (
            self._embedded,
            self._upstreams,
            self._monitor,
            self._registry,
            self._downloads,
            self._streams,
            self._metrics_port,
            self._doorman,
            self._rpc,
        )
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._housekeeping.listen_to_signals)
            async with AsyncExitStack() as stack:
                for component in components:
                    await stack.enter_async_context(component)
                self._doorman.start_accepting()
                log.info("agent_ready", socket=self._premises.socket.address, pid=os.getpid())
                await self._work()
            tasks.cancel_scope.cancel()
        log.info("agent_stopped")

    async def _work(self) -> None:
        """Serve until there is a reason to stop, and acknowledge what was taken until then."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._registry.recover)
            await self._housekeeping.run_until_stop()
            self._doorman.stop_accepting()
            self._premises.socket.remove()
            await self._streams.drain()
            tasks.cancel_scope.cancel()

    # -- what operators ask ----------------------------------------------------------------

    def facts(self) -> ProcessFacts:
        """Return the state of the process."""
        dropped = {f"call_{code}": n for code, n in self._failures.by_code.items()}
        dropped |= {f"connection_{why}": n for why, n in self._doorman.refused.items()}
        for run in self._registry.runs():
            for writer in run.writers:
                for reason, count in writer.dropped.items():
                    dropped[reason] = dropped.get(reason, 0) + count
        return ProcessFacts(
            pid=os.getpid(),
            version=self._premises.version,
            epoch=self._epoch,
            uptime_s=time.monotonic() - self._started_s,
            sockets=tuple(
                filter(None, (self._premises.socket.address, self._metrics_port.address))
            ),
            data_dir=str(self._premises.data),
            connections=self._doorman.connections,
            rss_bytes=_rss_bytes(),
            dropped=dropped,
            idle_exit_in_s=self._housekeeping.idle_exit_in_s,
        )

    def upstreams(self) -> Sequence[UpstreamState]:
        """Return the servers in use, and our own also while nothing was sent there."""
        states = self._upstreams.status()
        if self._premises.settings.config.base_url:
            return states
        if not any(state.name == "embedded" for state in states):
            return [self._embedded.state(), *states]
        return states

    def config_values(self) -> Sequence[ConfigValue]:
        """Return all settings."""
        return self._premises.settings.values()

    def stop(self, *, immediate: bool) -> None:
        """Begin to leave."""
        self._housekeeping.stop("shutdown call", immediate=immediate)


async def serve(premises: Premises) -> None:
    """Run an agent; grpcio wants its server made inside the event loop."""
    await Agent(premises).serve()


def _rss_bytes() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - procfs, no wait
            return int(file.read().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0
