"""What a user can set about the agent's door."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RpcConfig(BaseModel):
    """Limits of connections and messages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_message_bytes: int = Field(
        default=4 * 1024 * 1024, ge=64 * 1024, description="Largest message, in bytes."
    )
    max_metadata_bytes: int = Field(
        default=16 * 1024, ge=1024, description="Largest metadata of a call, in bytes."
    )
    max_streams: int = Field(default=64, ge=1, description="Open calls per connection.")
    max_connections: int = Field(default=4096, ge=1, description="Open connections in all.")
    max_connections_per_uid: int = Field(
        default=256, ge=1, description="Open connections of one user."
    )
    handshake_timeout_s: float = Field(
        default=10.0, gt=0, description="Longest time from connecting to the HTTP/2 preface."
    )
    keepalive_s: float = Field(
        default=30.0, gt=0, description="Silence after which a connection is probed."
    )
    keepalive_timeout_s: float = Field(
        default=10.0, gt=0, description="Longest wait for the answer to a probe."
    )
    status_interval_s: float = Field(
        default=1.0, gt=0, description="How often a rank hears of changes (uploads, stop, notices)."
    )
    window_bytes: int = Field(
        default=4 * 1024 * 1024, ge=64 * 1024, description="Bytes a rank may have unacknowledged."
    )
    window_frames: int = Field(
        default=10_000, ge=1, description="Frames a rank may have unacknowledged."
    )
    allowed_uids: tuple[int, ...] = Field(
        default=(), description="Users besides the agent's own and root who may connect."
    )
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port on 127.0.0.1 that serves /metrics. 0: only the agent's socket does.",
    )
