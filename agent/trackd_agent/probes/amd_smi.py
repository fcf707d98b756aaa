"""AMD GPUs through the Python package `amdsmi`, which brings or finds `libamd_smi.so`."""

from __future__ import annotations

import importlib
from typing import Any, cast

from trackd_agent.probes import AbsentError

_MICRO = 1e6


def open(options: dict[str, Any]) -> AmdSmi:
    """Return the probe.

    Raises:
        AbsentError: There is no such package, or it finds no GPU.
    """
    del options
    return AmdSmi()


class AmdSmi:
    """The package `amdsmi`, functions as in its documentation."""

    def __init__(self) -> None:
        try:
            # Without its shared library the import raises KeyError, or OSError.
            self._smi: Any = importlib.import_module("amdsmi")
        except Exception as error:
            raise AbsentError(f"amdsmi cannot be imported ({error!r})") from error
        try:
            self._smi.amdsmi_init()
            found: list[Any] = self._smi.amdsmi_get_processor_handles()
        except self._smi.AmdSmiException as error:
            raise AbsentError(f"amdsmi does not initialise ({error})") from error
        if not found:
            raise AbsentError("amdsmi finds no GPU")
        self._handles = found

    def read(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return `devices`: facts by name, as in `amd`."""
        del request
        return {"devices": [_known(self._read_one(i, h)) for i, h in enumerate(self._handles)]}

    def describe(self) -> dict[str, Any]:
        """Return `devices`: what each GPU is."""
        return {"devices": [_known(self._describe_one(i, h)) for i, h in enumerate(self._handles)]}

    def _read_one(self, index: int, handle: Any) -> dict[str, Any]:
        smi = self._smi
        activity = self._info("amdsmi_get_gpu_activity", handle)
        power = self._info("amdsmi_get_power_info", handle)
        vram = smi.AmdSmiMemoryType.VRAM
        sensor, now = smi.AmdSmiTemperatureType.VRAM, smi.AmdSmiTemperatureMetric.CURRENT
        return {
            "index": index,
            "use_percent": activity.get("gfx_activity"),
            "vram_used_bytes": self._ask("amdsmi_get_gpu_memory_usage", handle, vram),
            "vram_total_bytes": self._ask("amdsmi_get_gpu_memory_total", handle, vram),
            "memory_busy_percent": activity.get("umc_activity"),
            "memory_overdrive_percent": self._ask("amdsmi_get_gpu_mem_overdrive_level", handle),
            "memory_temperature_c": self._ask("amdsmi_get_temp_metric", handle, sensor, now),
            "power_w": _first_number(
                power.get("current_socket_power"), power.get("average_socket_power")
            ),
            "power_cap_w": self._power_cap_w(handle),
            "energy_j": self._energy_j(handle),
        }

    def _power_cap_w(self, handle: Any) -> float | None:
        info = self._info("amdsmi_get_power_cap_info", handle)
        return _scaled(_first_number(info.get("power_cap")), _MICRO)

    def _energy_j(self, handle: Any) -> float | None:
        info = self._info("amdsmi_get_energy_count", handle)
        # The first name since ROCm 6.2, the second before.
        count = _first_number(info.get("energy_accumulator"), info.get("power"))
        step_uj = _first_number(info.get("counter_resolution"))
        if count is None or step_uj is None or step_uj <= 0:
            return None
        return count * step_uj / _MICRO

    def _describe_one(self, index: int, handle: Any) -> dict[str, Any]:
        asic = self._info("amdsmi_get_gpu_asic_info", handle)
        vbios = self._info("amdsmi_get_gpu_vbios_info", handle)
        level = self._ask("amdsmi_get_gpu_perf_level", handle)
        ranges = self._info("amdsmi_get_gpu_od_volt_info", handle)
        return {
            "index": index,
            "unique_id": asic.get("asic_serial"),
            "vbios_version": vbios.get("part_number"),
            "performance_level": str(level).rpartition("LEVEL_")[2].lower() if level else None,
            "overdrive_percent": self._ask("amdsmi_get_gpu_overdrive_level", handle),
            "memory_overdrive_percent": self._ask("amdsmi_get_gpu_mem_overdrive_level", handle),
            "power_cap_w": self._power_cap_w(handle),
            "name": asic.get("market_name"),
            "device_id": asic.get("device_id"),
            "vendor": asic.get("vendor_name"),
            "core_range_hz": _bounds(ranges.get("curr_sclk_range")),
            "memory_range_hz": _bounds(ranges.get("curr_mclk_range")),
        }

    def _info(self, name: str, handle: Any) -> dict[str, Any]:
        """Return what a function tells as a dictionary, empty where it fails."""
        found: object = self._ask(name, handle)
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}

    def _ask(self, name: str, *arguments: Any) -> Any:
        function = getattr(self._smi, name, None)
        try:
            return None if function is None else function(*arguments)
        except self._smi.AmdSmiException:
            return None  # what this device, or its driver, does not support


def _known(facts: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the library did not tell; amdsmi says "N/A"."""
    return {name: fact for name, fact in facts.items() if fact is not None and fact != "N/A"}


def _scaled(value: float | None, divisor: float) -> float | None:
    return None if value is None else value / divisor


def _first_number(*values: Any) -> float | None:
    return next((value for value in values if isinstance(value, int | float)), None)


def _bounds(limits: object) -> list[int] | None:
    match limits:
        case {"lower_bound": int(low), "upper_bound": int(high)}:
            return [low, high]
        case _:
            return None
