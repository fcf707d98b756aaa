"""NVIDIA GPUs: what NVML says about each, for all ranks, and about those a rank computes on.

Keys, units and formulas as the W&B client 0.31 has them; beyond that `graphicsClock`,
`encoderUtilization` and `unCorrectedMemoryErrors` (its reference of settings names them), and
`nvlinkTxBytes`/`nvlinkRxBytes` where there are no profiling counters. MIG slices are devices of
their own, called `gpu.{gpu}:{slice}` in NVIDIA's notation; they have what NVML offers for slices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from trackd_agent.monitor.contract import Event, Meaning, NoDataError, Readings, Registration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.subject import Target

#: Facts that are values as they are.
_PLAIN = {
    "temperature_c": "temp",
    "sm_clock_mhz": "smClock",
    "memory_clock_mhz": "memoryClock",
    "graphics_clock_mhz": "graphicsClock",
    "corrected_errors": "correctedMemoryErrors",
    "uncorrected_errors": "uncorrectedMemoryErrors",
    "fan_percent": "fanSpeed",
    "encoder_percent": "encoderUtilization",
}
_BYTES_PER_KIB = 1024
_BYTES_PER_MIB = 1024**2
#: Profiling counters by NVML's number: key, and what the value is multiplied with (MiB/s → B/s).
_GPM = {
    "2": ("smActive", 1),
    "3": ("smOccupancy", 1),
    "5": ("pipeTensorActive", 1),
    "7": ("pipeTensorHmmaActive", 1),
    "10": ("dramActive", 1),
    "11": ("pipeFp64Active", 1),
    "12": ("pipeFp32Active", 1),
    "13": ("pipeFp16Active", 1),
    "20": ("pcieTxBytes", _BYTES_PER_MIB),
    "21": ("pcieRxBytes", _BYTES_PER_MIB),
    "60": ("nvlinkRxBytes", _BYTES_PER_MIB),
    "61": ("nvlinkTxBytes", _BYTES_PER_MIB),
}
#: What `gpu.process.{i}` repeats for a rank that computes on device `i`.
_OF_PROCESSES = {
    "gpu",
    "memory",
    "memoryAllocated",
    "memoryAllocatedBytes",
    "temp",
    "powerWatts",
    "enforcedPowerLimitWatts",
    "powerPercent",
}
#: Names of `nvmlDeviceArchitecture_t`.
_ARCHITECTURES = {
    2: "Kepler",
    3: "Maxwell",
    4: "Pascal",
    5: "Volta",
    6: "Turing",
    7: "Ampere",
    8: "Ada",
    9: "Hopper",
    10: "Blackwell",
}
#: What NVIDIA's list of Xid errors says about those that end training jobs most often.
_XIDS = {
    13: "exception in a kernel",
    31: "memory page fault of a kernel",
    48: "double bit memory error",
    63: "memory row or page retired",
    64: "memory row or page could not be retired",
    74: "NVLink error",
    79: "the GPU has fallen off the bus",
    94: "contained memory error",
    95: "uncontained memory error",
    119: "the GPU's own processor does not answer",
}
#: Bits of `nvmlClocksEventReasons`.
_SLOWDOWNS = {
    0x20: "too hot (driver)",
    0x40: "too hot (hardware)",
    0x80: "power brake",
    0x8: "hardware slowdown",
}
#: What happened "since the last read" must not have lain longer than this many intervals.
_INTERVALS = 3
_MIN_AGE_S = 10.0


class Value(NamedTuple):
    """A device's figure, named as after `gpu.{i}.`."""

    name: str
    amount: float
    meaning: Meaning = Meaning.NOW
    per: float = 0.0


class NvidiaCollector:
    """Reports `gpu.{i}.*`, and `gpu.process.{i}.*` to whom it concerns."""

    def __init__(self, readers: Readers) -> None:
        self._probe = readers.nvidia
        self._numbers = readers.gpu_numbers
        self._pci = readers.pci
        self._processes = readers.process

    def collect(self, targets: Sequence[Target]) -> Readings:
        """Ask all devices once, whatever number of ranks there is."""
        longest_s = max((target.subject.interval_s for target in targets), default=0.0)
        answer = self._ask({"max_age_s": max(_MIN_AGE_S, _INTERVALS * longest_s)})
        found = Readings()
        pids = self._pids(targets, {pid for device in answer["devices"] for pid in device["pids"]})
        for device in answer["devices"]:
            _report(device, answer["time_s"], targets, pids, found)
            if why := device.get("failure"):
                found.problem(f"GPU {device['name']} says nothing: {why}")
        for happened in answer["events"]:
            found.gpu_event(event_of(happened))
        for gpu, why in answer["lost"].items():
            found.problem(f"GPU {gpu} is not read: {why}")
        if not answer["devices"] and not found.events:
            raise NoDataError("; ".join(found.problems) or "no NVIDIA GPU answers")
        return found

    def describe(self) -> dict[str, Any]:
        """Return `gpu_nvidia`, `gpu`, `gpu_count` and `cudaVersion` of the run's environment."""
        answer = self._probe.describe()
        gpus = [self._describe(gpu) for gpu in answer["gpus"]]
        described: dict[str, Any] = {"gpu_nvidia": gpus, "gpu_count": len(gpus)}
        described["gpu"] = next((gpu["name"] for gpu in gpus if "name" in gpu), "")
        if version := answer["cuda_version"]:  # 12080 is 12.8
            described["cudaVersion"] = f"{version // 1000}.{version % 1000 // 10}"
        return described

    def _pids(self, targets: Sequence[Target], used: set[int]) -> dict[str, set[int]]:
        """Return which of the processes that use GPUs are the target's or its descendants."""
        lineages, members = self._processes.lineages(used), self._processes.members
        return {target.key: set(members(target.process, lineages)) for target in targets}

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = self._probe.ask(request)
        except NoDataError:
            self._numbers.counted_nvidia(0)
            raise
        self._numbers.counted_nvidia(answer["count"])
        return answer

    def _describe(self, gpu: dict[str, Any]) -> dict[str, Any]:
        bus_id = gpu.get("pci_bus_id", "")
        described = {
            "name": gpu.get("name"),
            # 64-bit integers are strings in the JSON form of protobuf, which this file has.
            "memoryTotal": str(gpu["memory_total_bytes"]) if "memory_total_bytes" in gpu else None,
            "cudaCores": gpu.get("cuda_cores"),
            "architecture": _ARCHITECTURES.get(gpu.get("architecture", 0)),
            "uuid": gpu.get("uuid"),
            "pciBusId": bus_id or None,
            "numaNode": self._pci.numa_node(bus_id) if bus_id else None,
        }
        return {name: value for name, value in described.items() if value is not None}


