from __future__ import annotations

import json
import math
import os
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.cases import Watcher, assert_sample, build_nvml, needs_gcc, read_case
from tests.support.machine import Machine, needs_samples

from trackd_agent.monitor import Subject
from trackd_agent.monitor.collectors.nvidia import event_of, values_of
from trackd_agent.monitor.contract import Event, NoDataError
from trackd_agent.monitor.readers.process import ProcessId
from trackd_agent.monitor.subject import Target
from trackd_agent.probes import nvidia
from trackd_agent.probes.nvidia_events import CALM_READS, CORRECTED_EVERY_S, Changes
from trackd_agent.probes.nvidia_gpu import Gpu
from trackd_agent.probes.nvml_calls import NOT_AVAILABLE, Calls, facts_of_devices

if TYPE_CHECKING:
    from pathlib import Path

pynvml: Any = pytest.importorskip("pynvml")
pytestmark = [needs_samples, needs_gcc]

#: Named by the issue beside what the samples list, or facts sheet 8.
EXTRA = {"graphicsClock", "encoderUtilization", "unCorrectedMemoryErrors"}
LOST_KEYS = 16 + len(EXTRA)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in for NVML, with everything."""
    return build_nvml(tmp_path_factory.mktemp("nvml"))


class Gpus:
    """A machine with the stand-in, whose state a test changes as it likes."""

    def __init__(self, library: Path, folder: Path) -> None:
        self.machine = Machine(folder / "machine")
        self.state_file = folder / "state"
        self.config = self.machine.config.model_copy(update={"library_path": str(library)})
        self.set()

    def set(self, **state: object) -> None:
        lines = (f"STUB_NVML_{name}={value}\n" for name, value in state.items())
        self.state_file.write_text("".join(lines))

    def watch(self, *targets: Target) -> Watcher:
        for process in filter(None, (target.process for target in targets)):
            self.machine.set_process(process.pid, start_ticks=process.start_ticks)
        return Watcher(self.config, "nvidia", *(targets or (target(),)))


@pytest.fixture
def gpus(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gpus:
    gpus = Gpus(library, tmp_path)
    monkeypatch.setenv("STUB_NVML_STATE", str(gpus.state_file))
    return gpus


def target(
    name: str = "rank", pid: int | None = None, gpu_ids: tuple[int, ...] | None = None
) -> Target:
    subject = Subject(name, os.getpid(), gpu_device_ids=gpu_ids)
    return Target(subject, ProcessId(pid, 1000) if pid is not None else None, None, 1.0)


def of_reference(values: dict[str, float]) -> dict[str, float]:
    return {key: value for key, value in values.items() if key.split(".")[-1] not in EXTRA}


@pytest.mark.parametrize("name", ["nvml_two_gpus", "nvml_gpm", "nvml_device_ids"])
def test_every_sample_has_exactly_the_expected_keys_and_values(name: str, gpus: Gpus) -> None:
    case = read_case(name)
    pid = case["context"]["pid"]
    environment: dict[str, str] = case["context"]["env"]
    gpus.set(**{key.removeprefix("STUB_NVML_"): value for key, value in environment.items()})
    ids = case.get("settings", {}).get("x_stats_gpu_device_ids")
    with gpus.watch(target(pid=pid, gpu_ids=tuple(ids) if ids else None)) as watcher:
        for sample in case["samples"]:
            values = watcher.sample()
            assert_sample(case, sample, of_reference(values))
            gpu_ids = {key.split(".")[1] for key in values if not key.startswith("gpu.process")}
            assert {f"gpu.{i}.{name}" for i in gpu_ids for name in EXTRA} <= values.keys()
        if metadata := case.get("metadata"):
            assert watcher.collector.describe() == metadata


def test_the_numa_node_is_that_of_the_pci_device(gpus: Gpus) -> None:
    devices = gpus.machine.sys / "bus" / "pci" / "devices"
    for name, node in (("0000:1b:00.0", "0"), ("0000:1c:00.0", "-1")):
        (devices / name).mkdir(parents=True)
        (devices / name / "numa_node").write_text(f"{node}\n")
    with gpus.watch() as watcher:
        described: list[dict[str, Any]] = watcher.collector.describe()["gpu_nvidia"]
    assert [gpu.get("numaNode") for gpu in described] == [0, None]


@pytest.mark.parametrize(
    ("call", "gone"),
    [
        ("nvmlDeviceGetMemoryInfo_v2", {"memoryAllocated", "memoryAllocatedBytes"}),
        ("nvmlDeviceGetTemperature", {"temp"}),
        ("nvmlDeviceGetUtilizationRates", {"gpu", "memory"}),
        ("nvmlDeviceGetPowerUsage", {"powerWatts", "enforcedPowerLimitWatts", "powerPercent"}),
        ("nvmlDeviceGetEnforcedPowerLimit", {"enforcedPowerLimitWatts", "powerPercent"}),
        ("nvmlDeviceGetFanSpeed_v2", {"fanSpeed"}),
        (
            "nvmlDeviceGetMemoryErrorCounter",
            {"correctedMemoryErrors", "uncorrectedMemoryErrors", "unCorrectedMemoryErrors"},
        ),
        ("nvmlDeviceGetPcieThroughput", {"pcieTxBytes", "pcieRxBytes"}),
        ("nvmlDeviceGetClockInfo", {"smClock", "memoryClock", "graphicsClock"}),
        ("nvmlDeviceGetTotalEnergyConsumption", {"energyJoules"}),
        ("nvmlDeviceGetComputeRunningProcesses_v3", set[str]()),
        ("nvmlDeviceGetEncoderUtilization", {"encoderUtilization"}),
    ],
)
def test_a_call_that_is_not_supported_costs_its_own_keys_alone(
    call: str, gone: set[str], gpus: Gpus
) -> None:
    """As measured with the reference client."""
    gpus.set(COUNT=1)
    with gpus.watch() as watcher:
        everything = watcher.sample().keys()
    gpus.set(COUNT=1, FAIL=call)
    with gpus.watch() as watcher:
        assert everything - watcher.sample().keys() == {f"gpu.0.{name}" for name in gone}


def test_an_old_driver_is_asked_in_the_old_ways(gpus: Gpus, tmp_path: Path) -> None:
    younger = (
        "nvmlDeviceGetMemoryInfo_v2",
        "nvmlDeviceGetFanSpeed_v2",
        "nvmlDeviceGetTemperature",
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlGpmQueryDeviceSupport",
        "nvmlDeviceGetTotalEnergyConsumption",
        "nvmlDeviceGetNumGpuCores",
        "nvmlEventSetCreate",
        "nvmlDeviceGetMigMode",
    )
    gpus.set(COUNT=1, PIDS="0:7")
    with gpus.watch(target(pid=7)) as watcher:
        today = watcher.sample()
    old = build_nvml(tmp_path / "old", without=younger)
    gpus.config = gpus.config.model_copy(update={"library_path": str(old)})
    with gpus.watch(target(pid=7)) as watcher:
        values = watcher.sample()
        assert "cudaCores" not in watcher.collector.describe()["gpu_nvidia"][0]
    assert today.keys() - values.keys() == {"gpu.0.energyJoules"}
    assert values == {key: value for key, value in today.items() if key in values}


def test_what_is_not_supported_is_asked_once(gpus: Gpus, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    gpus.set(COUNT=1, LOG=log, FAIL="nvmlDeviceGetFanSpeed_v2")
    with gpus.watch() as watcher:
        for _ in range(3):
            watcher.sample()
    calls = log.read_text().split()
    assert calls.count("nvmlDeviceGetFanSpeed_v2") == 1
    assert calls.count("nvmlDeviceGetTemperature") == 3


def test_64_ranks_cost_no_more_calls_than_one(gpus: Gpus, tmp_path: Path) -> None:
    counts: list[int] = []
    for ranks in (1, 64):
        log = tmp_path / f"calls{ranks}"
        gpus.set(LOG=log)
        with gpus.watch(*(target(f"rank{i}", i) for i in range(ranks))) as watcher:
            watcher.sample()
        counts.append(len(log.read_text().split()))
    assert counts[0] == counts[1]


def test_a_process_has_the_figures_of_the_gpus_it_computes_on(gpus: Gpus) -> None:
    gpus.set(COUNT=3, PIDS="1:500,2:500,0:600")
    here, elsewhere = target("here", 400), target("elsewhere", 600)
    gpus.machine.set_process(500, parent=450)
    gpus.machine.set_process(450, parent=400)
    with gpus.watch(here, elsewhere, target("nowhere", 700)) as watcher:
        values = watcher.sample()
        of_processes = {key for key in values if key.startswith("gpu.process.")}
        assert {key.split(".")[2] for key in of_processes} == {"1", "2"}
        assert len(of_processes) == 2 * 8
        for key in of_processes:
            assert values[key] == values[key.replace(".process", "")]
        assert "gpu.process.0.gpu" in watcher.sample(elsewhere)
        assert not [key for key in watcher.sample(watcher.targets[2]) if "process" in key]
        gpus.machine.set_process(400, start_ticks=2000)  # the number of another process by now
        assert not [key for key in watcher.sample() if "process" in key]


def test_device_ids_hold_for_processes_too(gpus: Gpus) -> None:
    """An empty list wants all: as measured with the reference client."""
    gpus.set(PIDS="0:500,1:500")
    with gpus.watch(target("a", 500, (1,)), target("b", gpu_ids=())) as watcher:
        assert {key.split(".")[-2] for key in watcher.sample()} == {"1"}
        assert {key.split(".")[-2] for key in watcher.sample(watcher.targets[1])} == {"0", "1"}


def test_a_gpu_that_is_lost_loses_its_keys_and_a_mark_says_so(gpus: Gpus) -> None:
    with gpus.watch() as watcher:
        assert len(watcher.sample()) == 2 * LOST_KEYS
        gpus.set(LOST=0)
        found = watcher.collector.collect(watcher.targets)
    assert {reading.key.split(".")[1] for reading in found.shared} == {"1"}
    event = Event("lost", "GPU 0 is lost to the driver", "gpu.0.lost", 1, 0)
    assert found.events == [(None, event)]
    assert found.problems == ["GPU 0 is not read: GPU is lost"]


def test_a_gpu_that_was_lost_before_anybody_watched_is_a_problem_and_no_event(gpus: Gpus) -> None:
    gpus.set(LOST=1)
    with gpus.watch() as watcher:
        found = watcher.collector.collect(watcher.targets)
        described = watcher.collector.describe()["gpu_nvidia"]
        assert described[1].keys() == {"name", "uuid"}
        gpus.set()
        assert watcher.collector.describe()["gpu_nvidia"][1].keys() == described[0].keys()
        gpus.set(LOST=1)
        assert watcher.collector.describe()["gpu_nvidia"][1].keys() == described[0].keys()
    assert {reading.key.split(".")[1] for reading in found.shared} == {"0"}
    assert (found.events, found.problems) == ([], ["GPU 1 is not read: GPU is lost"])


def test_a_machine_whose_only_gpu_is_lost_has_no_data_and_says_why(gpus: Gpus) -> None:
    gpus.set(COUNT=1, LOST=0)
    with gpus.watch() as watcher, pytest.raises(NoDataError, match="GPU 0 is not read"):
        watcher.sample()


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"INIT": 9}, "does not answer: Driver Not Loaded; load it with"),
        ({"COUNT": 0}, "knows no GPU"),
        ({"FAIL": "nvmlDeviceGetCount_v2"}, "does not answer: Not Supported"),
    ],
)
def test_a_driver_without_gpus_is_no_data_with_a_reason(
    state: dict[str, Any], reason: str, gpus: Gpus
) -> None:
    gpus.set(**state)
    with gpus.watch() as watcher:
        for ask in (watcher.sample, watcher.collector.describe):
            with pytest.raises(NoDataError, match=reason):
                ask()


def test_profiling_counters_that_fail_make_way_for_plain_ones(gpus: Gpus) -> None:
    gpus.set(COUNT=1, GPM=1, FAIL="nvmlGpmSampleGet")
    with gpus.watch() as watcher:
        assert "gpu.0.pcieTxBytes" not in watcher.sample()
        values = watcher.sample()
    assert values["gpu.0.pcieTxBytes"] == 1024000
    assert "gpu.0.smActive" not in values


def test_links_without_profiling_counters_are_bytes_per_second(gpus: Gpus) -> None:
    gpus.set(COUNT=1, LINKS=1)
    with gpus.watch() as watcher:
        assert "gpu.0.nvlinkTxBytes" not in watcher.sample()
        values = watcher.sample()
    assert values["gpu.0.nvlinkTxBytes"] > 0
    assert values["gpu.0.nvlinkRxBytes"] == pytest.approx(2 * values["gpu.0.nvlinkTxBytes"])


def test_mig_slices_are_devices_of_their_own(gpus: Gpus) -> None:
    gpus.set(MIG="1:2", GPM=1)
    with gpus.watch(target(), target("first", gpu_ids=(0,))) as watcher:
        watcher.sample()
        assert {key.split(".")[1] for key in watcher.sample()} == {"0", "1", "1:0", "1:1"}
        values = watcher.sample()
        assert values["gpu.1:1.memoryAllocatedBytes"] == 21474836480 + 201
        assert values["gpu.1:0.smActive"] == 2.5
        assert {key.split(".")[1] for key in watcher.sample(watcher.targets[1])} == {"0"}
        assert watcher.collector.describe()["gpu_count"] == 2


def test_xids_and_slowdowns_are_marks(gpus: Gpus) -> None:
    gpus.set(REASONS="0:1")

    def events() -> list[Event]:
        return [event for _, event in watcher.collector.collect(watcher.targets).events]

    with gpus.watch() as watcher:
        assert events() == []
        gpus.set(REASONS="1:72", XID="0:79:1")
        assert events() == [
            Event(
                "xid", "GPU 0 reported Xid 79: the GPU has fallen off the bus", "gpu.0.xid", 79, 0
            ),
            Event(
                "throttled",
                "GPU 1 slowed down: too hot (hardware), hardware slowdown",
                "gpu.1.throttled",
                72,
                1,
            ),
        ]
        assert events() == []
        gpus.set(REASONS="1:4", XID="0:79:1")
        assert [event for _ in range(CALM_READS) for event in events()] == [
            Event("throttled", "GPU 1 runs at full speed again", "gpu.1.throttled", 0, 1)
        ]


def test_an_xid_of_a_gpu_that_is_lost_with_it_is_told(gpus: Gpus) -> None:
    """That is when it matters most, and such a GPU does not tell its number any more."""
    with gpus.watch() as watcher:
        watcher.sample()
        gpus.set(LOST=1, XID="1:79:1")
        events = [event for _, event in watcher.collector.collect(watcher.targets).events]
        assert [(event.key, event.value) for event in events] == [
            ("gpu.1.xid", 79),
            ("gpu.1.lost", 1),
        ]


def test_a_gpu_of_which_every_call_fails_says_why(
    gpus: Gpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = ("UtilizationRates", "MemoryInfo_v2", "MemoryInfo", "Temperature", "TemperatureV")
    calls += ("PowerUsage", "EnforcedPowerLimit", "TotalEnergyConsumption", "ClockInfo")
    calls += ("MemoryErrorCounter", "FanSpeed_v2", "FanSpeed", "EncoderUtilization")
    calls += ("PcieThroughput",)
    monkeypatch.setenv("STUB_NVML_FAIL", ",".join(f"nvmlDeviceGet{call}" for call in calls))
    gpus.set(COUNT=1)
    with gpus.watch() as watcher:
        assert watcher.sample() == {}
        assert watcher.problems == ["GPU 0 says nothing: Timeout"]


def test_memory_errors_are_marks_and_corrected_ones_once_a_minute() -> None:
    changes = Changes(3)

    def at(now_s: float, corrected: int, uncorrected: int = 0) -> list[tuple[str, int]]:
        facts = {"corrected_errors": corrected, "uncorrected_errors": uncorrected}
        events = changes.since_last(facts, now_s, max_age_s=100)
        return [(event["kind"], event["amount"]) for event in events]

    assert at(0, 5, 1) == []  # they were there before
    assert at(1, 7) == [("corrected", 2)]
    assert at(2, 20) == []
    assert at(1 + CORRECTED_EVERY_S, 30) == [("corrected", 23)]
    assert at(70, 30, 2) == [("uncorrected", 2)]
    assert at(71, 3, 0) == []  # the driver was loaded anew
    assert at(200, 90, 9) == []  # nobody watched: not known when
    event = event_of({"kind": "uncorrected", "gpu": 3, "amount": 2})
    assert event == Event(
        "uncorrectedEcc", "GPU 3 had 2 uncorrected memory errors", "gpu.3.uncorrectedEcc", 2, 3
    )


def test_a_slowdown_that_flickers_is_one(gpus: Gpus) -> None:
    changes = Changes(0)
    masks = [0, 64, 0, 64, 0, 0, 64, 32, 0, 0, 0, 0, 8]
    told = [
        event["amount"]
        for second, mask in enumerate(masks)
        for event in changes.since_last({"slowdown_reasons": mask}, second, 10)
    ]
    assert told == [64, 96, 0, 8]


def test_a_call_that_hangs_is_told_when_it_lasts_and_when_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release, begun = threading.Event(), threading.Event()

    class Sick(Gpu):
        def read(self, now_s: float, max_age_s: float) -> list[dict[str, Any]]:
            if self.index == 0:
                begun.set()
                release.wait(240)
            return [{"name": str(self.index)}]

    monkeypatch.setattr(nvidia, "Gpu", Sick)
    monkeypatch.setattr(nvidia, "HANGING_S", 0.1)
    probe = nvidia.NvidiaProbe(pynvml, 2, patience_s=0.1)  # the library is not even loaded
    try:
        names: list[str] = []
        while names != ["1"]:  # whose thread may be late as well
            names = [each["name"] for each in probe.read({})["devices"]]
        assert begun.is_set()
        time.sleep(0.1)
        second = probe.read({})
        assert second["lost"] == {"0": "a call to the driver does not come back"}
        told = [event_of(event).text for event in second["events"]]
        told += [event_of(event).text for event in probe.read({})["events"]]
        assert told == ["GPU 0 keeps a call to the driver waiting"]
    finally:
        release.set()
    names, told = list[str](), list[str]()
    while names != ["0", "1"] or not told:
        last = probe.read({})
        names = [each["name"] for each in last["devices"]]
        told += [event_of(event).text for event in last["events"]]
    assert told == ["GPU 0 answers again"]


def test_odd_facts_give_no_odd_values() -> None:
    def of(**facts: object) -> dict[str, float]:
        return {value.name: value.amount for value in values_of({"name": "0", **facts}, 1.0)}

    assert of() == {}
    assert of(memory={"used_bytes": 5, "total_bytes": 0}) == {"memoryAllocatedBytes": 5}
    assert of(power_mw=5000, power_limit_mw=0) == {"powerWatts": 5, "enforcedPowerLimitWatts": 0}
    assert of(power_limit_mw=7) == {}
    assert math.isnan(of(gpm={"2": math.nan})["smActive"])  # the series drops it
    assert of(energy_mj=2**63)["energyJoules"] == 2**63 / 1000
    assert json.dumps(of(gpm={}, nvlink_kib={})) == "{}"


def test_what_the_driver_does_not_know_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = SimpleNamespace(used=NOT_AVAILABLE, total=80)

    def memory_info(*_: object) -> object:
        return memory

    def errors(*_: object) -> int:
        return NOT_AVAILABLE

    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", memory_info)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryErrorCounter", errors)
    facts = facts_of_devices(pynvml)
    for name in ("memory", "corrected_errors"):
        assert Calls(pynvml).ask(name, facts[name], None) is None
    memory.used = 5
    found = Calls(pynvml).ask("memory", facts["memory"], None)
    assert found == {"used_bytes": 5, "total_bytes": 80}


def test_a_gpu_without_its_driver_is_told_from_no_gpu(tmp_path: Path) -> None:
    machine = Machine(tmp_path)

    def reason() -> str:
        with (
            Watcher(machine.config, "nvidia", target()) as watcher,
            pytest.raises(NoDataError) as it,
        ):
            watcher.sample()
        return str(it.value)

    assert reason() == "no NVIDIA driver: there is no libnvidia-ml.so.1"
    device = machine.sys / "bus" / "pci" / "devices" / "0000:1b:00.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x10de\n")
    (device / "class").write_text("0x030200\n")
    assert reason().startswith("there is an NVIDIA GPU, but not the driver's library")


def test_pcie_traffic_is_watched_once_a_second_at_most(gpus: Gpus, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    gpus.set(COUNT=1, LOG=log)
    with gpus.watch() as watcher:
        began_s = time.monotonic()
        seen = [watcher.sample()["gpu.0.pcieTxBytes"] for _ in range(3)]
        took_s = time.monotonic() - began_s
    assert seen == [1024000] * 3
    assert log.read_text().split().count("nvmlDeviceGetPcieThroughput") <= 2 + 2 * (took_s // 0.9)
