"""One NVIDIA device, a whole GPU or a MIG slice of one: its facts now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd_agent.probes.nvml_calls import (
    Calls,
    DeviceLostError,
    Ways,
    facts_of_devices,
    nvlink_traffic,
    pcie_traffic,
    process_lists,
)

if TYPE_CHECKING:
    from collections.abc import Callable

#: Profiling counters (GPM, Hopper and newer), by NVML's number (`nvmlGpmMetricId_t`).
GPM_METRICS = (2, 3, 5, 7, 10, 11, 12, 13, 20, 21, 60, 61)
#: Reads that lie closer together get the same: a span so short says little about a GPU.
GPM_MIN_S = 0.05
#: PCIe traffic without those is asked for once in this time (it blocks for 40 ms a GPU), so that
#: a short interval between samples stays one.
PCIE_EVERY_S = 0.9


class Gpm:
    """Profiling counters between this read and the one before."""

    def __init__(self, nvml: Any, take: Callable[[Any], object]) -> None:
        """Prepare.

        Args:
            nvml: The library.
            take: Fills a sample with the device's counters.
        """
        self._nvml = nvml
        self._take = take
        self._samples: list[Any] = []  # the newer one first
        self._newer_s: float | None = None
        self._found: dict[str, float] = {}
        self._question = nvml.c_nvmlGpmMetricsGet_t()  # 19 kB: made once
        self._question.version = nvml.NVML_GPM_METRICS_GET_VERSION
        self._question.numMetrics = len(GPM_METRICS)
        for place, number in enumerate(GPM_METRICS):
            self._question.metrics[place].metricId = number

    def read(self, now_s: float, max_age_s: float) -> dict[str, float]:
        """Return the counters by number; none at first, and where the last read is too old.

        Raises:
            nvml.NVMLError: The driver failed.
        """
        age_s = None if self._newer_s is None else now_s - self._newer_s
        if age_s is not None and age_s < GPM_MIN_S and self._found:
            return self._found
        if not self._samples:
            self._samples = [self._nvml.nvmlGpmSampleAlloc() for _ in range(2)]
        self._samples.reverse()
        self._take(self._samples[0])
        self._newer_s = now_s
        self._found = {} if age_s is None or age_s > max_age_s else self._between()
        return self._found

    def close(self) -> None:
        """Give the samples back."""
        for sample in self._samples:
            self._nvml.nvmlGpmSampleFree(sample)

    def _between(self) -> dict[str, float]:
        self._question.sample2, self._question.sample1 = self._samples
        self._nvml.nvmlGpmMetricsGet(self._question)
        answers = (self._question.metrics[place] for place in range(len(GPM_METRICS)))
        return {
            str(answer.metricId): answer.value
            for answer in answers
            if answer.nvmlReturn == self._nvml.NVML_SUCCESS
        }


class Device:
    """A device and how to ask it.

    Args:
        nvml: The library.
        handle: Its handle.
        gpm: Its profiling counters, if it has any.
        name: Its number; a MIG slice has that of its GPU, a colon and its own: `0:1`.
    """

    def __init__(self, nvml: Any, handle: Any, gpm: Gpm | None, name: str) -> None:
        self._name = name
        self._nvml = nvml
        self._handle = handle
        self._calls = Calls(nvml)
        self._gpm = gpm
        self._facts = facts_of_devices(nvml)
        self._nvlink, self._pcie = nvlink_traffic(nvml), pcie_traffic(nvml)
        self._pcie_found: dict[str, Any] = {}
        self._pcie_next_s = float("-inf")
        self._processes = process_lists(nvml)

    def read(self, now_s: float, max_age_s: float) -> dict[str, Any]:
        """Return what it says now; facts that it does not have are left out.

        One that can say nothing has a `failure` instead, the reason.

        Raises:
            DeviceLostError: It is gone.
        """
        facts = self._ask(self._facts)
        found = {"name": self._name, **facts}
        if not facts:
            found["failure"] = self._calls.failure
        if self._gpm is not None:
            found["gpm"] = self._read_gpm(self._gpm, now_s, max_age_s)
        else:
            found |= self._ask(self._nvlink)
            if now_s >= self._pcie_next_s:
                self._pcie_found = self._ask(self._pcie)
                self._pcie_next_s = now_s + PCIE_EVERY_S
            found |= self._pcie_found
        lists = self._ask(self._processes).values()
        found["pids"] = sorted({pid for each in lists for pid in each})
        return found

    def _ask(self, questions: dict[str, Ways]) -> dict[str, Any]:
        answers = (
            (name, self._calls.ask(name, ways, self._handle)) for name, ways in questions.items()
        )
        return {name: answer for name, answer in answers if answer is not None}

    def close(self) -> None:
        """Give back what it holds; it is not read any more."""
        if self._gpm is not None:
            self._gpm.close()
            self._gpm = None

    def _read_gpm(self, gpm: Gpm, now_s: float, max_age_s: float) -> dict[str, float]:
        try:
            return gpm.read(now_s, max_age_s)
        except self._nvml.NVMLError as error:
            if getattr(error, "value", 0) == self._nvml.NVML_ERROR_GPU_IS_LOST:
                raise DeviceLostError(str(error)) from error
            self.close()  # from the next read on traffic is asked for as without the counters
            return {}


def gpm_of_gpu(nvml: Any, handle: Any) -> Gpm | None:
    """Return the profiling counters of a whole GPU, None where it has none."""
    return _gpm(nvml, handle, lambda sample: nvml.nvmlGpmSampleGet(handle, sample))


def gpm_of_slice(nvml: Any, parent: Any, handle: Any) -> Gpm | None:
    """Return the profiling counters of a MIG slice, None where it has none."""
    try:
        instance = nvml.nvmlDeviceGetGpuInstanceId(handle)
    except nvml.NVMLError:
        return None
    return _gpm(nvml, parent, lambda sample: nvml.nvmlGpmMigSampleGet(parent, instance, sample))


def _gpm(nvml: Any, handle: Any, take: Callable[[Any], object]) -> Gpm | None:
    try:
        is_supported = nvml.nvmlGpmQueryDeviceSupport(handle).isSupportedDevice
        return Gpm(nvml, take) if is_supported else None
    except nvml.NVMLError:  # a driver that is older than these counters
        return None
