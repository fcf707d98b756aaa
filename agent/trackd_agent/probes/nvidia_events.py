"""What happens to NVIDIA GPUs between two reads: Xid errors, memory errors, slowdowns.

Xid errors come from the driver's queue of events; the others follow from what changed in the
facts of a device. After a pause (nobody asked for longer than `max_age_s`) there is no "between":
what happened then is no news to whoever asks now, and is dropped.
"""

from __future__ import annotations

import ctypes
from typing import Any

#: Events that are taken out of the driver's queue in one read, or that wait for one.
MAX_EVENTS = 64
#: Reads without a slowdown before it counts as over: near a limit the state flickers.
CALM_READS = 3
#: Corrected errors may come by the thousand: they are told once in this time, summed up.
CORRECTED_EVERY_S = 60.0
#: Reasons that hint at a fault or at bad cooling (`nvmlClocksEventReasons`): hardware slowdown,
#: thermal slowdown of the driver and of the hardware, power brake. Reaching the power cap is
#: what a GPU under load does, and no event.
SLOWDOWNS = 0x8 | 0x20 | 0x40 | 0x80


class XidQueue:
    """The driver's events; stays empty where it offers none (virtual machines, old drivers)."""

    def __init__(self, nvml: Any, handles: dict[int, Any]) -> None:
        """Register the GPUs, by number, as far as they can tell events."""
        self._nvml = nvml
        # A GPU that has fallen off the bus does not tell its number any more.
        self._numbers = {_address(handle): number for number, handle in handles.items()}
        self._set: Any = None
        try:
            self._set = nvml.nvmlEventSetCreate()
        except nvml.NVMLError:
            return
        for handle in handles.values():
            try:
                supported = nvml.nvmlDeviceGetSupportedEventTypes(handle)
                wanted = nvml.nvmlEventTypeXidCriticalError & supported
                if wanted:
                    nvml.nvmlDeviceRegisterEvents(handle, wanted, self._set)
            except nvml.NVMLError:  # this one GPU cannot
                continue

    def take(self) -> list[dict[str, Any]]:
        """Return the Xid errors since the last call."""
        found: list[dict[str, Any]] = []
        while self._set is not None and len(found) < MAX_EVENTS:
            try:
                event = self._nvml.nvmlEventSetWait_v2(self._set, 0)
                index = self._number(event.device)
            except self._nvml.NVMLError:  # a timeout: the queue is empty
                break
            if event.eventType == self._nvml.nvmlEventTypeXidCriticalError:
                found.append({"kind": "xid", "gpu": index, "amount": event.eventData})
        return found

    def _number(self, handle: Any) -> int:
        number = self._numbers.get(_address(handle))
        return self._nvml.nvmlDeviceGetIndex(handle) if number is None else number


def _address(handle: Any) -> int | None:
    return ctypes.cast(handle, ctypes.c_void_p).value


class Changes:
    """What the facts of one GPU say that happened to it."""

    def __init__(self, gpu: int) -> None:
        self._gpu = gpu
        self._seen_s: float | None = None
        self._uncorrected: int | None = None
        self._corrected: int | None = None
        self._corrected_told_s = float("-inf")
        self._reasons = 0
        self._calm_reads = 0

    def since_last(
        self, facts: dict[str, Any], now_s: float, max_age_s: float
    ) -> list[dict[str, Any]]:
        """Return events; facts that are missing say nothing."""
        if self._seen_s is None or now_s - self._seen_s > max_age_s:
            self._uncorrected = self._corrected = None
            self._reasons = 0
        self._seen_s = now_s
        return [*self._errors(facts, now_s), *self._slowdown(facts.get("slowdown_reasons"))]

    def _errors(self, facts: dict[str, Any], now_s: float) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        uncorrected, corrected = facts.get("uncorrected_errors"), facts.get("corrected_errors")
        if uncorrected is not None:
            if self._uncorrected is not None and uncorrected > self._uncorrected:
                events.append(self._event("uncorrected", uncorrected - self._uncorrected))
            self._uncorrected = uncorrected
        if corrected is not None:
            if self._corrected is None or corrected < self._corrected:  # first, or driver reload
                self._corrected = corrected
            is_due = now_s - self._corrected_told_s >= CORRECTED_EVERY_S
            if corrected > self._corrected and is_due:
                events.append(self._event("corrected", corrected - self._corrected))
                self._corrected, self._corrected_told_s = corrected, now_s
        return events

    def _slowdown(self, reasons: int | None) -> list[dict[str, Any]]:
        if reasons is None:
            return []
        bad = reasons & SLOWDOWNS
        if bad & ~self._reasons:
            self._reasons |= bad
            self._calm_reads = 0
            return [self._event("slowdown", self._reasons)]
        if bad or not self._reasons:
            self._calm_reads = 0
            return []
        self._calm_reads += 1
        if self._calm_reads < CALM_READS:
            return []
        self._reasons = 0
        return [self._event("slowdown", 0)]

    def _event(self, kind: str, amount: int) -> dict[str, Any]:
        return {"kind": kind, "gpu": self._gpu, "amount": amount}
