"""Graphcore IPUs that a rank uses, with the keys of the W&B client before 0.18.

Later versions of that client have no collector for them; its charts still know the keys.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from trackd_agent.monitor.contract import NoDataError, Readings, Registration
from trackd_agent.monitor.readers.ipu import parse_devices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.subject import Target

#: Ending of a field's name → unit at the end of its value.
_UNITS = {
    "temp": "C",
    "clock": "MHz",
    "power": "W",
    "utilisation": "%",
    "utilisation (session)": "%",
    "speed": "GT/s",
}
#: Fields that change; all others are told in a device's first sample only.
_CHANGING = {
    "average board temp",
    "average die temp",
    "clock",
    "ipu power",
    "ipu utilisation",
    "ipu utilisation (session)",
}
_PID = re.compile(r"[0-9]{1,10}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class IpuCollector:
    """Reports `ipu.{id}.{field}`, the unit of a field in brackets at its end.

    A device counts for the rank whose process uses it (or, with `x_stats_track_process_tree`,
    one of its descendants). `ipu power (W)`, `clock (MHz)`, temperatures in C and utilisations
    in % are in each sample, all other numbers in the first one that a rank has of a device.
    """

    def __init__(self, readers: Readers) -> None:
        self._ipu = readers.ipu
        self._processes = readers.process

    def collect(self, targets: Sequence[Target]) -> Readings:
        """Ask once; hand each device to the targets that use it."""
        devices = parse_devices(self._ipu.ask()["devices"])
        found = Readings()
        users_of_any = {device.get("user process id", "") for device in devices}
        lineages = self._processes.lineages(int(pid) for pid in users_of_any if _PID.fullmatch(pid))
        for target in targets:
            tree = target.subject.track_process_tree
            own = self._processes.members(target.process, lineages)
            users = {str(pid) for pid in (own if tree else (target.subject.pid,))}
            for device in devices:
                if device.get("user process id") in users:
                    _report(device, target, found)
        if not found.by_subject:
            raise NoDataError("no watched process uses an IPU")
        return found

    def describe(self) -> dict[str, Any]:
        """Return `ipu`: vendor, how many devices and which.

        Raises:
            NoDataError: There is no IPU.
        """
        devices: list[dict[str, str]] = self._ipu.describe()["devices"]
        return {"ipu": {"vendor": "Graphcore", "device_count": len(devices), "devices": devices}}


def numbers(device: Mapping[str, str]) -> dict[str, tuple[str, float]]:
    """Return the numbers of a device: field → (name with its unit, value)."""
    found: dict[str, tuple[str, float]] = {}
    for field, text in device.items():
        unit = next((unit for end, unit in _UNITS.items() if field.endswith(end)), "")
        has_unit = bool(unit) and text.endswith(unit)
        number = text.removesuffix(unit).strip() if has_unit else text
        value = float(number) if _NUMBER.fullmatch(number) else math.nan
        if math.isfinite(value):
            found[field] = (f"{field} ({unit})" if has_unit else field, value)
    return found


def _report(device: Mapping[str, str], target: Target, found: Readings) -> None:
    for field, (name, value) in numbers(device).items():
        report = found.now if field in _CHANGING else found.once
        report(f"ipu.{device['id']}.{name}", value, target)


COLLECTOR = Registration("ipu", IpuCollector)
