"""What the limits of a container did to it: throttled CPU, processes killed for memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd_agent.monitor.contract import NoDataError, Readings, Registration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.subject import Target


class CgroupCollector:
    """Reports `proc.cpu.throttledPercent` and `proc.memory.oomKills`."""

    def __init__(self, readers: Readers) -> None:
        self._cgroups = readers.cgroup

    def collect(self, targets: Sequence[Target]) -> Readings:
        """Read the event counters of each target's cgroup."""
        found = Readings()
        for target in targets:
            if target.cgroup is None:
                continue
            cpu = self._cgroups.counters(target.cgroup, "cpu.stat")
            if "nr_periods" in cpu and "nr_throttled" in cpu:
                throttled, periods = cpu["nr_throttled"], cpu["nr_periods"]
                found.over_interval("proc.cpu.throttledPercent", 100 * throttled, periods, target)
            memory = self._cgroups.counters(target.cgroup, "memory.events")
            if "oom_kill" in memory:
                found.since_first("proc.memory.oomKills", memory["oom_kill"], target)
        if not found.by_subject:
            raise NoDataError("no watched process is in a cgroup with limits")
        return found


COLLECTOR = Registration("cgroup", CgroupCollector)
