"""A registry with its neighbours, for tests of the runs room."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import anyio

from trackd_agent.filestream import FileStreamConfig
from trackd_agent.monitor import Monitor, MonitorConfig
from trackd_agent.runs.config import RunsConfig
from trackd_agent.runs.context import RoomConfigs
from trackd_agent.runs.registry import RunRegistry
from trackd_agent.transfer import TransferConfig
from trackd_agent.upstream import Credentials, StaticEndpoint, UpstreamConfig, UpstreamPool

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

FAST: dict[str, Any] = {
    "retry_min_s": 0.02,
    "retry_max_s": 0.1,
    "credentials_retry_s": 0.1,
    "parked_retry_s": 30.0,
    "local_interval_s": 0.05,
}
#: With servers that never answer.
SHORT: dict[str, Any] = {"file_stream_timeout_s": 0.5, "graphql_timeout_s": 0.5}


@contextlib.asynccontextmanager
async def running_registry(
    data: Path,
    base_url: str,
    *,
    upstream: dict[str, Any] | None = None,
    rooms: RoomConfigs | None = None,
    api_key: str = "k" * 40,
    is_chosen: bool = False,
    **config: Any,
) -> AsyncGenerator[RunRegistry]:
    """Run a registry whose default server is `base_url`; chosen: by somebody's setting."""
    credentials = Credentials(data / "agent" / "credentials.json")
    await credentials.reload()
    if not credentials.get(base_url):
        await credentials.put(base_url, api_key)
    settings: dict[str, Any] = {
        "watch_interval_s": 0.05,
        "checkpoint_interval_s": 0.0,
        "spool_grace_s": 0.0,
    }
    settings |= {"upsert_interval_s": 0.05, "restart_s": 0.1, **config}
    async with (
        Monitor(MonitorConfig()) as monitor,
        UpstreamPool(
            UpstreamConfig(**{**FAST, **(upstream or {})}),
            credentials,
            StaticEndpoint(base_url, credentials),
            default_address=base_url if is_chosen else "",
        ) as pool,
        RunRegistry(
            data_dir=data,
            config=RunsConfig(**settings),
            upstreams=pool,
            monitor=monitor,
            epoch=1,
            rooms=rooms
            or RoomConfigs(
                filestream=FileStreamConfig(heartbeat_s=0.2),
                transfer=TransferConfig(poll_s=0.05, live_interval_s=0.0),
            ),
        ) as registry,
    ):
        await registry.recover()
        yield registry


async def until(condition: Callable[[], bool], timeout_s: float = 120.0) -> None:
    """Wait until something holds; fail when it does not come."""
    with anyio.fail_after(timeout_s):
        while not condition():
            await anyio.sleep(0.01)
