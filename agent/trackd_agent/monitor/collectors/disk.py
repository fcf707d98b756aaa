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

    #: What subjects see, by the paths that they name: most often all name the same.
    Wishes = dict[tuple[str, ...], Readings]


class DiskCollector:
    """Reports `disk.{path}.usagePercent|usageGB`, `disk.{device}.in|out` and `disk.in|out`."""

    def __init__(self, readers: Readers) -> None:
        self._host = readers.host

    def collect(self, targets: Sequence[Target]) -> Readings:
        """Read every path and device once, whatever number of targets asks for it."""
        found = Readings()
        wishes: Wishes = {target.subject.disk_paths: Readings() for target in targets}
        self._collect_space(wishes, found)
        self._collect_traffic(wishes, found)
        for target in targets:
            if readings := wishes[target.subject.disk_paths].shared:
                found.by_subject[target.key] = readings
        if not found.by_subject:
            raise NoDataError("no disk path and no disk device can be read")
        return found

    def _collect_space(self, wishes: Wishes, found: Readings) -> None:
        spaces: dict[str, DiskSpace] = {}
        for path in sorted({path for paths in wishes for path in paths}):
            try:
                spaces[path] = self._host.disk_space(path)
            except OSError as error:
                found.problem(f"disk path {path}: {error.strerror}")
        for paths, readings in wishes.items():
            for path in paths:
                if not (space := spaces.get(path)):
                    continue
                usable_bytes = space.used_bytes + space.available_bytes
                if usable_bytes:  # 0: a file system without blocks, such as /proc
                    percent = 100 * space.used_bytes / usable_bytes
                    readings.now(f"disk.{path}.usagePercent", percent)
                readings.now(f"disk.{path}.usageGB", space.used_bytes / BYTES_PER_GB)

    def _collect_traffic(self, wishes: Wishes, found: Readings) -> None:
        try:
            traffic = self._host.disk_traffic()
        except (OSError, NotImplementedError) as error:  # a sandbox
            reason = getattr(error, "strerror", None) or error
            found.problem(f"disk traffic: {reason}")
            return
        for paths, readings in wishes.items():
            devices = self._host.devices_of(paths, traffic)
            for name in devices:
                device = traffic[name]
                readings.since_first(f"disk.{name}.in", device.in_bytes / BYTES_PER_MB)
                readings.since_first(f"disk.{name}.out", device.out_bytes / BYTES_PER_MB)
            if devices:
                total_in = sum(traffic[name].in_bytes for name in devices)
                total_out = sum(traffic[name].out_bytes for name in devices)
                readings.since_first("disk.in", total_in / BYTES_PER_MB)
                readings.since_first("disk.out", total_out / BYTES_PER_MB)


COLLECTOR = Registration("disk", DiskCollector)
