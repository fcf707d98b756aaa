"""The rank's own process (or its tree): CPU, threads, resident memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trackd_agent.monitor.contract import NoDataError, Readings, Registration
from trackd_agent.monitor.series import BYTES_PER_MB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.subject import Target


class ProcessCollector:
    """Reports `cpu`, `proc.cpu.threads`, `proc.memory.rssMB` and `proc.memory.percent`."""

    def __init__(self, readers: Readers) -> None:
        self._processes = readers.process
        memory = readers.host.memory()
        self._total_bytes = memory.total_bytes if memory else 0

    def collect(self, targets: Sequence[Target]) -> Readings:
        """Read the process of every target; one that ended has no keys."""
        found = Readings()
        for target in targets:
            self._collect_one(target, found)
        if not found.by_subject:
            raise NoDataError("no watched process is alive")
        return found

    def _collect_one(self, target: Target, found: Readings) -> None:
        if target.process is None:
            return
        tree = target.subject.track_process_tree
        read = self._processes.read_tree if tree else self._processes.read
        stat = read(target.process)
        if stat is None:
            return
        cgroup = target.cgroup
        limit_bytes = (cgroup.memory_limit_bytes if cgroup else 0) or self._total_bytes
        percent = 100 * stat.cpu_s / target.cpu_capacity
        found.over_interval("cpu", percent, time.monotonic(), target)
        found.now("proc.cpu.threads", stat.threads, target)
        found.now("proc.memory.rssMB", stat.rss_bytes / BYTES_PER_MB, target)
        if limit_bytes:
            found.now("proc.memory.percent", 100 * stat.rss_bytes / limit_bytes, target)


COLLECTOR = Registration("process", ProcessCollector)
