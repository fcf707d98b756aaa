"""Whom the monitor watches: what was asked for, and what stays the same while it is watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trackd_agent.monitor.readers.cgroup import Cgroup
    from trackd_agent.monitor.readers.process import ProcessId

#: Shortest interval between two samples, as in the W&B client; shorter ones are stretched.
MIN_INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True)
class Subject:
    """One rank that wants system metrics, and what it wants to see."""

    key: str  # names the subscription, unique on this node
    pid: int  # whose CPU and memory `cpu` and `proc.*` are
    interval_s: float = 15.0
    disk_paths: tuple[str, ...] = ("/",)
    track_process_tree: bool = False  # `cpu` and `proc.*` cover all descendants as well
    use_cgroup: bool = True  # limits of the container count as the capacity of the machine


@dataclass(frozen=True, slots=True)
class Target:
    """A subject, with the facts that were found when it was first seen and hold until its end."""

    subject: Subject
    process: ProcessId | None  # None: it was gone already
    cgroup: Cgroup | None  # None: no cgroup v2, or one without limits
    cpu_capacity: float  # CPUs that count as 100 %

    @property
    def key(self) -> str:
        """Return the name of the subscription."""
        return self.subject.key
