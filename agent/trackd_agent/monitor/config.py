"""What a user can set about the monitor."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class MonitorConfig(BaseModel):
    """Settings of system metrics, for the whole node."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(default=True, description="Sample system metrics at all.")
    collectors: dict[str, bool] = Field(
        default_factory=dict[str, bool],
        description="Collectors to switch on or off, by name; the others keep their default.",
    )
    deadline_s: float = Field(
        default=2.0, gt=0, description="How long a tick waits for one collector, in seconds."
    )
    proc_root: Path = Field(default=Path("/proc"), description="Where procfs is mounted.")
    sys_root: Path = Field(default=Path("/sys"), description="Where sysfs is mounted.")
    library_path: str | None = Field(
        default=None,
        description="Folders, separated by colons, that hold the libraries of device vendors; "
        "by default they are found as the system's loader does.",
    )
    tpu_runtime_address: str = Field(
        default="127.0.0.1:8431",
        description="Where a program that uses TPUs serves the metrics of its runtime (gRPC).",
    )
    neuron_monitor: str = Field(
        default="",
        description="AWS's tool `neuron-monitor`. Default: on PATH, else in /opt/aws/neuron/bin.",
    )
