"""`trackd.v1.AdminService`: what operators ask, answered from the rooms and from the process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from trackd_agent.core.errors import InvalidRequest
from trackd_agent.rpc import conversion, node_messages
from trackd_proto.v1 import admin_pb2, admin_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trackd_agent.monitor import Lookout, Monitor
    from trackd_agent.runs.registry import RunRegistry
    from trackd_agent.upstream import UpstreamState

_DEFAULT_FLUSH_S = 60.0
_MAX_FLUSH_S = 3600.0
_MAX_AGE_S = 3600.0
#: However many look, the node is not read more often.
_LEAST_AGE_S = 0.2


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """The agent as a process (fields as in `trackd.v1.GetStatusResponse`)."""

    pid: int
    version: str
    epoch: int
    uptime_s: float
    sockets: tuple[str, ...]
    data_dir: str
    connections: int
    rss_bytes: int
    dropped: Mapping[str, int]
    idle_exit_in_s: float | None


@dataclass(frozen=True, slots=True)
class ConfigValue:
    """One setting in force, secrets masked."""

    name: str
    value: str
    source: str


class Process(Protocol):
    """The running agent, as far as operators ask for it; the daemon provides it."""

    def facts(self) -> ProcessFacts:
        """Return the state of the process."""
        ...

    def upstreams(self) -> Sequence[UpstreamState]:
        """Return the state of the servers."""
        ...

    def config_values(self) -> Sequence[ConfigValue]:
        """Return all settings."""
        ...

    def stop(self, *, immediate: bool) -> None:
        """Begin to leave."""
        ...


class AdminService(admin_pb2_grpc.AdminServiceServicer):
    """Serves operators and the command line."""

    def __init__(
        self, registry: RunRegistry, monitor: Monitor, lookout: Lookout, process: Process
    ) -> None:
        self._registry = registry
        self._monitor = monitor
        self._lookout = lookout
        self._process = process

    async def ListRuns(
        self, request: admin_pb2.ListRunsRequest, context: Any
    ) -> admin_pb2.ListRunsResponse:
        """List the runs known here."""
        del context
        runs = self._registry.runs(active_only=request.active_only)
        return admin_pb2.ListRunsResponse(runs=[conversion.run_status(run) for run in runs])

    async def GetStatus(
        self, request: admin_pb2.GetStatusRequest, context: Any
    ) -> admin_pb2.GetStatusResponse:
        """Describe the agent."""
        del request, context
        facts = self._process.facts()
        return admin_pb2.GetStatusResponse(
            pid=facts.pid,
            version=facts.version,
            agent_epoch=facts.epoch,
            uptime_s=facts.uptime_s,
            sockets=facts.sockets,
            data_dir=facts.data_dir,
            upstreams=[_upstream_status(each) for each in self._process.upstreams()],
            connections=facts.connections,
            journal_bytes=self._registry.journal_bytes,
            backlog_bytes=self._registry.backlog_bytes,
            dropped=facts.dropped,
            rss_bytes=facts.rss_bytes,
            collectors=[node_messages.collector(each) for each in self._monitor.status()],
            runs=[conversion.run_status(run) for run in self._registry.runs()],
            idle_exit_in_s=facts.idle_exit_in_s,
        )

    async def ReadNode(
        self, request: admin_pb2.ReadNodeRequest, context: Any
    ) -> admin_pb2.ReadNodeResponse:
        """Read the node now."""
        del context
        if not 0 <= request.max_age_s <= _MAX_AGE_S:  # NaN is refused as well
            raise InvalidRequest(
                "INVALID_MAX_AGE",
                f"max_age_s={request.max_age_s} must be 0 to {_MAX_AGE_S:g} seconds",
                details={"field": "max_age_s", "value": str(request.max_age_s)},
            )
        view = await self._lookout.look(max(request.max_age_s, _LEAST_AGE_S))
        runs = self._registry.runs(active_only=True)
        return node_messages.response(view, runs, self._monitor.status())

    async def GetConfig(
        self, request: admin_pb2.GetConfigRequest, context: Any
    ) -> admin_pb2.GetConfigResponse:
        """Show the settings in force."""
        del request, context
        return admin_pb2.GetConfigResponse(
            values=[
                admin_pb2.ConfigValue(name=each.name, value=each.value, source=each.source)
                for each in self._process.config_values()
            ]
        )

    async def Flush(self, request: admin_pb2.FlushRequest, context: Any) -> admin_pb2.FlushResponse:
        """Wait for uploads."""
        del context
        if not 0 <= request.timeout_s <= _MAX_FLUSH_S:  # NaN is refused as well
            raise InvalidRequest(
                "INVALID_TIMEOUT",
                f"timeout_s={request.timeout_s} must be 0 to {_MAX_FLUSH_S:g} seconds",
                details={"field": "timeout_s", "value": str(request.timeout_s)},
            )
        run_id = conversion.run_ref(request.run).run_id if request.HasField("run") else None
        timeout_s = request.timeout_s or _DEFAULT_FLUSH_S
        complete, backlog_bytes = await self._registry.flush(run_id, timeout_s)
        return admin_pb2.FlushResponse(complete=complete, backlog_bytes=backlog_bytes)

    async def Shutdown(
        self, request: admin_pb2.ShutdownRequest, context: Any
    ) -> admin_pb2.ShutdownResponse:
        """Stop the agent."""
        del context
        self._process.stop(immediate=request.immediate)
        return admin_pb2.ShutdownResponse()


def _upstream_status(state: UpstreamState) -> admin_pb2.UpstreamStatus:
    return admin_pb2.UpstreamStatus(
        name=state.name,
        base_url=state.base_url,
        state=state.state,
        problem=state.problem,
        requests_ok=state.requests_ok,
        requests_failed=state.requests_failed,
        bytes_sent=state.bytes_sent,
    )
