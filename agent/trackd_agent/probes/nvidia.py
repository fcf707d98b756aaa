"""NVIDIA GPUs through NVML, by way of `nvidia-ml-py` (its module is called `pynvml`).

GPUs have NVML's numbers, which follow the PCI order; those of CUDA may differ. A GPU that the
driver loses stays in the list, without facts, and is tried again once in a minute.
"""

from __future__ import annotations

import importlib
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from trackd_agent.probes import AbsentError
from trackd_agent.probes.nvidia_events import XidQueue
from trackd_agent.probes.nvidia_gpu import Gpu

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
#: How long a read may take, unless the options of `open` say otherwise.
PATIENCE_S = 1.2
#: A call that has not come back for so long hangs; before, it is slow.
HANGING_S = 10.0
#: Reads that lie further apart have nothing "between" them, unless the request says otherwise.
MAX_AGE_S = 60.0
#: What helps against what `nvmlInit` answers (`nvmlReturn_t`).
_REMEDIES = {
    4: "; this user needs access to /dev/nvidia*",
    9: "; load it with: modprobe nvidia",
    18: "; the driver was updated: load it anew, or reboot",
}


def open(options: dict[str, Any]) -> NvidiaProbe:
    """Load the driver's library and find the GPUs; `patience_s` is how long a read may take.

    Raises:
        AbsentError: There is no library, no driver or no GPU.
    """
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
    return NvidiaProbe(nvml, count, float(options.get("patience_s", PATIENCE_S)))


@dataclass
class Hanging:
    """A call that took longer than a read may."""

    since_s: float
    future: Future[Any]
    is_told: bool = False


class NvidiaProbe:
    """All GPUs of the machine, asked one after the other.

    Each is asked in a thread, so that a call that hangs, as on a GPU that is about to be lost,
    costs this GPU alone: it is left out until the call comes back, if ever.
    """

    def __init__(self, nvml: Any, count: int, patience_s: float) -> None:
        self._nvml = nvml
        self._patience_s = patience_s
        self._gpus = [Gpu(nvml, index) for index in range(count)]
        self._identities: dict[int, dict[str, Any]] = {}
        self._xids = XidQueue(nvml, self._handles())
        self._read_s = time.monotonic()
        self._threads = ThreadPoolExecutor(count)
        self._hanging: dict[int, Hanging] = {}  # by number of the GPU

    def read(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the facts of all devices, and what happened since the last read.

        A request's `max_age_s` says how long ago that may be to count as "the last".
        """
        now_s, max_age_s = time.monotonic(), float(request.get("max_age_s", MAX_AGE_S))
        events = self._xids.take()
        if now_s - self._read_s > max_age_s:
            events = []  # they lay in the queue while nobody asked
        self._read_s = now_s
        devices: list[Any] = []
        until_s = now_s + self._patience_s
        for gpu in self._gpus:
            read = partial(gpu.read, now_s, max_age_s)
            devices += self._ask(gpu.index, read, until_s) or []
            events += gpu.take_events()
        return {
            "time_s": now_s,
            "count": len(self._gpus),
            "devices": devices,
            "events": events + self._news_of_hanging(now_s),
            "lost": {str(gpu.index): why for gpu in self._gpus if (why := self._why_lost(gpu))},
        }

    def describe(self) -> dict[str, Any]:
        """Return what the GPUs are, in their order; of a lost one what was ever known."""
        until_s = time.monotonic() + self._patience_s
        for gpu in self._gpus:
            known = self._identities.setdefault(gpu.index, {})
            known.update(self._ask(gpu.index, gpu.describe, until_s) or {})
        gpus = [self._identities[gpu.index] for gpu in self._gpus]
        return {"gpus": gpus, "cuda_version": self._cuda_version()}

    def _ask(self, gpu: int, call: Callable[[], _T], until_s: float) -> _T | None:
        """Return what a call for a GPU returns, None while it or an earlier one hangs."""
        hanging = self._hanging.get(gpu)
        if hanging and not hanging.future.done():
            return None
        future = self._threads.submit(call)
        try:
            # Half of what is left: who comes after one that hangs must get time as well.
            return future.result(max(0.0, until_s - time.monotonic()) / 2)
        except TimeoutError:
            self._hanging[gpu] = Hanging(time.monotonic(), future)
            return None

    def _news_of_hanging(self, now_s: float) -> list[dict[str, Any]]:
        """Return events of calls that hang, or did: their own answers are out of date."""
        events: list[dict[str, Any]] = []
        for gpu, hanging in list(self._hanging.items()):
            if hanging.future.done():
                del self._hanging[gpu]
                amount = 0
            elif now_s - hanging.since_s >= HANGING_S and not hanging.is_told:
                hanging.is_told = True
                amount = 1
            else:
                continue
            if hanging.is_told:
                events.append({"kind": "hanging", "gpu": gpu, "amount": amount})
        return events

    def _why_lost(self, gpu: Gpu) -> str:
        hanging = self._hanging.get(gpu.index)
        if hanging and hanging.is_told:
            return "a call to the driver does not come back"
        return gpu.lost

    def _cuda_version(self) -> int:
        """Return the newest CUDA version that the driver serves (12080 is 12.8), 0: unknown."""
        try:
            return self._nvml.nvmlSystemGetCudaDriverVersion_v2()
        except self._nvml.NVMLError:
            return 0

    def _handles(self) -> dict[int, Any]:
        handles: dict[int, Any] = {}
        for gpu in self._gpus:
            try:
                handles[gpu.index] = gpu.handle
            except self._nvml.NVMLError:  # told by the first read
                continue
        return handles
