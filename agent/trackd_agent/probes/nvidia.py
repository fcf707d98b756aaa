"""NVIDIA GPUs through NVML, by way of `nvidia-ml-py` (its module is called `pynvml`).

GPUs have NVML's numbers, which follow the PCI order; those of CUDA may differ. A GPU that the
driver loses stays in the list, without facts, and is tried again once in a minute.
"""

from __future__ import annotations

import importlib
import time
from typing import Any

from trackd_agent.probes import AbsentError
from trackd_agent.probes.nvidia_device import Device, gpm_of_gpu, gpm_of_slice
from trackd_agent.probes.nvidia_events import Changes, XidQueue
from trackd_agent.probes.nvml_calls import Calls, DeviceLostError, identity

#: How long a lost GPU is left alone, and how long the list of MIG slices is believed.
LOOK_AGAIN_S = 60.0
#: Reads that lie further apart have nothing "between" them, unless the request says otherwise.
MAX_AGE_S = 60.0
#: What helps against what `nvmlInit` answers (`nvmlReturn_t`).
_REMEDIES = {
    4: "; this user needs access to /dev/nvidia*",
    9: "; load it with: modprobe nvidia",
    18: "; the driver was updated: load it anew, or reboot",
}


def open(options: dict[str, Any]) -> NvidiaProbe:
    """Load the driver's library and find the GPUs.

    Raises:
        AbsentError: There is no library, no driver or no GPU.
    """
    del options
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ImportError as error:
        raise AbsentError(
            "there is an NVIDIA driver, but not the Python module pynvml: "
            "install it with: pip install nvidia-ml-py"
        ) from error
    try:
        nvml.nvmlInit()
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as error:
        remedy = _REMEDIES.get(getattr(error, "value", 0), "")
        raise AbsentError(f"NVIDIA's driver does not answer: {error}{remedy}") from error
    if not count:
        raise AbsentError("the NVIDIA driver knows no GPU")
    return NvidiaProbe(nvml, count)


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

    @property
    def handle(self) -> Any:
        """NVML's handle.

        Raises:
            nvml.NVMLError: The driver does not reach it.
        """
        if self._handle is None:
            self._handle = self._nvml.nvmlDeviceGetHandleByIndex(self.index)
        return self._handle

    def read(self, now_s: float, max_age_s: float) -> tuple[list[Any], list[Any]]:
        """Return the facts of it and of its slices, and what happened; nothing while it is lost."""
        if self.lost and now_s < self._look_again_s:
            return [], []
        try:
            devices = self._read_devices(now_s, max_age_s)
        except DeviceLostError as error:
            return [], self._lose(str(error), now_s)
        events = self._changes.since_last(devices[0], now_s, max_age_s)
        if self.lost and self._was_seen:
            events.append({"kind": "lost", "gpu": self.index, "amount": 0})
        self.lost, self._was_seen = "", True
        return devices, events

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

    def _lose(self, why: str, now_s: float) -> list[dict[str, Any]]:
        for device in (self._device, *self._slices.values()):
            if device is not None:
                device.close()
        is_news = self._was_seen and not self.lost
        self._handle = self._device = None
        self._slices, self._slices_until_s = {}, float("-inf")
        self.lost, self._look_again_s = why, now_s + LOOK_AGAIN_S
        return [{"kind": "lost", "gpu": self.index, "amount": 1}] if is_news else []


class NvidiaProbe:
    """All GPUs of the machine."""

    def __init__(self, nvml: Any, count: int) -> None:
        self._nvml = nvml
        self._gpus = [Gpu(nvml, index) for index in range(count)]
        self._xids = XidQueue(nvml, self._handles())
        self._read_s: float | None = None

    def read(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the facts of all devices, and what happened since the last read.

        A request's `max_age_s` says how long ago that may be to count as "the last".
        """
        now_s, max_age_s = time.monotonic(), float(request.get("max_age_s", MAX_AGE_S))
        devices: list[Any] = []
        events = self._xids.take()
        if self._read_s is None or now_s - self._read_s > max_age_s:
            events = []  # they lay in the queue while nobody asked
        self._read_s = now_s
        for gpu in self._gpus:
            found, happened = gpu.read(now_s, max_age_s)
            devices += found
            events += happened
        lost = {str(gpu.index): gpu.lost for gpu in self._gpus if gpu.lost}
        return {
            "time_s": now_s,
            "count": len(self._gpus),
            "devices": devices,
            "events": events,
            "lost": lost,
        }

    def describe(self) -> dict[str, Any]:
        """Return what the GPUs are, in their order; a lost one tells what it still can."""
        described = [self._describe(gpu) for gpu in self._gpus]
        return {"gpus": described, "cuda_version": self._cuda_version()}

    def _describe(self, gpu: Gpu) -> dict[str, Any]:
        found: dict[str, Any] = {}
        calls = Calls(self._nvml)
        for name, ways in identity(self._nvml).items():
            try:
                fact = calls.ask(name, ways, gpu.handle)
            except (DeviceLostError, self._nvml.NVMLError):
                continue
            if fact is not None:
                found[name] = fact.decode() if isinstance(fact, bytes) else fact
        return found

    def _cuda_version(self) -> int:
        """Return the newest CUDA version that the driver serves (12080 is 12.8), 0: unknown."""
        try:
            return self._nvml.nvmlSystemGetCudaDriverVersion_v2()
        except self._nvml.NVMLError:
            return 0

    def _handles(self) -> list[Any]:
        handles: list[Any] = []
        for gpu in self._gpus:
            try:
                handles.append(gpu.handle)
            except self._nvml.NVMLError:  # told by the first read
                continue
        return handles
