"""Disks: space of the paths that subjects name, traffic of the devices below them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd_agent.monitor.contract import NoDataError, Readings, Registration
from trackd_agent.monitor.series import BYTES_PER_GB, BYTES_PER_MB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.readers.host import DiskSpace
    from trackd_agent.monitor.subject import Target


class DiskCollector:
    """Reports `disk.{path}.usagePercent|usageGB`, `disk.{device}.in|out` and `disk.in|out`."""

    def __init__(self, readers: Readers) -> None:
        self._host = readers.host

    def collect(self, targets: Sequence[Target]) -> Readings:
        """Read every path and device once, whatever number of targets asks for it."""
        found = Readings()
        self._collect_space(targets, found)
        self._collect_traffic(targets, found)
        if not found.by_subject:
            raise NoDataError("no disk path and no disk device can be read")
        return found

    def _collect_space(self, targets: Sequence[Target], found: Readings) -> None:
        spaces: dict[str, DiskSpace] = {}
        for path in sorted({path for target in targets for path in target.subject.disk_paths}):
            try:
                spaces[path] = self._host.disk_space(path)
            except OSError as error:
                found.problem(f"disk path {path}: {error.strerror}")
        for target in targets:
            for path in target.subject.disk_paths:
                if not (space := spaces.get(path)):
                    continue
                usable_bytes = space.used_bytes + space.available_bytes
                if usable_bytes:  # 0: a file system without blocks, such as /proc
                    percent = 100 * space.used_bytes / usable_bytes
                    found.now(f"disk.{path}.usagePercent", percent, target)
                used_gb = space.used_bytes / BYTES_PER_GB
                found.now(f"disk.{path}.usageGB", used_gb, target)

    def _collect_traffic(self, targets: Sequence[Target], found: Readings) -> None:
        try:
            traffic = self._host.disk_traffic()
        except (OSError, NotImplementedError) as error:  # a sandbox without /proc/diskstats
            found.problem(f"disk traffic: {error}")
            return
        for target in targets:
            devices = self._host.devices_of(target.subject.disk_paths, traffic)
            for name in devices:
                device = traffic[name]
                found.since_first(f"disk.{name}.in", device.in_bytes / BYTES_PER_MB, target)
                found.since_first(f"disk.{name}.out", device.out_bytes / BYTES_PER_MB, target)
            if devices:
                total_in = sum(traffic[name].in_bytes for name in devices)
                total_out = sum(traffic[name].out_bytes for name in devices)
                found.since_first("disk.in", total_in / BYTES_PER_MB, target)
                found.since_first("disk.out", total_out / BYTES_PER_MB, target)


COLLECTOR = Registration("disk", DiskCollector)
