"""Settings of the runs room."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RunsConfig(BaseModel):
    """How runs are kept, watched and uploaded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: How often living writers and orphaned spools are looked at, in seconds.
    watch_interval_s: float = Field(default=0.5, gt=0)
    #: A spool folder younger than this is left alone unless its writer is known, in seconds.
    spool_grace_s: float = Field(default=3.0, ge=0)
    #: Longest wait of a leaving rank for records that are still on their way, in seconds.
    detach_wait_s: float = Field(default=5.0, ge=0)
    #: How often TensorBoard files are looked at, in seconds.
    tensorboard_interval_s: float = Field(default=1.0, gt=0)
    #: Longest wait of a leaving rank for what is left in its TensorBoard files, in seconds.
    last_reading_s: float = Field(default=2.0, gt=0)
    #: Longest piece of decoding without giving other tasks a turn, in seconds.
    slice_s: float = Field(default=0.005, gt=0)
    #: A request is sent before its interval is over when its lines reach this size, in bytes.
    request_bytes: int = Field(default=2 * 1024 * 1024, ge=1024)
    #: Journal bytes decoded per read.
    read_bytes: int = Field(default=64 * 1024, ge=4096)
    #: Shortest time between two checkpoints of one writer, in seconds.
    checkpoint_interval_s: float = Field(default=1.0, ge=0)
    #: Shortest time between two updates of a run's configuration upstream, in seconds.
    upsert_interval_s: float = Field(default=5.0, ge=0)
    #: Longest time that the end of a run waits for its files before it is reported, in seconds.
    files_grace_s: float = Field(default=60.0, ge=0)
    #: A rank is told that the upload waits when it has waited this long, in seconds.
    trouble_told_s: float = Field(default=2.0, ge=0)
    #: Wait before a pump that failed unexpectedly starts again, in seconds.
    restart_s: float = Field(default=5.0, gt=0)
    #: Interval of system metrics when the run names none, in seconds.
    stats_interval_s: float = Field(default=15.0, gt=0)
    #: Further servers that get a copy of every online run.
    mirrors: tuple[str, ...] = ()
    #: Ended runs that are still listed.
    remembered_runs: int = Field(default=200, ge=0)
