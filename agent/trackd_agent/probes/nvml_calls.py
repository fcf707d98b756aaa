"""Calling NVML for one device: what it does not support is asked once, what fails is absent.

Every fact has one or more ways to ask for it, the newest first: drivers lack calls that are
younger than they are. Numbers and units are NVML's (the names of facts tell the unit).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Calls for one fact; each takes a device's handle and returns what JSON can hold.
Ways = tuple[Callable[[Any], Any], ...]

_NO_LIMIT = 2**32 - 1  # a field value's scope: all links together
#: NVML's word for a 64-bit figure that it does not know (`NVML_VALUE_NOT_AVAILABLE`).
NOT_AVAILABLE = 2**64 - 1
#: Processes of one device that are listed, at most.
MAX_PIDS = 4096


class DeviceLostError(Exception):
    """The driver cannot reach the device any more (it fell off the bus, or waits for a reset)."""


class Calls:
    """The calls for one device.

    An error says either that the device or the driver cannot do it (then it is not tried again)
    or that it went wrong this time (then the fact is absent, and asked for again).
    """

    def __init__(self, nvml: Any) -> None:
        self._lost = {nvml.NVML_ERROR_GPU_IS_LOST, nvml.NVML_ERROR_RESET_REQUIRED}
        self._older_driver = {
            nvml.NVML_ERROR_FUNCTION_NOT_FOUND,
            nvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        }
        self._never = {
            nvml.NVML_ERROR_NOT_SUPPORTED,
            nvml.NVML_ERROR_INVALID_ARGUMENT,
            nvml.NVML_ERROR_NO_PERMISSION,
        }
        self._uninitialized = nvml.NVML_ERROR_UNINITIALIZED
        self._error: type[Exception] = nvml.NVMLError
        self._next_way: dict[str, int] = {}
        self.failure = ""  # what the last call that went wrong this time answered

    def ask(self, fact: str, ways: Ways, handle: Any) -> Any:
        """Return a fact, None where there is none.

        Raises:
            DeviceLostError: The device is gone.
        """
        while (way := self._next_way.get(fact, 0)) < len(ways):
            try:
                return _known(ways[way](handle))
            except self._error as error:
                code: int = getattr(error, "value", 0)
                if code in self._lost:
                    raise DeviceLostError(str(error)) from error
                if code == self._uninitialized:
                    raise  # the library forgot everything: only a new process helps
                if code in self._older_driver:
                    self._next_way[fact] = way + 1
                    continue
                if code in self._never:
                    self._next_way[fact] = len(ways)
                else:
                    self.failure = str(error)
                return None
        return None


def facts_of_devices(nvml: Any) -> dict[str, Ways]:
    """Return how to ask for what changes, by name of the fact."""

    def clock(kind: int) -> Ways:
        return (lambda handle: nvml.nvmlDeviceGetClockInfo(handle, kind),)

    def errors(kind: int) -> Ways:
        volatile, device_memory = 0, 2
        return (
            lambda handle: nvml.nvmlDeviceGetMemoryErrorCounter(
                handle, kind, volatile, device_memory
            ),
        )

    return {
        "utilization": (lambda handle: _utilization(nvml, handle),),
        "memory": (
            lambda handle: _memory(nvml.nvmlDeviceGetMemoryInfo(handle, nvml.nvmlMemory_v2)),
            lambda handle: _memory(nvml.nvmlDeviceGetMemoryInfo(handle)),
        ),
        "temperature_c": (
            lambda handle: nvml.nvmlDeviceGetTemperature(handle, 0),
            lambda handle: nvml.nvmlDeviceGetTemperatureV(handle, 0),
        ),
        "power_mw": (nvml.nvmlDeviceGetPowerUsage,),
        "power_limit_mw": (nvml.nvmlDeviceGetEnforcedPowerLimit,),
        "energy_mj": (nvml.nvmlDeviceGetTotalEnergyConsumption,),
        "graphics_clock_mhz": clock(0),
        "sm_clock_mhz": clock(1),
        "memory_clock_mhz": clock(2),
        "corrected_errors": errors(0),
        "uncorrected_errors": errors(1),
        "fan_percent": (
            lambda handle: nvml.nvmlDeviceGetFanSpeed_v2(handle, 0),
            nvml.nvmlDeviceGetFanSpeed,
        ),
        "encoder_percent": (lambda handle: nvml.nvmlDeviceGetEncoderUtilization(handle)[0],),
        "slowdown_reasons": (
            nvml.nvmlDeviceGetCurrentClocksEventReasons,
            nvml.nvmlDeviceGetCurrentClocksThrottleReasons,
        ),
    }


def nvlink_traffic(nvml: Any) -> dict[str, Ways]:
    """Return how to ask for NVLink's counters, where there are no profiling counters."""
    return {"nvlink_kib": (lambda handle: _nvlink(nvml, handle),)}


