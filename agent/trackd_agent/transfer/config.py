"""Settings of the transfer room."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class TransferConfig(BaseModel):
    """How files of runs travel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Files of one run that travel at the same time.
    parallel: int = Field(default=4, ge=1)
    #: Bytes read from disk at a time.
    chunk_bytes: int = Field(default=1024 * 1024, ge=4096)
    #: Names in one request for upload addresses.
    batch: int = Field(default=100, ge=1)
    #: How often files with policy `live` are looked at, in seconds.
    poll_s: float = Field(default=0.5, gt=0)
    #: Shortest time between two uploads of one file, in seconds.
    live_interval_s: float = Field(default=5.0, ge=0)
    #: How often a file that the server finds wrong (400) goes again soon: on its way it may have
    #: been damaged, or come too slowly. After that it waits as after any other refusal.
    repeats_of_refused: int = Field(default=3, ge=0)
