"""What an upload outside the agent needs, put together for `trackd sync`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import anyio
import structlog

from trackd_agent.monitor import Monitor, MonitorConfig
from trackd_agent.runs.config import RunsConfig
from trackd_agent.runs.context import RoomConfigs, RunsContext
from trackd_agent.runs.folders.sync import sync_folder
from trackd_agent.upstream import Credentials, UpstreamConfig, UpstreamPool

if TYPE_CHECKING:
    from pathlib import Path

    from trackd_agent.daemon.servers import Server
    from trackd_agent.runs.folders.sync import SyncReport


async def sync_to(run_dir: Path, server: Server, data: Path, stall_timeout_s: float) -> SyncReport:
    """Upload one offline run folder to a server and say what became of it."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    credentials = Credentials(data / "agent" / "credentials.json")
    async with UpstreamPool(UpstreamConfig(), credentials, server, server.name) as upstreams:
        context = RunsContext(
            data,
            RunsConfig(),
            RoomConfigs(),
            upstreams,
            Monitor(MonitorConfig()),  # never started: there is nobody to watch
            anyio.Lock(),
        )
        return await sync_folder(run_dir, "", context, stall_timeout_s)
