"""One machine is read once, however many ranks want to know."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.machine import SAMPLES, Machine, needs_samples

from trackd_agent.monitor import MonitorConfig
from trackd_agent.monitor.readers import Readers
from trackd_agent.monitor.readers.cgroup import CgroupReader
from trackd_agent.monitor.readers.details import DetailsReader
from trackd_agent.monitor.readers.host import HostReader
from trackd_agent.monitor.readers.network import NetworkReader
from trackd_agent.monitor.readers.paths import PathReader
from trackd_agent.monitor.registry import REGISTRATIONS
from trackd_agent.monitor.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

DEVICE_READS = {
    HostReader: ("memory", "disk_traffic", "devices_of"),
    PathReader: ("read",),
    NetworkReader: ("traffic", "tcp_retransmits"),
    DetailsReader: ("cores", "swap", "loads", "uptime_s", "temperature_c", "energy_j"),
}
HOST_COLLECTORS = ("memory", "disk", "network", "host")


def counted(reads: Counter[str], name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def count(*args: Any, **named: Any) -> Any:
        reads[name] += 1
        return method(*args, **named)

    return count


def reads_of(ranks: int) -> Counter[str]:
    """Return how often each device is read in one tick."""
    reads: Counter[str] = Counter()
    readers = Readers.of(MonitorConfig())
    targets = [
        readers.target(Subject(str(number), os.getpid(), host_details=True))
        for number in range(ranks)
    ]
    with pytest.MonkeyPatch.context() as patch:
        for reader, names in DEVICE_READS.items():
            for name in names:
                method = counted(reads, f"{reader.__name__}.{name}", getattr(reader, name))
                patch.setattr(reader, name, method)
        for registration in REGISTRATIONS:
            if registration.name in HOST_COLLECTORS:
                registration.make(readers).collect(targets)
    return reads


@needs_samples
def test_ranks_in_one_container_cost_one_look_at_its_cgroup(machine: Machine) -> None:
    for pid in range(2, 10):
        machine.set_process(pid)
        machine.put_in_cgroup(pid, SAMPLES / "cgroup_v2_limits" / "t0")
    readers = Readers.of(machine.config)
    targets = [readers.target(Subject(str(pid), pid)) for pid in range(2, 10)]
    reads = Counter[str]()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("memory_bytes", "throttling", "oom_kills", "stalls_us"):
            patch.setattr(CgroupReader, name, counted(reads, name, getattr(CgroupReader, name)))
        for registration in REGISTRATIONS:
            if registration.name in ("cgroup", "memory"):
                found = registration.make(readers).collect(targets)
                assert found.by_subject.keys() == {target.key for target in targets}
    assert set(reads.values()) == {1}


def test_sixty_four_ranks_cost_no_more_device_reads_than_one() -> None:
    alone = reads_of(1)
    assert set(alone.values()) == {1}
    assert len(alone) == sum(map(len, DEVICE_READS.values()))
    assert reads_of(64) == alone
