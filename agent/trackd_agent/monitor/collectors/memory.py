"""Memory of the machine, or of the container where that has a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd_agent.monitor.contract import Readings, Registration
from trackd_agent.monitor.series import BYTES_PER_MB

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        for target in targets:
            total, available = memory.total_bytes, memory.available_bytes
            cgroup = target.cgroup
            if cgroup and cgroup.memory_limit_bytes:
                current = self._cgroups.memory_bytes(cgroup)
                if current is None:
                    continue  # the container is gone
                total, available = cgroup.memory_limit_bytes, cgroup.memory_limit_bytes - current
            # The page cache counts as used in a container, so that more than 100 % can be seen.
            found.now("memory_percent", 100 * (total - available) / total, target)
            found.now("proc.memory.availableMB", max(0, available) / BYTES_PER_MB, target)
        return found


COLLECTOR = Registration("memory", MemoryCollector)
