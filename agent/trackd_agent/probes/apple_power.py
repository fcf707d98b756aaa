"""Energy and clocks of Apple's chips, from IOReport: what `powermetrics` reads, without root.

The library is not documented by Apple; names of groups, channels and states are those that open
source monitors of these machines found.
"""

from __future__ import annotations

import ctypes
import struct
import time
from typing import TYPE_CHECKING, Any

from trackd_agent.probes import AbsentError
from trackd_agent.probes.apple_frameworks import CoreFoundation, IoKit, Paths, declare

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Groups and subgroups of channels that are subscribed to.
_CPU, _GPU = "CPU Core Performance States", "GPU Performance States"
_ENERGY = "Energy Model"
_CHANNELS = ((_ENERGY, ""), ("CPU Stats", _CPU), ("GPU Stats", _GPU))
#: Property of the power manager that lists the clocks of a kind of unit.
_CLOCKS = {
    "ecpu": "voltage-states1-sram",
    "pcpu": "voltage-states5-sram",
    "gpu": "voltage-states9",
}
#: How long the first reading lasts; later ones last since the one before.
_FIRST_S = 0.1
_POINTER, _U64 = ctypes.c_void_p, ctypes.c_uint64


class PowerReport:
    """A subscription to IOReport's channels."""

    def __init__(self, foundation: CoreFoundation, paths: Paths) -> None:
        try:
            library = ctypes.CDLL(paths.io_report)
        except OSError as error:
            raise AbsentError(f"IOReport cannot be loaded ({error})") from error
        self._foundation = foundation
        self._declare(library)
        self._channels = self._choose_channels()
        ignored = _POINTER()
        self._subscription = self._subscribe(None, self._channels, ctypes.byref(ignored), 0, None)
        if not self._subscription:
            raise AbsentError("IOReport refuses a subscription")
        self._before = self._sample(self._subscription, self._channels, None)
        self._before_s = time.monotonic()
        time.sleep(_FIRST_S)

    def read(self) -> dict[str, Any]:
        """Return what happened since the last call.

        `seconds`, `energy` (name of a unit, unit of measure, amount) and `residency` (name of a
        unit → its states with the time in each).
        """
        now, now_s = self._sample(self._subscription, self._channels, None), time.monotonic()
        delta = self._difference(self._before, now, None)
        seconds = now_s - self._before_s
        self._foundation.release(self._before)
        self._before, self._before_s = now, now_s
        try:
            return {"seconds": seconds, **self._told(delta)}
        finally:
            self._foundation.release(delta)

    def _told(self, delta: int) -> dict[str, Any]:
        energy: list[tuple[str, str, int]] = []
        residency: dict[str, list[tuple[str, int]]] = {}
        channels = self._foundation.value_of(delta, "IOReportChannels")
        text_of = self._foundation.text_of
        for item in self._foundation.items_of(channels) if channels else ():
            name = text_of(self._name(item))
            if text_of(self._group(item)) == _ENERGY:
                if name.endswith(("CPU Energy", "GPU Energy")) or name.startswith("ANE"):
                    energy.append((name, text_of(self._unit(item)).strip(), self._value(item, 0)))
            elif text_of(self._subgroup(item)) in (_CPU, _GPU):
                residency[name] = list(self._states_of(item))
        return {"energy": energy, "residency": residency}

    def _states_of(self, item: int) -> Iterator[tuple[str, int]]:
        for index in range(self._states(item)):
            name = self._foundation.text_of(self._state(item, index))
            yield name, self._residency(item, index)

    def _choose_channels(self) -> int:
        chosen = 0
        for group, subgroup in _CHANNELS:
            with self._foundation.text(group) as one, self._foundation.text(subgroup) as two:
                found = self._find(one, two if subgroup else None, 0, 0, 0)
            if not found:
                raise AbsentError(f"IOReport has no channels of the group {group}")
            if chosen:
                self._merge(chosen, found, None)
                self._foundation.release(found)
            chosen = chosen or found
        copy = self._foundation.copy_dictionary(None, 0, chosen)
        self._foundation.release(chosen)
        return copy

    def _declare(self, library: ctypes.CDLL) -> None:
        p, signed, int32 = _POINTER, ctypes.c_int64, ctypes.c_int32
        self._find = declare(library, "IOReportCopyChannelsInGroup", p, p, p, _U64, _U64, _U64)
        self._merge = declare(library, "IOReportMergeChannels", None, p, p, p)
        self._subscribe = declare(library, "IOReportCreateSubscription", p, p, p, p, _U64, p)
        self._sample = declare(library, "IOReportCreateSamples", p, p, p, p)
        self._difference = declare(library, "IOReportCreateSamplesDelta", p, p, p, p)
        self._group = declare(library, "IOReportChannelGetGroup", p, p)
        self._subgroup = declare(library, "IOReportChannelGetSubGroup", p, p)
        self._name = declare(library, "IOReportChannelGetChannelName", p, p)
        self._unit = declare(library, "IOReportChannelGetUnitLabel", p, p)
        self._value = declare(library, "IOReportSimpleGetIntegerValue", signed, p, int32)
        self._states = declare(library, "IOReportStateGetCount", int32, p)
        self._state = declare(library, "IOReportStateGetNameForIndex", p, p, int32)
        self._residency = declare(library, "IOReportStateGetResidency", signed, p, int32)


def clocks(foundation: CoreFoundation, kernel: IoKit) -> dict[str, list[float]]:
    """Return the clocks in MHz that each kind of unit (`ecpu`, `pcpu`, `gpu`) can have."""
    found: dict[str, list[float]] = {}
    with kernel.service("AppleARMIODevice", "pmgr") as manager:
        for kind, name in _CLOCKS.items():
            with kernel.property(manager, name) as data:
                if data:
                    found[kind] = parse_clocks(foundation.bytes_of(data))
    return found


def parse_clocks(data: bytes) -> list[float]:
    """Return clocks in MHz from pairs of clock and voltage; a 0 is no clock.

    Clocks are in Hz; in kHz for the CPUs of the M4 and later.
    """
    pairs = struct.iter_unpack("<II", data[: len(data) // 8 * 8])
    found: list[int] = [clock for clock, _ in pairs if clock]
    unit = 1e6 if max(found, default=0) >= 1e8 else 1e3
    return [clock / unit for clock in found]
