"""What the limits of a container did to it: throttled CPU, waiting, processes killed for memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trackd_agent.monitor.contract import NoDataError, Readings, Registration
from trackd_agent.monitor.series import BYTES_PER_GB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.readers.cgroup import Cgroup
    from trackd_agent.monitor.subject import Subject, Target

#: By resource and extent of pressure; `full` of the CPU is none that the kernel defines.
_PRESSURE_KEYS = {
    ("cpu", "some"): "proc.cpu.pressurePercent",
    ("memory", "some"): "proc.memory.pressurePercent",
    ("memory", "full"): "proc.memory.pressureFullPercent",
    ("io", "some"): "proc.io.pressurePercent",
    ("io", "full"): "proc.io.pressureFullPercent",
}
_MICRO = 1e-6


class CgroupCollector:
    """Reports `proc.cpu.throttledPercent`, `proc.memory.oomKills` and pressure (PSI).

    `proc.{cpu,memory,io}.pressurePercent` is the share of the interval in which some process of the
    container waited for that resource, `pressureFullPercent` that in which all of them did.
    A killed process is an event as well (`oom_kill`).
    """

    def __init__(self, readers: Readers) -> None:
        self._cgroups = readers.cgroup
        self._kills: dict[str, int] = {}  # of each subject, at its last tick

    def collect(self, targets: Sequence[Target]) -> Readings:
        """Read the counters of each cgroup once, whatever number of targets is in it."""
        found = Readings()
        inside: dict[Cgroup, list[Target]] = {}
        for target in targets:
            if target.cgroup is not None:
                inside.setdefault(target.cgroup, []).append(target)
        for cgroup, targets_inside in inside.items():
            self._collect_one(cgroup, targets_inside, found)
        if not found.by_subject:
            raise NoDataError("no watched process is in a cgroup with limits")
        return found

    def forget(self, subject: Subject) -> None:
        """Drop the count of killed processes of a subject that is gone."""
        self._kills.pop(subject.key, None)

    def _collect_one(self, cgroup: Cgroup, targets: Sequence[Target], found: Readings) -> None:
        throttling = self._cgroups.throttling(cgroup)
        kills = self._cgroups.oom_kills(cgroup)
        stalls_us, now_s = self._cgroups.stalls_us(cgroup), time.monotonic()
        for target in targets:
            if throttling:
                throttled, periods = throttling
                found.over_interval("proc.cpu.throttledPercent", 100 * throttled, periods, target)
            if kills is not None:
                found.since_first("proc.memory.oomKills", kills, target)
                self._note_kills(kills, cgroup, target, found)
            for which, key in _PRESSURE_KEYS.items():
                if which in stalls_us:
                    percent = 100 * stalls_us[which] * _MICRO
                    found.over_interval(key, percent, now_s, target)

    def _note_kills(self, kills: int, cgroup: Cgroup, target: Target, found: Readings) -> None:
        new = kills - self._kills.get(target.key, kills)
        self._kills[target.key] = kills
        if new > 0:
            limit_gb = cgroup.memory_limit_bytes / BYTES_PER_GB
            limit = f" (limit: {limit_gb:.3g} GiB)" if limit_gb else ""
            number = "a process" if new == 1 else f"{new} processes"
            text = f"out of memory{limit}: the kernel killed {number} of this rank's container"
            found.event("oom_kill", text, "proc.memory.oomKill", new, target)


COLLECTOR = Registration("cgroup", CgroupCollector)
