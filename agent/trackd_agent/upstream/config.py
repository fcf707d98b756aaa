"""Settings of the upstream room."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class UpstreamConfig(BaseModel):
    """Timeouts, waits and limits towards servers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Longest time to open a connection, in seconds.
    connect_timeout_s: float = Field(default=10.0, gt=0)
    #: Longest wait for the answer of a GraphQL call, in seconds.
    graphql_timeout_s: float = Field(default=30.0, gt=0)
    #: Longest wait for the answer of a file_stream request, in seconds.
    file_stream_timeout_s: float = Field(default=180.0, gt=0)
    #: Longest time without progress while a file travels, in seconds.
    transfer_timeout_s: float = Field(default=120.0, gt=0)
    #: Bounds of the wait after a transient failure, in seconds.
    retry_min_s: float = Field(default=1.0, gt=0)
    retry_max_s: float = Field(default=60.0, gt=0)
    #: Wait after the server refused the API key, in seconds.
    credentials_retry_s: float = Field(default=60.0, gt=0)
    #: Wait after the server refused the run itself, in seconds.
    parked_retry_s: float = Field(default=3600.0, gt=0)
    #: Longest wait that a server may ask for with Retry-After, in seconds.
    retry_after_max_s: float = Field(default=3600.0, gt=0)
    #: Open connections per server.
    max_connections: int = Field(default=32, ge=1)
    #: Compress the bodies of file_stream requests.
    gzip: bool = False
    #: Time between file_stream requests of one writer: to a server on this machine, to others.
    local_interval_s: float = Field(default=1.0, ge=0)
    remote_interval_s: float = Field(default=15.0, ge=0)
