"""Graphcore IPUs: each rank sees the devices that its process uses, and nothing of broken text."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.cases import Watcher, assert_sample, read_case
from tests.support.machine import SAMPLES, Machine, needs_samples

from trackd_agent.monitor.collectors.ipu import numbers
from trackd_agent.monitor.contract import NoDataError
from trackd_agent.monitor.readers.ipu import DevicesError, parse_devices
from trackd_agent.monitor.readers.probe import ProbeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: As the Poplar SDK's module looks to who uses it.
MODULE = """
import json, pathlib
class gcipuinfo:
    def setUpdateMode(self, on):
        self.live = on
    def getDevicesAsJSON(self):
        assert self.live
        return pathlib.Path(r"{file}").read_text()
    def getDevices(self):
        return json.loads(self.getDevicesAsJSON())
"""
PID = 4242


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module `gcipuinfo` that says what is in this file."""
    file = tmp_path / "devices.json"
    (tmp_path / "poplar").mkdir()
    (tmp_path / "poplar" / "gcipuinfo.py").write_text(MODULE.format(file=file))
    monkeypatch.setattr("sys.path", [str(tmp_path / "poplar"), *sys.path])  # of the agent
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "poplar"))  # of the probe
    return file


@pytest.fixture
def watcher(machine: Machine, devices: Path) -> Iterator[Watcher]:
    assert devices
    with Watcher(machine.config, "ipu", machine.target(PID)) as watcher:
        yield watcher


@needs_samples
def test_the_recorded_devices_give_the_expected_values(devices: Path, watcher: Watcher) -> None:
    case = read_case("gcipuinfo")
    for sample in case["samples"]:
        devices.write_bytes((SAMPLES / "gcipuinfo" / sample["input"]).read_bytes())
        assert_sample(case, sample, watcher.sample())
    described = watcher.collector.describe()["ipu"]
    assert case["metadata"]["ipu"].items() <= described.items()
    assert described["devices"][0] == {"id": "0", "board ipu index": "3", "board type": "M2000"}
    assert described["devices"][3] == {"id": "3"}


def test_with_the_tree_devices_of_descendants_count(machine: Machine, devices: Path) -> None:
    machine.set_process(PID, children=(5000,))
    machine.set_process(5000, parent=PID)
    used = [{"id": "0", "user process id": "5000", "clock": "1300MHz"}]
    devices.write_text(json.dumps(used))
    alone, tree = machine.target(PID), machine.target(PID, tree=True)
    with (
        Watcher(machine.config, "ipu", alone) as watcher,
        pytest.raises(NoDataError, match="no watched process uses an IPU"),
    ):
        watcher.sample()
    with Watcher(machine.config, "ipu", tree) as watcher:
        assert watcher.sample()["ipu.0.clock (MHz)"] == 1300


def test_each_rank_sees_its_own_device_from_its_own_first_sample_on(
    machine: Machine, devices: Path
) -> None:
    used: list[dict[str, Any]] = [
        {"id": "0", "user process id": "1", "numa node": "0", "ipu power": "1.5W"},
        {"id": "1", "user process id": 2, "numa node": "1", "ipu power": "2.5W"},
    ]
    devices.write_text(json.dumps(used))
    first, second = machine.target(1), machine.target(2)
    with Watcher(machine.config, "ipu", first, second) as watcher:
        assert watcher.sample(second) == {
            "ipu.1.id": 1,
            "ipu.1.user process id": 2,
            "ipu.1.numa node": 1,
            "ipu.1.ipu power (W)": 2.5,
        }
        assert watcher.sample(first) == {"ipu.0.ipu power (W)": 1.5}


def test_fields_that_are_no_numbers_have_no_key() -> None:
    device = {
        "clock": "1300",  # without its unit the name stays as it is
        "ipu power": "N/A",
        "average die temp": "nanC",
        "average board temp": "1e999C",
        "ipu utilisation": "75.50 %",
        "link speed": "GT/s",
        "driver version": "1.1.3",
        "serial": "1_0",
    }
    assert numbers(device) == {
        "clock": ("clock", 1300),
        "ipu utilisation": ("ipu utilisation (%)", 75.5),
    }


@pytest.mark.parametrize("text", ["", "[", '{"id": "0"}', "[" * 100_000, "nonsense"])
def test_text_that_is_no_list_is_a_failure(text: str) -> None:
    with pytest.raises(DevicesError, match="gcipuinfo printed"):
        parse_devices(text)


def test_what_is_no_device_is_skipped() -> None:
    text = '[1, null, [], {}, {"id": ""}, {"id": 7}, {"id": "8"}]'
    assert [device["id"] for device in parse_devices(text)] == ["7", "8"]


def test_a_module_that_crashes_is_a_failure_with_its_reason(
    devices: Path, watcher: Watcher
) -> None:
    with pytest.raises(ProbeError, match="FileNotFoundError"):
        watcher.sample()
    assert not devices.exists()


def test_without_the_module_no_process_is_started(machine: Machine) -> None:
    watcher = Watcher(machine.config, "ipu", machine.target(os.getpid()))
    for ask in (watcher.sample, watcher.collector.describe):
        with pytest.raises(NoDataError, match="no Poplar SDK"):
            ask()
