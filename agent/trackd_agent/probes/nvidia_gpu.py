"""One NVIDIA GPU with its MIG slices, as long as the driver reaches it."""

from __future__ import annotations

from collections import deque
from typing import Any

from trackd_agent.probes.nvidia_device import Device, gpm_of_gpu, gpm_of_slice
from trackd_agent.probes.nvidia_events import MAX_EVENTS, Changes
from trackd_agent.probes.nvml_calls import Calls, DeviceLostError, identity

#: How long a lost GPU is left alone, and how long the list of MIG slices is believed.
LOOK_AGAIN_S = 60.0


class Gpu:
    """One GPU, its MIG slices, and whether the driver still reaches it."""

    def __init__(self, nvml: Any, index: int) -> None:
        self.index = index
        self.lost = ""  # why it is not read; empty: it is
        self._nvml = nvml
        self._was_seen = False
        self._look_again_s = float("-inf")
        self._handle: Any = None
        self._device: Device | None = None
        self._slices: dict[str, Device] = {}  # by UUID
        self._slices_until_s = float("-inf")
        self._changes = Changes(index)
        self._events: deque[dict[str, Any]] = deque(maxlen=MAX_EVENTS)

    @property
    def handle(self) -> Any:
        """NVML's handle.

        Raises:
            nvml.NVMLError: The driver does not reach it.
        """
        if self._handle is None:
            self._handle = self._nvml.nvmlDeviceGetHandleByIndex(self.index)
        return self._handle

    def read(self, now_s: float, max_age_s: float) -> list[dict[str, Any]]:
        """Return the facts of it and of its slices, none while it is lost; keeps the events."""
        if self.lost and now_s < self._look_again_s:
            return []
        try:
            devices = self._read_devices(now_s, max_age_s)
        except DeviceLostError as error:
            self._lose(str(error), now_s)
            return []
        self._events.extend(self._changes.since_last(devices[0], now_s, max_age_s))
        if self.lost and self._was_seen:
            self._events.append({"kind": "lost", "gpu": self.index, "amount": 0})
        self.lost, self._was_seen = "", True
        return devices

    def take_events(self) -> list[dict[str, Any]]:
        """Return what happened since the last call, also in a read that came back late."""
        return [self._events.popleft() for _ in range(len(self._events))]

    def _read_devices(self, now_s: float, max_age_s: float) -> list[dict[str, Any]]:
        if self._device is None:
            try:
                handle = self.handle
            except self._nvml.NVMLError as error:
                raise DeviceLostError(str(error)) from error
            gpm = gpm_of_gpu(self._nvml, handle)
            self._device = Device(self._nvml, handle, gpm, str(self.index))
        found = [self._device.read(now_s, max_age_s)]
        if now_s >= self._slices_until_s:
            self._find_slices()
            self._slices_until_s = now_s + LOOK_AGAIN_S
        return found + [device.read(now_s, max_age_s) for device in self._slices.values()]

    def _find_slices(self) -> None:
        """Look for MIG slices; they are made and removed while the machine runs."""
        nvml, parent, known = self._nvml, self.handle, self._slices
        self._slices = {}
        for number in range(self._slice_places()):
            try:
                handle = nvml.nvmlDeviceGetMigDeviceHandleByIndex(parent, number)
                uuid = nvml.nvmlDeviceGetUUID(handle)
            except nvml.NVMLError:  # a place without a slice
                continue
            device = known.pop(uuid, None)
            if device is None:
                name = f"{self.index}:{number}"
                device = Device(nvml, handle, gpm_of_slice(nvml, parent, handle), name)
            self._slices[uuid] = device
        for device in known.values():
            device.close()

    def _slice_places(self) -> int:
        try:
            is_sliced = (
                self._nvml.nvmlDeviceGetMigMode(self.handle)[0] == self._nvml.NVML_DEVICE_MIG_ENABLE
            )
            return self._nvml.nvmlDeviceGetMaxMigDeviceCount(self.handle) if is_sliced else 0
        except self._nvml.NVMLError:  # it cannot be cut into slices
            return 0

    def _lose(self, why: str, now_s: float) -> None:
        for device in (self._device, *self._slices.values()):
            if device is not None:
                device.close()
        if self._was_seen and not self.lost:
            self._events.append({"kind": "lost", "gpu": self.index, "amount": 1})
        self._handle = self._device = None
        self._slices, self._slices_until_s = {}, float("-inf")
        self.lost, self._look_again_s = why, now_s + LOOK_AGAIN_S

    def describe(self) -> dict[str, Any]:
        """Return what it is; a lost one tells what it still can."""
        found: dict[str, Any] = {}
        calls = Calls(self._nvml)
        for name, ways in identity(self._nvml).items():
            try:
                fact = calls.ask(name, ways, self.handle)
            except (DeviceLostError, self._nvml.NVMLError):
                continue
            if fact is not None:
                found[name] = fact.decode() if isinstance(fact, bytes) else fact
        return found
