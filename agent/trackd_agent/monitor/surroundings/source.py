"""The surroundings of a subject as a source of descriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd_agent.monitor.readers.cgroup import CgroupReader
from trackd_agent.monitor.readers.surroundings import SurroundingsReader
from trackd_agent.monitor.surroundings.cloud import cloud_of, platform_of
from trackd_agent.monitor.surroundings.container import container_of, pod_of
from trackd_agent.monitor.surroundings.machine import machine_of

if TYPE_CHECKING:
    from trackd_agent.monitor.config import MonitorConfig
    from trackd_agent.monitor.readers.cgroup import Cgroup
    from trackd_agent.monitor.subject import Subject


class Surroundings:
    """Describes where the ranks of this machine run; a source of descriptions."""

    name = "surroundings"
    news = 0  # nothing of it changes while a rank lives

    def __init__(self, config: MonitorConfig) -> None:
        self._reader = SurroundingsReader(config.proc_root, config.sys_root)
        self._cgroups = CgroupReader(config.proc_root)

    def collector(self) -> Surroundings:
        """Return itself: there is nothing to make."""
        return self

    def describe(self) -> dict[str, Any]:
        """Return what the machine is, and the cloud that it belongs to."""
        machine = machine_of(self._reader.cpuinfo())
        return {**machine, **_named(cloud=cloud_of(self._reader.firmware()))}

    def describe_for(self, subject: Subject) -> dict[str, Any]:
        """Return what is around the subject's process: container, pod, platform, limits."""
        scene = self._reader.scene(subject.pid)
        limits = limits_of(self._cgroups.find(subject.pid) if subject.use_cgroup else None)
        return _named(
            container=container_of(scene),
            kubernetes=pod_of(scene),
            platform=platform_of(scene.environ),
            cgroup=limits,
        )


def limits_of(cgroup: Cgroup | None) -> dict[str, Any]:
    """Return what a cgroup allows: CPUs, and bytes as text (as all sizes in the metadata)."""
    limits: dict[str, Any] = {}
    if cgroup and cgroup.cpu_limit:
        limits["cpuLimit"] = cgroup.cpu_limit
    if cgroup and cgroup.memory_limit_bytes:
        limits["memoryLimit"] = str(cgroup.memory_limit_bytes)
    return limits


def _named(**parts: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in parts.items() if part}
