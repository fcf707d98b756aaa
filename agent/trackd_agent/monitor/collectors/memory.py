"""Memory of the machine, or of the container where that has a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd_agent.monitor.contract import NoDataError, Readings, Registration
from trackd_agent.monitor.series import BYTES_PER_MB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd_agent.monitor.contract import Reading
    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.subject import Target


class MemoryCollector:
    """Reports `memory_percent` and `proc.memory.availableMB`."""

    def __init__(self, readers: Readers) -> None:
        self._host = readers.host
        self._cgroups = readers.cgroup

    def collect(self, targets: Sequence[Target]) -> Readings:
        """Read the machine once, and the cgroup of each target that has a limit."""
        found = Readings()
        memory = self._host.memory()
        if memory is None:
            raise NoDataError("/proc/meminfo does not tell how much memory there is")
        host = _readings(memory.total_bytes, memory.available_bytes)
        for target in targets:
            cgroup = target.cgroup
            if not (cgroup and cgroup.memory_limit_bytes):
                found.by_subject[target.key] = host
            elif (current := self._cgroups.memory_bytes(cgroup)) is not None:  # not gone
                limit_bytes = cgroup.memory_limit_bytes
                found.by_subject[target.key] = _readings(limit_bytes, limit_bytes - current)
        return found


def _readings(total_bytes: int, available_bytes: int) -> list[Reading]:
    # The page cache counts as used in a container, so that more than 100 % can be seen.
    found = Readings()
    found.now("memory_percent", 100 * (total_bytes - available_bytes) / total_bytes)
    found.now("proc.memory.availableMB", max(0, available_bytes) / BYTES_PER_MB)
    return found.shared


COLLECTOR = Registration("memory", MemoryCollector)
