"""Apple silicon: clocks, load, power and temperatures of a Mac, and its memory.

Keys and formulas as the W&B client has them, and the two that only its documentation names:
`gpu.0.memoryAllocated` and `gpu.0.powerPercent`. Averages are over the time since the last
sample (the W&B client: over four short ones). Not finite or without sense (a clock of 0): no key.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from trackd_agent.monitor.contract import Readings, Registration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.subject import Target

    #: States of a unit (`IDLE`, `V0P5`, …) with the time in each.
    States = Sequence[tuple[str, float]]

_JOULES = {"mJ": 1e-3, "uJ": 1e-6, "nJ": 1e-9}
_NOT_RUNNING = {"IDLE", "DOWN", "OFF"}
#: Full power of a GPU, as the W&B client has it; Apple tells none.
_GPU_POWER_W = 16.5
_BYTES_PER_GB = 1024**3


class AppleCollector:
    """Reports CPU, GPU and memory of a Mac.

    Keys: `cpu.ecpu_freq`, `cpu.pcpu_freq`, `gpu.0.freq` (MHz), `cpu.ecpu_percent`,
    `cpu.pcpu_percent`, `gpu.0.gpu`, `gpu.0.memoryAllocated`, `gpu.0.powerPercent`,
    `memory.used_percent`, `swap.used_percent` (%), `memory.used`, `swap.used` (bytes),
    `cpu.powerWatts`, `gpu.0.powerWatts`, `ane.power`, `system.powerWatts` (W), `cpu.avg_temp`,
    `gpu.0.temp` (C).
    """

    def __init__(self, readers: Readers) -> None:
        self._probe = readers.apple

    def collect(self, targets: Sequence[Target]) -> Readings:
        """Ask once for everybody; `x_stats_gpu_device_ids` chooses here as well."""
        found = Readings()
        facts = self._probe.ask()
        wants_gpu = [target for target in targets if target.subject.wants_gpu(0)]
        for key, value in values(facts):
            if not math.isfinite(value):
                continue
            if not key.startswith("gpu.") or len(wants_gpu) == len(targets):
                found.now(key, value)
                continue
            for target in wants_gpu:
                found.now(key, value, target)
        return found

    def describe(self) -> dict[str, Any]:
        """Return `apple` of the run's environment.

        Raises:
            NoDataError: This is no Mac with Apple silicon.
        """
        facts = self._probe.describe()
        total_bytes = int(facts.get("ramTotalBytes", 0))
        described = {**facts, "memoryGb": total_bytes // _BYTES_PER_GB}
        for name in ("ramTotalBytes", "swapTotalBytes"):
            if name in described:  # 64-bit integers are strings in that file
                described[name] = str(described[name])
        return {"apple": described}


def values(facts: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Return keys and values from the facts of `probes.apple`."""
    yield from _load(facts)
    yield from _power(facts)
    for part, key in (("cpu_c", "cpu.avg_temp"), ("gpu_c", "gpu.0.temp")):
        if sensors := facts.get(part):
            yield key, math.fsum(sensors) / len(sensors)
    yield from _memory(facts)


def _load(facts: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    clocks: Mapping[str, Sequence[float]] = facts.get("clocks", {})
    for kind, clock_key, load_key in (
        ("ecpu", "cpu.ecpu_freq", "cpu.ecpu_percent"),
        ("pcpu", "cpu.pcpu_freq", "cpu.pcpu_percent"),
        ("gpu", "gpu.0.freq", "gpu.0.gpu"),
    ):
        # Channels are called ECPU0, PCPU1, GPUPH; DIE_1_ECPU0 on machines with two chips.
        units = [
            load_of(states, clocks.get(kind, ()))
            for name, states in facts.get("residency", {}).items()
            if kind in name.lower()
        ]
        known = [unit for unit in units if unit is not None]
        if not known:
            continue
        clock = _mean(clock for clock, _ in known)
        if clock:
            yield clock_key, clock
        yield load_key, _mean(load for _, load in known)


def load_of(states: States, clocks: Sequence[float]) -> tuple[float, float] | None:
    """Return mean clock in MHz while running, and load in percent of the highest clock.

    None where nothing was measured. `clocks` are those of the running states, in their order; the
    GPU's table may have one too many at its end.
    """
    running = [amount for name, amount in states if name not in _NOT_RUNNING]
    total, busy = sum(amount for _, amount in states), sum(running)
    if total <= 0 or not clocks or not running:
        return None
    weighted = sum(amount * clock for amount, clock in zip(running, clocks, strict=False))
    clock = max(weighted / busy if busy else 0.0, clocks[0])
    return clock, 100 * clock * (busy / total) / max(clocks)


def _power(facts: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    seconds: float = facts.get("seconds", 0.0)
    watts: dict[str, float] = {}
    for name, unit, amount in facts.get("energy", ()):
        part = "ane" if name.startswith("ANE") else "gpu" if name.endswith("GPU Energy") else "cpu"
        if seconds > 0 and unit in _JOULES:
            watts[part] = watts.get(part, 0.0) + amount * _JOULES[unit] / seconds
    for part, key in (("cpu", "cpu.powerWatts"), ("gpu", "gpu.0.powerWatts"), ("ane", "ane.power")):
        if part in watts:
            yield key, watts[part]
    if "gpu" in watts:
        yield "gpu.0.powerPercent", 100 * watts["gpu"] / _GPU_POWER_W
    if "system_w" in facts:
        yield "system.powerWatts", facts["system_w"]


def _memory(facts: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for part in ("memory", "swap"):
        known: Mapping[str, float] = facts.get(part, {})
        used, total = known.get("used_bytes", 0), known.get("total_bytes", 0)
        if used:
            yield f"{part}.used", used
        if total:
            yield f"{part}.used_percent", 100 * used / total
    total = facts.get("memory", {}).get("total_bytes", 0)
    if total and "gpu_memory_bytes" in facts:
        yield "gpu.0.memoryAllocated", 100 * facts["gpu_memory_bytes"] / total


def _mean(numbers: Iterable[float]) -> float:
    given = list(numbers)
    return math.fsum(given) / len(given)


COLLECTOR = Registration("apple", AppleCollector)
