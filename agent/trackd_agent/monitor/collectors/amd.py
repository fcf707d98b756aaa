"""AMD GPUs: the figures of ROCm's libraries, or of the tool `rocm-smi` where there is none.

Libraries first (`probes.amd` says which), as in the W&B client 0.31; the tool's JSON, of ROCm 5
and 6, was the source of earlier ones and serves containers that hold nothing but the tool. Both
are put into the same words before they become keys. A field that is missing, is not a number
(`N/A (Secondary die)`) or not finite has no key.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from trackd_agent.monitor.contract import NoDataError, Readings, Registration
from trackd_agent.monitor.readers.amd import parse_cards
from trackd_agent.monitor.readers.probe import ProbeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.subject import Target

#: Fact → fields of `rocm-smi -a --json` in lower case; the first that holds a number counts.
_NUMBERS = {
    "use_percent": ("gpu use (%)",),
    # ROCm 6; ROCm 5.
    "memory_percent": ("gpu memory allocated (vram%)", "gpu memory use (%)"),
    "memory_busy_percent": ("gpu memory read/write activity (%)",),
    "memory_overdrive_percent": ("gpu memory overdrive value (%)",),
    "memory_temperature_c": ("temperature (sensor memory) (c)", "temperature (sensor mem) (c)"),
    # MI300 has only the second.
    "power_w": (
        "average graphics package power (w)",
        "current socket graphics package power (w)",
    ),
    "power_cap_w": ("max graphics package power (w)",),
}
#: Name in `gpu_amd` of `wandb-metadata.json` → field of `rocm-smi -a --json` in lower case.
_TEXTS = {
    "uniqueId": "unique id",
    "vbiosVersion": "vbios version",
    "performanceLevel": "performance level",
    "gpuOverdrive": "gpu overdrive value (%)",
    "gpuMemoryOverdrive": "gpu memory overdrive value (%)",
    "maxPower": "max graphics package power (w)",
    "series": "card series",
    "model": "card model",
    "vendor": "card vendor",
    "sku": "card sku",
    "sclkRange": "valid sclk range",
    "mclkRange": "valid mclk range",
}
#: Key below `gpu.{i}.` → fact that is reported as it is.
_PLAIN_KEYS = {
    "gpu": "use_percent",
    "memoryAllocated": "memory_percent",
    "memoryReadWriteActivity": "memory_busy_percent",
    "memoryOverDrive": "memory_overdrive_percent",
    "temp": "memory_temperature_c",
    "powerWatts": "power_w",
    "energyJoules": "energy_j",
}
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_HZ_PER_MHZ = 1_000_000


@dataclass(frozen=True, slots=True)
class AmdGpu:
    """One GPU, whoever told about it."""

    index: int  # of the library or the tool
    facts: Mapping[str, float]  # names as in `probes.amd`, and `memory_percent`
    texts: Mapping[str, str]  # names as in `gpu_amd` of `wandb-metadata.json`


class AmdCollector:
    """Reports `gpu.{i}.*` of AMD GPUs, numbered after the NVIDIA ones of the machine.

    Keys: `gpu`, `memoryAllocated`, `memoryReadWriteActivity`, `memoryOverDrive`, `powerPercent`
    (%), `temp` (of the memory, C), `powerWatts` (W), `energyJoules` (J, the driver's counter as
    it is; from a library only). `x_stats_gpu_device_ids` chooses by `i`.
    """

    def __init__(self, readers: Readers) -> None:
        self._amd = readers.amd
        self._numbers = readers.gpu_numbers

    def collect(self, targets: Sequence[Target]) -> Readings:
        """Ask once, for all targets."""
        found = Readings()
        self._amd.require_driver()
        gpus = self._gpus(found)
        first = self._numbers.first_amd()
        for gpu in gpus:
            index = first + gpu.index
            chosen = [target for target in targets if target.subject.wants_gpu(index)]
            for name, value in values(gpu).items():
                _report(found, f"gpu.{index}.{name}", value, chosen, len(targets))
        return found

    def describe(self) -> dict[str, Any]:
        """Return `gpu_amd`, with `gpu` and `gpu_count` of them.

        Raises:
            NoDataError: There is no AMD GPU.
        """
        self._amd.require_driver()
        try:
            gpus = [gpu_of_library(each) for each in self._amd.library.describe()["devices"]]
        except (NoDataError, ProbeError) as no_library:
            gpus = self._gpus_of_tool(no_library)
        return environment(gpus, self._numbers.first_amd())

    def _gpus(self, found: Readings) -> list[AmdGpu]:
        try:
            return [gpu_of_library(each) for each in self._amd.library.ask()["devices"]]
        except (NoDataError, ProbeError) as no_library:
            gpus = self._gpus_of_tool(no_library)
            if isinstance(no_library, ProbeError):
                found.problem(f"{no_library}; rocm-smi is asked instead")
            if self._amd.tool.is_slow:
                found.problem("rocm-smi is slow: its figures are those of one sample before")
            return gpus

    def _gpus_of_tool(self, no_library: NoDataError | ProbeError) -> list[AmdGpu]:
        try:
            text = self._amd.tool.read()
        except NoDataError as no_tool:
            # A library that fails stays a failure where nothing else can be asked.
            raise type(no_library)(f"{no_library}; {no_tool}") from no_library
        cards = parse_cards(text)
        if not cards:
            raise NoDataError("rocm-smi lists no card")
        return [gpu_of_card(index, fields) for index, fields in sorted(cards.items())]


def gpu_of_card(index: int, fields: Mapping[str, str]) -> AmdGpu:
    """Return a GPU from its fields of `rocm-smi -a --json`."""
    facts: dict[str, float] = {}
    for fact, names in _NUMBERS.items():
        numbers = (number(fields.get(name, "")) for name in names)
        if (value := next((each for each in numbers if each is not None), None)) is not None:
            facts[fact] = value
    texts = {name: fields[field] for name, field in _TEXTS.items() if field in fields}
    return AmdGpu(index, facts, texts)


def gpu_of_library(device: Mapping[str, Any]) -> AmdGpu:
    """Return a GPU from the facts of `probes.amd`."""
    facts = {
        name: float(value)
        for name, value in device.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    total = facts.get("vram_total_bytes")
    if total and "vram_used_bytes" in facts:
        facts["memory_percent"] = 100 * facts["vram_used_bytes"] / total
    return AmdGpu(int(device["index"]), facts, _texts_of_library(device))


def _texts_of_library(device: Mapping[str, Any]) -> dict[str, str]:
    """Return a library's facts as `rocm-smi` would print them."""
    vbios = str(device.get("vbios_version", "")).split("-")
    texts = {
        "uniqueId": device.get("unique_id"),
        "vbiosVersion": device.get("vbios_version"),
        "performanceLevel": device.get("performance_level"),
        "gpuOverdrive": device.get("overdrive_percent"),
        "gpuMemoryOverdrive": device.get("memory_overdrive_percent"),
        "maxPower": f"{device['power_cap_w']:.1f}" if "power_cap_w" in device else None,
        "series": device.get("name"),
        "model": device.get("device_id"),
        "vendor": device.get("vendor"),
        # "113-D65209-073"; a single letter is none.
        "sku": vbios[1] if len(vbios) == 3 and len(vbios[1]) > 1 else None,
        "sclkRange": _megahertz(device.get("core_range_hz")),
        "mclkRange": _megahertz(device.get("memory_range_hz")),
    }
    return {name: str(text) for name, text in texts.items() if text not in (None, "")}


