"""AWS Trainium and Inferentia: utilization and memory of the NeuronCores that a rank uses.

Keys: `trn.{core}.neuroncore_utilization` (%), `trn.host_total_memory_usage` and
`trn.neuron_device_total_memory_usage` (bytes), `trn.host_memory_usage.{use}` and
`trn.{core}.neuroncore_memory_usage.{use}` (bytes), all of them of the runtime that belongs to the
rank. Uses are those of the report: `constants`, `tensors`, `model_code` and so on.

Which runtime and which cores belong to a rank: the runtime of its process, else of one of its
descendants, with all cores in use. With `LOCAL_RANK` in its environment it is the core of that
number alone, and of a machine on which nothing matches the first runtime, as in the W&B client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd_agent.monitor.contract import NoDataError, Readings, Registration
from trackd_agent.monitor.readers.neuron import NeuronMonitorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.subject import Subject, Target

#: Values of one rank that are reported: devices of a node have some hundred.
MAX_VALUES = 4096


class TrainiumCollector:
    """Reports `trn.*` of every rank."""

    def __init__(self, readers: Readers) -> None:
        self._neuron = readers.neuron
        self._processes = readers.process

    def collect(self, targets: Sequence[Target]) -> Readings:
        """Read the newest report of each tool, and find in it what belongs to each target."""
        found = Readings()
        failures: list[Exception] = []
        by_config: dict[str, list[Target]] = {}
        for target in targets:
            by_config.setdefault(target.subject.neuron_config_path, []).append(target)
        for config_path, watched in by_config.items():
            try:
                self._collect(config_path, watched, found)
            except NeuronMonitorError as error:
                found.problem(_lasting(str(error)))
                failures.append(error)
            except NoDataError as reason:
                failures.append(reason)
        if failures and len(failures) == len(by_config):
            raise failures[0]
        return found

    def describe(self) -> dict[str, Any]:
        """Return `trainium`: name, vendor, and how many devices and cores there are."""
        hardware = self._neuron.hardware()
        names = {
            "neuronDeviceCount": "neuron_device_count",
            "neuroncorePerDeviceCount": "neuroncore_per_device_count",
        }
        counts = {ours: int(hardware[name]) for ours, name in names.items() if name in hardware}
        return {"trainium": {"name": "Trainium", "vendor": "AWS", **counts}}

    def forget(self, subject: Subject) -> None:
        """End a tool that nobody wants any more."""
        self._neuron.forget(subject.key)

    def _collect(self, config_path: str, targets: Sequence[Target], found: Readings) -> None:
        report = self._neuron.report(config_path, [target.key for target in targets])
        if report.problem:
            found.problem(_lasting(report.problem))
        numbers = [runtime["pid"] for runtime in report.runtimes]
        lineages = self._processes.lineages(int(pid) for pid in numbers if pid is not None)
        for target in targets if report.runtimes else ():
            local_rank = target.subject.environment.get("LOCAL_RANK", "")
            # A process that was never seen (another pid namespace) may still be named by number.
            own = self._processes.members(target.process, lineages)
            pids = own if target.process else (target.subject.pid,)
            values = values_of(report.runtimes, pids, local_rank)
            for key, value in list(values.items())[:MAX_VALUES]:
                found.now(key, value, target)


def values_of(
    runtimes: Sequence[dict[str, Any]], pids: Sequence[int], local_rank: str
) -> dict[str, float]:
    """Return the values of the rank with these processes, its own first."""
    by_pid = {runtime["pid"]: runtime for runtime in reversed(runtimes)}
    runtime = next((by_pid[pid] for pid in pids if pid in by_pid), None)
    if runtime is not None and local_rank not in _cores(runtime):
        # Cores of its own process are its own, however launcher and runtime number them.
        local_rank = ""
    if runtime is None and local_rank and runtimes:
        runtime = runtimes[0]
    return _values(runtime, local_rank) if runtime else {}


def _cores(runtime: dict[str, Any]) -> set[str]:
    return {*runtime["utilization"], *runtime["core_usage_bytes"]}


def _values(runtime: dict[str, Any], only_core: str) -> dict[str, float]:
    values: dict[str, float] = {}
    for name, key in (
        ("host_bytes", "trn.host_total_memory_usage"),
        ("device_bytes", "trn.neuron_device_total_memory_usage"),
    ):
        if name in runtime:
            values[key] = runtime[name]
    for use, used_bytes in runtime["host_usage_bytes"].items():
        values[f"trn.host_memory_usage.{use}"] = used_bytes
    for core, percent in runtime["utilization"].items():
        if only_core in ("", core):
            values[f"trn.{core}.neuroncore_utilization"] = percent
    for core, uses in runtime["core_usage_bytes"].items():
        if only_core in ("", core):
            for use, used_bytes in uses.items():
                values[f"trn.{core}.neuroncore_memory_usage.{use}"] = used_bytes
    return values


def _lasting(problem: str) -> str:
    """Return a problem without what changes from tick to tick: each text is logged once."""
    return problem.partition("; next try")[0]


COLLECTOR = Registration("trainium", TrainiumCollector)
