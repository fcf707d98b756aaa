"""Whom the monitor watches: what was asked for, and what stays the same while it is watched."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd_agent.monitor.readers.cgroup import Cgroup
    from trackd_agent.monitor.readers.process import ProcessId

#: Shortest interval between two samples, as in the W&B client; shorter ones are stretched.
MIN_INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True)
class OpenMetricsWish:
    """Which Prometheus endpoints one rank wants to see, as its settings say; empty: none.

    The headers go to the DCGM exporter as well, and may hold secrets: they are shown nowhere.
    """

    endpoints: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)  # name → URL
    #: Patterns of `{endpoint}.{metric}`, or these with patterns of labels; None: everything.
    filters: Mapping[str, Mapping[str, str]] | tuple[str, ...] | None = field(
        default=None, hash=False
    )
    headers: Mapping[str, str] = field(default_factory=dict[str, str], hash=False, repr=False)


@dataclass(frozen=True, slots=True)
class Subject:
    """One rank that wants system metrics, and what it wants to see."""

    key: str  # names the subscription, unique on this node
    pid: int  # whose CPU and memory `cpu` and `proc.*` are
    interval_s: float = 15.0
    disk_paths: tuple[str, ...] = ("/",)
    track_process_tree: bool = False  # `cpu` and `proc.*` cover all descendants as well
    use_cgroup: bool = True  # limits of the container count as the capacity of the machine
    gpu_device_ids: tuple[int, ...] | None = None  # which `gpu.{i}` it wants; none: all
    label: str = ""  # of the rank within its run (`x_label`); empty: it has none
    open_metrics: OpenMetricsWish = OpenMetricsWish()
    dcgm_exporter: str = ""  # URL of a Prometheus query or of an exporter's /metrics; empty: none
    neuron_config_path: str = ""  # configuration for `neuron-monitor`; empty: our own
    self_usage: bool = False  # wants `wandb.cpu` and `wandb.memory.rssMB`: what the agent costs
    host_details: bool = False  # wants each core, load, swap, power: what is shown to operators
    #: Variables of the rank's process by which launchers say which one it is (`LOCAL_RANK`, …).
    environment: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)

    def wants_gpu(self, index: int) -> bool:
        """Return whether it wants the keys of `gpu.{index}`."""
        return not self.gpu_device_ids or index in self.gpu_device_ids


@dataclass(frozen=True, slots=True)
class Target:
    """A subject, with the facts that were found when it was first seen and hold until its end."""

    subject: Subject
    process: ProcessId | None  # None: it was gone already
    cgroup: Cgroup | None  # None: nothing limits it
    cpu_capacity: float  # CPUs that count as 100 %
    network_place: int = 0  # where to read the traffic of its network namespace (`NetworkReader`)

    @property
    def key(self) -> str:
        """Return the name of the subscription."""
        return self.subject.key
