"""What operators want to see of a machine beside what runs record: cores, load, swap, heat, power.

Sources: `/proc/stat`, `/proc/loadavg`, `/proc/uptime`, `/proc/meminfo` (proc(5)), hwmon and thermal
zones of sysfs, and the energy counters of RAPL (`/sys/class/powercap`, often for root alone).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from trackd_agent.monitor.readers.cgroup import read_text
from trackd_agent.monitor.readers.host import parse_meminfo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Fields of a line of `/proc/stat` that are no work: idle, and waiting for input or output.
_IDLE = (3, 4)
#: The last two fields, time of guests, are in the first two as well.
_COUNTED_FIELDS = 8
_MILLI, _MICRO, _BYTES_PER_KIB = 1e-3, 1e-6, 1024
#: Drivers of sensors in processors, and which of their readings stand for the processor: the first
#: kind that there is.
_SENSOR_DRIVERS = ("coretemp", "k10temp", "zenpower")
_SENSOR_KINDS = ("Package", "Core", "Tdie", "Tctl", "Tccd")
_CPU_ZONES = ("x86_pkg_temp", "cpu", "soc")


@dataclass(frozen=True, slots=True)
class CoreTimes:
    """CPU time of one logical processor since boot, in clock ticks."""

    busy: int
    total: int


@dataclass(frozen=True, slots=True)
class Swap:
    """Swap space of the machine, in bytes."""

    used_bytes: int
    total_bytes: int


class DetailsReader:
    """Reads details of the machine."""

    def __init__(self, proc_root: Path, sys_root: Path) -> None:
        self._proc = proc_root
        self._sys = sys_root

    def cores(self) -> dict[int, CoreTimes]:
        """Return the times of each logical processor."""
        return parse_cores(read_text(self._proc / "stat") or "")

    def loads(self) -> tuple[float, ...]:
        """Return the mean numbers of runnable processes over 1, 5 and 15 minutes."""
        words = (read_text(self._proc / "loadavg") or "").split()[:3]
        return tuple(number for word in words if (number := _number(word)) is not None)

    def uptime_s(self) -> float | None:
        """Return the time since boot."""
        words = (read_text(self._proc / "uptime") or "").split()
        return _number(words[0]) if words else None

    def swap(self) -> Swap | None:
        """Return the state of swap; None where the kernel does not tell."""
        kib = parse_meminfo(read_text(self._proc / "meminfo") or "")
        if "SwapTotal" not in kib or "SwapFree" not in kib:
            return None
        used, total = kib["SwapTotal"] - kib["SwapFree"], kib["SwapTotal"]
        return Swap(used * _BYTES_PER_KIB, total * _BYTES_PER_KIB)

    def temperature_c(self) -> float | None:
        """Return the temperature of the processor, the mean of several; None without a sensor."""
        labels = self._sensor_labels()
        for kind in _SENSOR_KINDS:
            chosen = [label for label, text in labels.items() if text.startswith(kind)]
            if found := _numbers(chosen, _input_of):
                return fmean(found) * _MILLI
        zones = sorted((self._sys / "class" / "thermal").glob("thermal_zone*"))
        of_cpu = [zone for zone in zones if (read_text(zone / "type") or "").startswith(_CPU_ZONES)]
        found = _numbers(of_cpu, lambda zone: zone / "temp")
        return fmean(found) * _MILLI if found else None

    def _sensor_labels(self) -> dict[Path, str]:
        """Return the labels of all sensors in processors, by the files that hold them."""
        folders = sorted((self._sys / "class" / "hwmon").glob("hwmon*"))
        drivers = [f for f in folders if (read_text(f / "name") or "").strip() in _SENSOR_DRIVERS]
        labels = [label for folder in drivers for label in sorted(folder.glob("temp*_label"))]
        return {label: read_text(label) or "" for label in labels}

    def energy_j(self) -> float | None:
        """Return the energy that the processors used since some moment; None where not readable."""
        packages = [
            folder
            for folder in sorted((self._sys / "class" / "powercap").glob("intel-rapl:*"))
            if (read_text(folder / "name") or "").startswith("package")
        ]
        found = _numbers(packages, lambda folder: folder / "energy_uj")
        return sum(found) * _MICRO if found and len(found) == len(packages) else None


def parse_cores(text: str) -> dict[int, CoreTimes]:
    """Return the times of `/proc/stat` by logical processor."""
    found: dict[int, CoreTimes] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        number, fields = name.removeprefix("cpu"), rest.split()[:_COUNTED_FIELDS]
        if name.startswith("cpu") and number.isdecimal() and all(map(str.isdecimal, fields)):
            ticks = [int(field) for field in fields]
            idle = sum(ticks[field] for field in _IDLE if field < len(ticks))
            found[int(number)] = CoreTimes(sum(ticks) - idle, sum(ticks))
    return found


def _numbers(items: list[Path], file_of: Callable[[Path], Path]) -> list[float]:
    texts = (read_text(file_of(item)) for item in items)
    return [number for text in texts if (number := _number(text or "")) is not None]


def _input_of(label: Path) -> Path:
    return label.with_name(label.name.replace("_label", "_input"))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
