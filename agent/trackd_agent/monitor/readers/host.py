"""The machine as a whole: memory, CPUs, disks, mostly through psutil."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: Devices that are no disks: what they carry is counted elsewhere or is memory.
_NOT_DISKS = ("loop", "ram", "zram")


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of the machine, in bytes."""

    total_bytes: int
    available_bytes: int


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """Space of one file system, in bytes, as `df` counts it."""

    used_bytes: int
    available_bytes: int  # to users without privileges


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went through a disk since boot, in bytes: read, and written."""

    in_bytes: int
    out_bytes: int


class HostReader:
    """Reads the machine."""

    def __init__(self, sys_root: Path) -> None:
        self._sys = sys_root

    @cached_property
    def physical_cpus(self) -> int:
        """Physical cores; logical ones where the machine does not tell."""
        return psutil.cpu_count(logical=False) or psutil.cpu_count() or 1

    def affinity(self, pid: int) -> int | None:
        """Return to how many CPUs a process is bound, None if to none in particular."""
        try:
            allowed = len(os.sched_getaffinity(pid))
        except (OSError, AttributeError):  # it ended; not on this system
            return None
        return allowed if allowed < (psutil.cpu_count() or 1) else None

    def memory(self) -> Memory:
        """Return the machine's memory."""
        memory = psutil.virtual_memory()
        return Memory(memory.total, memory.available)

    def disk_space(self, path: str) -> DiskSpace:
        """Return the space of the file system that holds a path.

        Raises:
            OSError: There is no such path.
        """
        usage = psutil.disk_usage(path)
        return DiskSpace(usage.used, usage.free)

    def disk_traffic(self) -> dict[str, Traffic]:
        """Return bytes read (in) and written (out) by device name, partitions included."""
        counters = psutil.disk_io_counters(perdisk=True, nowrap=False)
        return {
            name: Traffic(device.read_bytes, device.write_bytes)
            for name, device in counters.items()
        }

    def devices_of(self, paths: Sequence[str], known: dict[str, Traffic]) -> list[str]:
        """Return the devices that carry these paths.

        A path on no device of its own (tmpfs, the overlay of a container) stands for every disk.
        """
        devices: set[str] = set()
        for path in paths:
            name = self._device_of(path)
            if name in known:
                devices.add(name)
        return sorted(devices or {name for name in known if self._is_disk(name)})

    def _device_of(self, path: str) -> str:
        try:
            number = os.stat(path).st_dev  # noqa: PTH116 (raises what we want, and is hot)
            link = os.readlink(f"{self._sys}/dev/block/{os.major(number)}:{os.minor(number)}")  # noqa: PTH115
        except OSError:
            return ""
        return link.rpartition("/")[2]

    def _is_disk(self, name: str) -> bool:
        # Partitions have no folder of their own in /sys/block: their disk counts them.
        whole = os.path.lexists(f"{self._sys}/block/{name}")
        return whole and not name.startswith(_NOT_DISKS)
