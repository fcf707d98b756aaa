"""Each collector on a machine on paper: amounts in, exactly these keys and values out."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from tests.support.machine import MEMORY_TOTAL_BYTES, SAMPLES, Machine, needs_samples
from tests.support.watching import Watcher

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
MIB = 1024**2


def test_process(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 102.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    machine.set_process(42, cpu_ticks=1000, threads=7, rss_pages=MIB // PAGE_BYTES * 64)
    watcher = Watcher(machine, "process", machine.target(42))
    steady = {
        "proc.cpu.threads": 7,
        "proc.memory.rssMB": 64,
        "proc.memory.percent": 100 * 64 * MIB / MEMORY_TOTAL_BYTES,
    }
    assert watcher.sample() == steady  # the CPU of no interval is not known
    machine.set_process(42, cpu_ticks=1050, threads=7, rss_pages=MIB // PAGE_BYTES * 64)
    busy = 100 * 50 * TICK_S / 2 / watcher.target.cpu_capacity
    assert watcher.sample() == pytest.approx({"cpu": busy} | steady)


@needs_samples
def test_process_in_a_cgroup_is_measured_against_its_limits(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 101.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    machine.set_process(42, rss_pages=MIB // PAGE_BYTES * 1024)
    machine.put_in_cgroup(42, SAMPLES / "cgroup_v2_limits" / "t0")
    watcher = Watcher(machine, "process", machine.target(42))
    assert watcher.sample()["proc.memory.percent"] == 12.5
    machine.set_process(42, cpu_ticks=300)
    assert watcher.sample()["cpu"] == pytest.approx(100 * 300 * TICK_S / 1.5)


def test_memory(machine: Machine) -> None:
    watcher = Watcher(machine, "memory", machine.target(42))
    assert watcher.sample() == {"memory_percent": 25, "proc.memory.availableMB": 12 * 1024}


def test_disk(machine: Machine) -> None:
    path = str(machine.root)
    machine.set_disks({"nvme0n1": (0, 0), "sdb": (0, 0)}, carries="nvme0n1")
    watcher = Watcher(machine, "disk", machine.target(42, (path, "/not/there")))
    first = watcher.sample()
    machine.set_disks({"nvme0n1": (4096, 8192), "sdb": (2048, 2048)}, carries="nvme0n1")
    second = watcher.sample()
    space = {f"disk.{path}.usagePercent", f"disk.{path}.usageGB"}
    assert {key: first[key] for key in first.keys() - space} == {
        "disk.nvme0n1.in": 0,
        "disk.nvme0n1.out": 0,
        "disk.in": 0,
        "disk.out": 0,
    }
    assert {key: second[key] for key in second.keys() - space} == {
        "disk.nvme0n1.in": 2,
        "disk.nvme0n1.out": 4,
        "disk.in": 2,
        "disk.out": 4,
    }
    assert 0 < second[f"disk.{path}.usagePercent"] <= 100
    facts = os.statvfs(path)
    used_bytes = (facts.f_blocks - facts.f_bfree) * facts.f_frsize
    assert second[f"disk.{path}.usageGB"] == pytest.approx(used_bytes / 1024**3, rel=0.05)


def test_disk_reports_a_missing_path_as_a_problem_of_that_path(machine: Machine) -> None:
    watcher = Watcher(machine, "disk", machine.target(42, (str(machine.root), "/not/there")))
    found = watcher.collector.collect([watcher.target])
    assert found.problems == ["disk path /not/there: No such file or directory"]


@pytest.mark.parametrize("path", ["a\0b", "\ud800"])
def test_what_can_be_no_path_costs_no_other(machine: Machine, path: str) -> None:
    watcher = Watcher(machine, "disk", machine.target(os.getpid(), disk_paths=("/", path)))
    assert "disk./.usageGB" in watcher.sample()
    assert "it has characters that no path can have" in watcher.read().problems[0]


def test_disk_space_is_told_where_traffic_cannot_be_read(machine: Machine) -> None:
    (machine.proc / "diskstats").unlink()
    watcher = Watcher(machine, "disk", machine.target(os.getpid(), disk_paths=("/",)))
    assert set(watcher.sample()) == {"disk./.usagePercent", "disk./.usageGB"}
    assert watcher.read().problems == ["disk traffic: No such file or directory"]


def test_disk_sums_all_disks_where_no_device_carries_the_path(machine: Machine) -> None:
    devices = ("sda", "sdb", "nvme0n1p1", "loop0", "zram0", "ram1")
    machine.set_disks(dict.fromkeys(devices, (0, 0)))
    watcher = Watcher(machine, "disk", machine.target(42, (str(machine.root),)))
    watcher.sample()
    machine.set_disks(dict.fromkeys(devices, (2048, 0)))
    second = watcher.sample()
    assert second["disk.in"] == 2
    assert {key for key in second if key.endswith(".in")} == {
        "disk.in",
        "disk.sda.in",
        "disk.sdb.in",
    }


def test_network_counts_every_byte_once_and_no_loopback(machine: Machine) -> None:
    names = ("lo", "eth0", "bond0", "eth1")
    machine.set_network(dict.fromkeys(names, (1000, 500)), members=("eth1",))
    watcher = Watcher(machine, "network", machine.target())
    assert watcher.sample() == {"network.sent": 0, "network.recv": 0}
    machine.set_network(dict.fromkeys(names, (1100, 510)), members=("eth1",))
    assert watcher.sample() == {"network.sent": 20, "network.recv": 200}
    machine.set_network({"eth0": (1200, 515)})  # the bond went away
    machine.set_network({"eth0": (1300, 520), "bond0": (7, 7)})
    assert watcher.sample()["network.sent"] >= 20


@needs_samples
def test_the_recorded_cgroup_gives_what_the_reference_gave(machine: Machine) -> None:
    """Replay of a measurement of wandb 0.31.0, see the README of the samples."""
    case = json.loads((SAMPLES / "cgroup_v2_limits" / "case.json").read_text())
    machine.set_process(42)
    folder = SAMPLES / "cgroup_v2_limits"
    machine.put_in_cgroup(42, folder / "t0")
    target = machine.target(42)
    watchers = [Watcher(machine, name, target) for name in ("memory", "cgroup")]
    samples: list[dict[str, Any]] = case["samples"]
    first_kills: float | None = None
    for sample in samples:
        machine.put_in_cgroup(42, folder / sample["input"])
        values: dict[str, float] = {}
        for watcher in watchers:
            values |= watcher.sample()
        first_kills = values["proc.memory.oomKills"] if first_kills is None else first_kills
        assert values == pytest.approx(sample["expect"], rel=1e-9)
    assert first_kills == 0
