"""All settings of the agent in one frozen tree: one model a room."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic reads the annotations
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from trackd_agent.artifacts.config import ArtifactsConfig
from trackd_agent.core.logs import LogConfig
from trackd_agent.filestream import FileStreamConfig
from trackd_agent.journal import JournalConfig
from trackd_agent.monitor import MonitorConfig
from trackd_agent.rpc.config import RpcConfig
from trackd_agent.runs.config import RunsConfig
from trackd_agent.transfer import TransferConfig
from trackd_agent.upstream import UpstreamConfig


class EmbeddedConfig(BaseModel):
    """Settings of the agent's own server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: Literal["when_needed", "at_once", "never"] = Field(
        default="when_needed",
        description="`when_needed`: with the first run, or when there is something to look at.",
    )
    port: int = Field(
        default=0, ge=0, le=65535, description="Port on 127.0.0.1. 0: chosen once, then kept."
    )
    health_interval_s: float = Field(
        default=5.0, gt=0, description="How often the server is asked whether it is well."
    )
    health_timeout_s: float = Field(
        default=10.0, gt=0, description="Longest wait for its answer; three in a row: restart."
    )
    start_timeout_s: float = Field(
        default=60.0, gt=0, description="Longest time from its start to its first answer."
    )


class AgentConfig(BaseModel):
    """Settings of the agent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    idle_timeout_s: float | None = Field(
        default=600.0,
        ge=0,
        description="How long an agent without ranks and backlog stays, in seconds; `never`.",
    )
    first_rank_timeout_s: float = Field(
        default=10.0,
        ge=0,
        description="How long a new agent waits for its first rank at least, in seconds.",
    )
    socket: Path | None = Field(
        default=None, description="Public socket. Default: as in trackd_proto.layout."
    )
    base_url: str = Field(
        default="",
        pattern="^(https?://[^/].*)?$",
        description="Server of runs that name none. Default: the agent's own server.",
    )
    api_key: SecretStr = Field(default=SecretStr(""), description="Key for base_url.")
    log: LogConfig = LogConfig()
    rpc: RpcConfig = RpcConfig()
    journal: JournalConfig = JournalConfig()
    runs: RunsConfig = RunsConfig()
    filestream: FileStreamConfig = FileStreamConfig()
    transfer: TransferConfig = TransferConfig()
    artifacts: ArtifactsConfig = ArtifactsConfig()
    upstream: UpstreamConfig = UpstreamConfig()
    monitor: MonitorConfig = MonitorConfig()
    server: EmbeddedConfig = EmbeddedConfig()

    @field_validator("idle_timeout_s", mode="before")
    @classmethod
    def _never(cls, value: object) -> object:
        return None if value in ("never", "") else value
