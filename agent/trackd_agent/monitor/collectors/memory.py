"""Memory of the machine, or of the container where that has a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd_agent.monitor.contract import NoDataError, Readings, Registration
from trackd_agent.monitor.series import BYTES_PER_MB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd_agent.monitor.contract import Reading
    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.readers.cgroup import Cgroup
    from trackd_agent.monitor.subject import Target


class MemoryCollector:
    """Reports `memory_percent` and `proc.memory.availableMB`."""

    def __init__(self, readers: Readers) -> None:
        self._host = readers.host
        self._cgroups = readers.cgroup

    def collect(self, targets: Sequence[Target]) -> Readings:
        """Read the machine once, and each cgroup with a limit that targets are in."""
        found = Readings()
        memory = self._host.memory()
        if memory is None:
            raise NoDataError("/proc/meminfo does not tell how much memory there is")
        host = _readings(memory.total_bytes, memory.available_bytes)
        limited: dict[Cgroup, list[Reading]] = {}
        for target in targets:
            cgroup = target.cgroup
            if not (cgroup and cgroup.memory_limit_bytes):
                found.by_subject[target.key] = host
                continue
            if cgroup not in limited:
                limited[cgroup] = self._limited(cgroup)
            found.by_subject[target.key] = limited[cgroup]
        return found

    def _limited(self, cgroup: Cgroup) -> list[Reading]:
        limit_bytes, used_bytes = cgroup.memory_limit_bytes, self._cgroups.memory_bytes(cgroup)
        return [] if used_bytes is None else _readings(limit_bytes, limit_bytes - used_bytes)


def _readings(total_bytes: int, available_bytes: int) -> list[Reading]:
    # The page cache counts as used in a container, so that more than 100 % can be seen.
    found = Readings()
    found.now("memory_percent", 100 * (total_bytes - available_bytes) / total_bytes)
    found.now("proc.memory.availableMB", max(0, available_bytes) / BYTES_PER_MB)
    return found.shared


COLLECTOR = Registration("memory", MemoryCollector)