def values(gpu: AmdGpu) -> dict[str, float]:
    """Return what is reported of a GPU, by the part of the key below `gpu.{i}.`."""
    facts = gpu.facts
    found = {key: facts[fact] for key, fact in _PLAIN_KEYS.items() if fact in facts}
    cap_w = facts.get("power_cap_w", 0.0)
    if "power_w" in facts and cap_w > 0:
        found["powerPercent"] = 100 * facts["power_w"] / cap_w
    return {key: value for key, value in found.items() if math.isfinite(value)}


def environment(gpus: Sequence[AmdGpu], first: int = 0) -> dict[str, Any]:
    """Return the part of the run environment that is about these GPUs; `id` as in the keys."""
    found: dict[str, Any] = {
        "gpu_count": len(gpus),
        "gpu_amd": [{"id": str(first + gpu.index), **gpu.texts} for gpu in gpus],
    }
    if name := next((gpu.texts["series"] for gpu in gpus if "series" in gpu.texts), ""):
        found["gpu"] = name
    return found


def number(text: str) -> float | None:
    """Return the number that a field holds, without a trailing `%`; None if it holds none."""
    text = text.strip().removesuffix("%").strip()
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    return value if math.isfinite(value) else None


def _megahertz(limits: object) -> str | None:
    if not isinstance(limits, list):
        return None
    low, high = (int(limit) // _HZ_PER_MHZ for limit in cast("list[float]", limits))
    return f"{low}Mhz - {high}Mhz"


def _report(
    found: Readings, key: str, value: float, chosen: Sequence[Target], targets: int
) -> None:
    if len(chosen) == targets:
        found.now(key, value)
        return
    for target in chosen:
        found.now(key, value, target)


COLLECTOR = Registration("amd", AmdCollector)