def values_of(device: dict[str, Any], time_s: float) -> Iterator[Value]:
    """Return the figures of one device from its raw facts; what is missing has no figure."""
    if utilization := device.get("utilization"):
        yield Value("gpu", utilization["gpu_percent"])
        yield Value("memory", utilization["memory_percent"])
    if memory := device.get("memory"):
        if memory["total_bytes"]:
            yield Value("memoryAllocated", memory["used_bytes"] / memory["total_bytes"] * 100)
        yield Value("memoryAllocatedBytes", memory["used_bytes"])
    yield from _power(device)
    for fact, name in _PLAIN.items():
        if fact in device:
            yield Value(name, device[fact])
    if "uncorrected_errors" in device:
        yield Value("unCorrectedMemoryErrors", device["uncorrected_errors"])
    yield from _traffic(device, time_s)


def _power(device: dict[str, Any]) -> Iterator[Value]:
    if "energy_mj" in device:
        yield Value("energyJoules", device["energy_mj"] / 1000)
    if "power_mw" not in device:
        return  # without it the limit has no key either, as in the W&B client
    power_w = device["power_mw"] / 1000
    yield Value("powerWatts", power_w)
    if "power_limit_mw" in device:
        limit_w = device["power_limit_mw"] / 1000
        yield Value("enforcedPowerLimitWatts", limit_w)
        if limit_w:
            yield Value("powerPercent", power_w / limit_w * 100)


def _traffic(device: dict[str, Any], time_s: float) -> Iterator[Value]:
    for number, value in device.get("gpm", {}).items():
        name, factor = _GPM[number]
        yield Value(name, value * factor)
    for way in ("tx", "rx"):
        if (kib_s := device.get(f"pcie_{way}_kib_s")) is not None:
            yield Value(f"pcie{way.title()}Bytes", kib_s * _BYTES_PER_KIB)
        if (kib := device.get("nvlink_kib", {}).get(way)) is not None:
            name = f"nvlink{way.title()}Bytes"
            yield Value(name, kib * _BYTES_PER_KIB, Meaning.OVER_INTERVAL, time_s)


def _report(
    device: dict[str, Any],
    time_s: float,
    targets: Sequence[Target],
    pids: dict[str, set[int]],
    found: Readings,
) -> None:
    name: str = device["name"]
    gpu = int(name.partition(":")[0])
    values = list(values_of(device, time_s))
    wanting = [target for target in targets if target.subject.wants_gpu(gpu)]
    # What everybody wants is said once.
    for receiver in [None] if len(wanting) == len(targets) else wanting:
        for value in values:
            _add(found, f"gpu.{name}.{value.name}", value, receiver)
    for target in wanting:
        if not pids[target.key].isdisjoint(device["pids"]):
            for value in values:
                if value.name in _OF_PROCESSES:
                    _add(found, f"gpu.process.{name}.{value.name}", value, target)


def _add(found: Readings, key: str, value: Value, target: Target | None) -> None:
    if value.meaning is Meaning.OVER_INTERVAL:
        found.over_interval(key, value.amount, value.per, target)
    else:
        found.now(key, value.amount, target)


def event_of(happened: dict[str, Any]) -> Event:
    """Return what happened to a GPU as a mark on a timeline.

    It concerns not only the ranks on that GPU: the one that it hit has often ended before the
    processes are listed.
    """
    gpu, amount = happened["gpu"], happened["amount"]
    match happened["kind"]:
        case "xid":
            meaning = f": {_XIDS[amount]}" if amount in _XIDS else ""
            name, text = "xid", f"reported Xid {amount}{meaning}"
        case "slowdown":
            reasons = [reason for bit, reason in _SLOWDOWNS.items() if amount & bit]
            how = f"slowed down: {', '.join(reasons)}" if reasons else "runs at full speed again"
            name, text = "throttled", how
        case "lost":
            name, text = "lost", "is lost to the driver" if amount else "answers again"
        case "hanging":
            how = "keeps a call to the driver waiting" if amount else "answers again"
            name, text = "hanging", how
        case kind:  # corrected, uncorrected
            name, text = f"{kind}Ecc", f"had {amount} {kind} memory errors"
    return Event(name, f"GPU {gpu} {text}", f"gpu.{gpu}.{name}", amount, gpu)


COLLECTOR = Registration("nvidia", NvidiaCollector)
