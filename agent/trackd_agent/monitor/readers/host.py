"""The machine as a whole: memory, CPUs, disks, from `/proc` and `/sys` (formats: proc(5)).

Read here on Linux, so that other roots than the real ones can be read; elsewhere through psutil.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import psutil

from trackd_agent.monitor.readers.cgroup import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: Devices that are no disks: what they carry is counted elsewhere or is memory.
_NOT_DISKS = ("loop", "ram", "zram")
#: The unit of `/proc/diskstats`, whatever sectors a disk has; and its columns: name, read, written.
_SECTOR_BYTES = 512
_NAME, _READ, _WRITTEN = 2, 5, 9
_BYTES_PER_KIB = 1024
_IS_LINUX = sys.platform == "linux"


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of the machine, in bytes."""

    total_bytes: int
    available_bytes: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went through a disk since boot, in bytes: read, and written."""

    in_bytes: int
    out_bytes: int


class HostReader:
    """Reads the machine."""

    def __init__(self, proc_root: Path, sys_root: Path) -> None:
        self._proc = proc_root
        self._sys = sys_root

    @cached_property
    def physical_cpus(self) -> int:
        """Physical cores; logical ones where the machine does not tell."""
        threads = self._sys.glob("devices/system/cpu/cpu[0-9]*/topology/thread_siblings_list")
        cores = {text for path in threads if (text := read_text(path))}
        return len(cores) or psutil.cpu_count(logical=False) or psutil.cpu_count() or 1

    def affinity(self, pid: int) -> int | None:
        """Return to how many CPUs a process is bound, None if to none in particular."""
        if pid <= 0:  # 0 would be the thread that asks
            return None
        try:
            allowed = len(os.sched_getaffinity(pid))
        except (OSError, AttributeError):  # it ended; not on this system
            return None
        return allowed if allowed < (psutil.cpu_count() or 1) else None

    def memory(self) -> Memory | None:
        """Return the machine's memory; None where it does not tell."""
        if not _IS_LINUX:
            memory = psutil.virtual_memory()
            return Memory(memory.total, memory.available)
        kib = parse_meminfo(read_text(self._proc / "meminfo") or "")
        total = kib.get("MemTotal", 0)
        # Kernels before 3.14 do not tell what could be had without swapping.
        rest = sum(kib.get(name, 0) for name in ("MemFree", "Buffers", "Cached"))
        available = min(total, kib.get("MemAvailable", rest))
        return Memory(total * _BYTES_PER_KIB, available * _BYTES_PER_KIB) if total else None

    def disk_traffic(self) -> dict[str, Traffic]:
        """Return bytes read (in) and written (out) by device name, partitions included.

        Raises:
            OSError: The machine does not tell; a sandbox.
        """
        if not _IS_LINUX:
            counters = psutil.disk_io_counters(perdisk=True, nowrap=False)
            return {name: Traffic(c.read_bytes, c.write_bytes) for name, c in counters.items()}
        return parse_diskstats((self._proc / "diskstats").read_text(errors="replace"))

    def devices_of(self, numbers: Iterable[int], known: dict[str, Traffic]) -> list[str]:
        """Return the names of the devices with these numbers.

        Where they are none of its own (tmpfs, the overlay of a container) it is every disk.
        """
        devices = {name for number in numbers if (name := self._device_of(number)) in known}
        return sorted(devices or {name for name in known if self._is_disk(name)})

    def _device_of(self, number: int) -> str:
        try:
            link = os.readlink(f"{self._sys}/dev/block/{os.major(number)}:{os.minor(number)}")  # noqa: PTH115
        except OSError:
            return ""
        return link.rpartition("/")[2]

    def _is_disk(self, name: str) -> bool:
        # Partitions have no folder of their own in /sys/block: their disk counts them.
        whole = os.path.lexists(f"{self._sys}/block/{name}")
        return whole and not name.startswith(_NOT_DISKS)


def parse_meminfo(text: str) -> dict[str, int]:
    """Return the sizes of `/proc/meminfo` in KiB, by name."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdecimal():
            found[name] = int(words[0])
    return found


def parse_diskstats(text: str) -> dict[str, Traffic]:
    """Return the counters of `/proc/diskstats` by device; a line that is none is left out."""
    found: dict[str, Traffic] = {}
    for line in text.splitlines():
        columns = line.split()
        if len(columns) <= _WRITTEN:
            continue
        read, written = columns[_READ], columns[_WRITTEN]
        if read.isdecimal() and written.isdecimal():
            found[columns[_NAME]] = Traffic(int(read) * _SECTOR_BYTES, int(written) * _SECTOR_BYTES)
    return found