def pcie_traffic(nvml: Any) -> dict[str, Ways]:
    """Return how to ask for PCIe traffic, where there are no profiling counters.

    Each of the two calls watches for 20 ms in the driver.
    """
    return {
        "pcie_tx_kib_s": (lambda handle: nvml.nvmlDeviceGetPcieThroughput(handle, 0),),
        "pcie_rx_kib_s": (lambda handle: nvml.nvmlDeviceGetPcieThroughput(handle, 1),),
    }


def process_lists(nvml: Any) -> dict[str, Ways]:
    """Return how to ask which processes use a device, by kind of use."""

    def ways(*names: str) -> Ways:
        calls: list[Any] = [getattr(nvml, name) for name in names]
        return tuple(lambda handle, call=call: _pids(call(handle)) for call in calls)

    kinds = ("Compute", "Graphics", "MPSCompute")
    return {
        kind: ways(*(f"nvmlDeviceGet{kind}RunningProcesses_v{version}" for version in (3, 2)))
        for kind in kinds
    }


def identity(nvml: Any) -> dict[str, Ways]:
    """Return how to ask for what stays the same."""
    return {
        "name": (nvml.nvmlDeviceGetName,),
        "memory_total_bytes": (
            lambda handle: nvml.nvmlDeviceGetMemoryInfo(handle, nvml.nvmlMemory_v2).total,
            lambda handle: nvml.nvmlDeviceGetMemoryInfo(handle).total,
        ),
        "cuda_cores": (nvml.nvmlDeviceGetNumGpuCores,),
        "architecture": (nvml.nvmlDeviceGetArchitecture,),
        "uuid": (nvml.nvmlDeviceGetUUID,),
        "pci_bus_id": (lambda handle: nvml.nvmlDeviceGetPciInfo(handle).busId,),
    }


def _known(answer: Any) -> Any:
    return None if answer == NOT_AVAILABLE else answer


def _utilization(nvml: Any, handle: Any) -> dict[str, int]:
    rates = nvml.nvmlDeviceGetUtilizationRates(handle)
    return {"gpu_percent": rates.gpu, "memory_percent": rates.memory}


def _memory(memory: Any) -> dict[str, int] | None:
    if NOT_AVAILABLE in (memory.used, memory.total):
        return None
    return {"used_bytes": memory.used, "total_bytes": memory.total}


def _pids(processes: Any) -> list[int]:
    return [process.pid for process in processes][:MAX_PIDS]


def _nvlink(nvml: Any, handle: Any) -> dict[str, int]:
    """Return the counters of data on all links since the driver was loaded."""
    fields = {
        "tx": nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX,
        "rx": nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX,
    }
    values = nvml.nvmlDeviceGetFieldValues(handle, [(each, _NO_LIMIT) for each in fields.values()])
    found = {
        name: int(value.value.ullVal)
        for name, value in zip(fields, values, strict=True)
        if value.nvmlReturn == nvml.NVML_SUCCESS
    }
    if not found:
        raise nvml.NVMLError(nvml.NVML_ERROR_NOT_SUPPORTED)
    return found
