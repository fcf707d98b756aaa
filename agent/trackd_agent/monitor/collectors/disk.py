"""Disks: space of the paths that subjects name, traffic of the devices below them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd_agent.monitor.contract import NoDataError, Readings, Registration
from trackd_agent.monitor.readers.paths import PathFacts
from trackd_agent.monitor.series import BYTES_PER_GB, BYTES_PER_MB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.subject import Target

    #: What subjects see, by the paths that they name: most often all name the same.
    Wishes = dict[tuple[str, ...], Readings]


class DiskCollector:
    """Reports `disk.{path}.usagePercent|usageGB`, `disk.{device}.in|out` and `disk.in|out`."""

    def __init__(self, readers: Readers) -> None:
        self._host = readers.host
        self._paths = readers.paths

    def collect(self, targets: Sequence[Target]) -> Readings:
        """Read every path and device once, whatever number of targets asks for it."""
        found = Readings()
        wishes: Wishes = {target.subject.disk_paths: Readings() for target in targets}
        known = self._read_paths({path for paths in wishes for path in paths}, found)
        for paths, readings in wishes.items():
            for path in paths:
                if path in known:
                    _report_space(path, known[path], readings)
        self._collect_traffic(wishes, known, found)
        for target in targets:
            if readings := wishes[target.subject.disk_paths].shared:
                found.by_subject[target.key] = readings
        if not found.by_subject:
            raise NoDataError("no disk path and no disk device can be read")
        return found

    def _read_paths(self, paths: set[str], found: Readings) -> dict[str, PathFacts]:
        known: dict[str, PathFacts] = {}
        for path, facts in sorted(self._paths.read(sorted(paths)).items()):
            if isinstance(facts, PathFacts):
                known[path] = facts
            else:
                found.problem(f"disk path {path}: {facts}")
        return known

    def _collect_traffic(
        self, wishes: Wishes, known: dict[str, PathFacts], found: Readings
    ) -> None:
        try:
            traffic = self._host.disk_traffic()
        except (OSError, NotImplementedError) as error:  # a sandbox
            reason = getattr(error, "strerror", None) or error
            found.problem(f"disk traffic: {reason}")
            return
        for paths, readings in wishes.items():
            numbers = {known[path].device for path in paths if path in known}
            devices = self._host.devices_of(numbers, traffic)
            for name in devices:
                device = traffic[name]
                readings.since_first(f"disk.{name}.in", device.in_bytes / BYTES_PER_MB)
                readings.since_first(f"disk.{name}.out", device.out_bytes / BYTES_PER_MB)
            if devices:
                total_in = sum(traffic[name].in_bytes for name in devices)
                total_out = sum(traffic[name].out_bytes for name in devices)
                readings.since_first("disk.in", total_in / BYTES_PER_MB)
                readings.since_first("disk.out", total_out / BYTES_PER_MB)


def _report_space(path: str, facts: PathFacts, readings: Readings) -> None:
    usable_bytes = facts.used_bytes + facts.available_bytes
    if usable_bytes:  # 0: a file system without blocks, such as /proc
        readings.now(f"disk.{path}.usagePercent", 100 * facts.used_bytes / usable_bytes)
    readings.now(f"disk.{path}.usageGB", facts.used_bytes / BYTES_PER_GB)


COLLECTOR = Registration("disk", DiskCollector)
