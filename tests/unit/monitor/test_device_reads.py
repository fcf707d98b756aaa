"""One machine is read once, however many ranks want to know."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from trackd_agent.monitor import MonitorConfig
from trackd_agent.monitor.readers import Readers
from trackd_agent.monitor.readers.details import DetailsReader
from trackd_agent.monitor.readers.host import HostReader
from trackd_agent.monitor.readers.network import NetworkReader
from trackd_agent.monitor.registry import REGISTRATIONS
from trackd_agent.monitor.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

DEVICE_READS = {
    HostReader: ("memory", "disk_space", "disk_traffic", "devices_of"),
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


def test_sixty_four_ranks_cost_no_more_device_reads_than_one() -> None:
    alone = reads_of(1)
    assert set(alone.values()) == {1}
    assert len(alone) == sum(map(len, DEVICE_READS.values()))
    assert reads_of(64) == alone
