"""The gRPC server on its private socket: options, services, health, reflection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

import anyio
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from trackd_agent.rpc.failures import ErrorInterceptor, FailureCounts
from trackd_proto.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    artifact_pb2,
    artifact_pb2_grpc,
    run_pb2,
    run_pb2_grpc,
)

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from trackd_agent.rpc.admin_service import AdminService
    from trackd_agent.rpc.artifact_service import ArtifactService
    from trackd_agent.rpc.config import RpcConfig
    from trackd_agent.rpc.run_service import RunService

#: What open calls get when the server stops; the ranks' streams never end by themselves.
_GRACE_S = 0.3
_SERVICES = (
    run_pb2.DESCRIPTOR.services_by_name["RunService"].full_name,
    artifact_pb2.DESCRIPTOR.services_by_name["ArtifactService"].full_name,
    admin_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name,
)


@dataclass(frozen=True, slots=True)
class Services:
    """What is served."""

    runs: RunService
    artifacts: ArtifactService
    admin: AdminService


class RpcServer:
    """Async context manager: grpcio serves while it is entered.

    Args:
        path: private socket; its folder must be open to nobody else.
        services: what is served there.
        config: limits.
        counts: where failed calls are counted.
    """

    def __init__(
        self,
        path: Path,
        services: Services,
        config: RpcConfig,
        counts: FailureCounts,
    ) -> None:
        self._path = path
        self._services = services
        # The package has no types.
        self._health = cast("Any", health).aio.HealthServicer()
        self._calls = ErrorInterceptor(counts)
        self._server = grpc.aio.server(interceptors=[self._calls], options=_options(config))

    async def __aenter__(self) -> Self:
        server = self._server
        services = self._services
        run_pb2_grpc.add_RunServiceServicer_to_server(services.runs, server)
        artifact_pb2_grpc.add_ArtifactServiceServicer_to_server(services.artifacts, server)
        admin_pb2_grpc.add_AdminServiceServicer_to_server(services.admin, server)
        cast("Any", health_pb2_grpc).add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(
            [*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME], server
        )
        server.add_insecure_port(f"unix:{self._path}")
        await server.start()
        for name in ("", *_SERVICES):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._health.enter_graceful_shutdown()
            await self._server.stop(_GRACE_S)
            await self._calls.end_calls()


def _options(config: RpcConfig) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", config.max_message_bytes),
        ("grpc.max_metadata_size", config.max_metadata_bytes),
        ("grpc.max_concurrent_streams", config.max_streams),
        ("grpc.keepalive_time_ms", round(config.keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", round(config.keepalive_timeout_s * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 1000),
        ("grpc.so_reuseport", 0),
    ]
