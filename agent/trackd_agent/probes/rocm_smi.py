"""AMD GPUs through `librocm_smi64.so`; functions and constants as in `rocm_smi/rocm_smi.h`."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from trackd_agent.probes import AbsentError

if TYPE_CHECKING:
    from collections.abc import Callable

#: Where the ROCm SMI library is looked for: the loader's path, then ROCm's usual folder.
ROCM_SMI_LIBRARIES = ("librocm_smi64.so", "librocm_smi64.so.1", "/opt/rocm/lib/librocm_smi64.so")
#: `rsmi_dev_perf_level_t`, in the words of the tool `rocm-smi`.
PERFORMANCE_LEVELS = (
    "auto",
    "low",
    "high",
    "manual",
    "stable_std",
    "stable_peak",
    "stable_min_mclk",
    "stable_min_sclk",
    "perf_determinism",
)
_VRAM = 0  # rsmi_memory_type_t
_MEMORY_SENSOR = 2  # rsmi_temperature_type_t
_CURRENT = 0  # rsmi_temperature_metric_t
_TEXT_BYTES = 256
#: More than any version of `rsmi_od_volt_freq_data_t`, which starts with two ranges of Hz.
_FREQUENCIES_WORDS = 512
_MILLI, _MICRO = 1e3, 1e6


def open(options: dict[str, Any]) -> RocmSmi:
    """Return the probe.

    Raises:
        AbsentError: There is no such library, or it finds no GPU.
    """
    del options
    return RocmSmi()


class RocmSmi:
    """`librocm_smi64.so` through ctypes; functions as in `rocm_smi/rocm_smi.h`."""

    def __init__(self) -> None:
        self._library = _load(ROCM_SMI_LIBRARIES)
        if status := self._library.rsmi_init(ctypes.c_uint64(0)):
            raise AbsentError(f"librocm_smi64.so does not initialise (status {status})")
        if not self._count():
            raise AbsentError("librocm_smi64.so finds no GPU")

    def read(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return `devices`: facts by name, as in `amd`."""
        del request
        return {"devices": [_known(self._read_one(i)) for i in range(self._count())]}

    def describe(self) -> dict[str, Any]:
        """Return `devices`: what each GPU is."""
        return {"devices": [_known(self._describe_one(i)) for i in range(self._count())]}

    def _count(self) -> int:
        return int(self._number("rsmi_num_monitor_devices", ctypes.c_uint32) or 0)

    def _read_one(self, device: int) -> dict[str, Any]:
        u32, u64 = ctypes.c_uint32, ctypes.c_uint64
        temperature = self._number(
            "rsmi_dev_temp_metric_get", ctypes.c_int64, device, _MEMORY_SENSOR, _CURRENT
        )
        return {
            "index": device,
            "use_percent": self._number("rsmi_dev_busy_percent_get", u32, device),
            "vram_used_bytes": self._number("rsmi_dev_memory_usage_get", u64, device, _VRAM),
            "vram_total_bytes": self._number("rsmi_dev_memory_total_get", u64, device, _VRAM),
            "memory_busy_percent": self._number("rsmi_dev_memory_busy_percent_get", u32, device),
            "memory_overdrive_percent": self._number(
                "rsmi_dev_mem_overdrive_level_get", u32, device
            ),
            "memory_temperature_c": _scaled(temperature, _MILLI),
            "power_w": _scaled(self._power_uw(device), _MICRO),
            "power_cap_w": _scaled(self._number("rsmi_dev_power_cap_get", u64, device, 0), _MICRO),
            "energy_j": self._energy_j(device),
        }

    def _power_uw(self, device: int) -> float | None:
        power = ctypes.c_uint64()
        if hasattr(self._library, "rsmi_dev_power_get"):
            kind = ctypes.c_int()
            function = self._library.rsmi_dev_power_get
            failed = function(device, ctypes.byref(power), ctypes.byref(kind))
            return None if failed else power.value
        # ROCm before 5.7 has only the averaged power.
        return self._number("rsmi_dev_power_ave_get", ctypes.c_uint64, device, 0)

    def _energy_j(self, device: int) -> float | None:
        count, step_uj, time = ctypes.c_uint64(), ctypes.c_float(), ctypes.c_uint64()
        function = getattr(self._library, "rsmi_dev_energy_count_get", None)
        arguments = [ctypes.byref(each) for each in (count, step_uj, time)]
        if function is None or function(device, *arguments):
            return None
        # No step, no measurement: so does the W&B client.
        return count.value * step_uj.value / _MICRO if step_uj.value > 0 else None

    def _describe_one(self, device: int) -> dict[str, Any]:
        level = self._number("rsmi_dev_perf_level_get", ctypes.c_int, device)
        cap = self._number("rsmi_dev_power_cap_get", ctypes.c_uint64, device, 0)
        unique = self._number("rsmi_dev_unique_id_get", ctypes.c_uint64, device)
        model = self._number("rsmi_dev_id_get", ctypes.c_uint16, device)
        return {
            "index": device,
            "unique_id": None if unique is None else f"{int(unique):#x}",
            "vbios_version": self._text("rsmi_dev_vbios_version_get", device),
            "performance_level": _performance_level(level),
            "overdrive_percent": self._number(
                "rsmi_dev_overdrive_level_get", ctypes.c_uint32, device
            ),
            "memory_overdrive_percent": self._number(
                "rsmi_dev_mem_overdrive_level_get", ctypes.c_uint32, device
            ),
            "power_cap_w": _scaled(cap, _MICRO),
            "name": self._text("rsmi_dev_name_get", device),
            "device_id": None if model is None else f"{int(model):#x}",
            "vendor": self._text("rsmi_dev_vendor_name_get", device),
        } | self._frequencies(device)

    def _frequencies(self, device: int) -> dict[str, Any]:
        words = (ctypes.c_uint64 * _FREQUENCIES_WORDS)()
        function = getattr(self._library, "rsmi_dev_od_volt_info_get", None)
        if function is None or function(device, ctypes.byref(words)):
            return {}
        return {"core_range_hz": [words[0], words[1]], "memory_range_hz": [words[2], words[3]]}

    def _number(self, name: str, kind: Callable[[], Any], *arguments: int) -> float | None:
        """Return what a function writes to its last argument, None where it fails."""
        function = getattr(self._library, name, None)
        value = kind()
        failed = function is None or function(*arguments, ctypes.byref(value))
        return None if failed else value.value

    def _text(self, name: str, device: int) -> str | None:
        function = getattr(self._library, name, None)
        text = ctypes.create_string_buffer(_TEXT_BYTES)
        if function is None or function(device, text, ctypes.c_size_t(_TEXT_BYTES)):
            return None
        return text.value.decode(errors="replace")


def _load(names: tuple[str, ...]) -> ctypes.CDLL:
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue  # not there: the next place
    raise AbsentError("there is no librocm_smi64.so")


def _known(facts: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the library did not tell."""
    return {name: fact for name, fact in facts.items() if fact is not None}


def _scaled(value: float | None, divisor: float) -> float | None:
    return None if value is None else value / divisor


def _performance_level(level: float | None) -> str | None:
    if level is None:
        return None
    known = 0 <= level < len(PERFORMANCE_LEVELS)
    return PERFORMANCE_LEVELS[int(level)] if known else "unknown"
