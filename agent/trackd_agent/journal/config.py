"""What a user can set about journals."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class JournalConfig(BaseModel):
    """Settings of the room `journal`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    segment_max_bytes: int = Field(
        default=16 * 1024 * 1024,
        ge=4096,
        description="A journal goes on in a new segment file before it exceeds this size.",
    )
    sync: Literal["interval", "always"] = Field(
        default="interval",
        description="`interval`: acknowledge when written, reach the disk every sync_interval_s. "
        "`always`: acknowledge only what has reached the disk.",
    )
    sync_interval_s: float = Field(
        default=1.0,
        gt=0,
        description="Rows acknowledged longer ago than this survive a power cut.",
    )
    max_bytes: int = Field(
        default=16 * 1024**3,
        ge=4096,
        description="Quota of one journal. Beyond it records stay in the rank's spool.",
    )
    torn_max_bytes: int = Field(
        default=64 * 1024,
        ge=0,
        description="How much of a cut torn tail is kept for inspection, per segment.",
    )
