"""Limits of both versions of cgroups, pressure, killed processes, and broken files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.machine import MEMORY_TOTAL_BYTES, Machine
from tests.support.watching import Watcher

from trackd_agent.monitor.contract import NoDataError
from trackd_agent.monitor.readers.cgroup import (
    CgroupReader,
    parse_cpu_max,
    parse_flat_keyed,
    parse_memory_max,
    parse_pressure,
)

if TYPE_CHECKING:
    from pathlib import Path

GIB = 2**30
PRESSURE = (
    "some avg10=1.00 avg60=0.00 avg300=0.00 total={}\nfull avg10=0.00 avg60=0 avg300=0 total={}\n"
)


def put_in_version_2(machine: Machine, pid: int, **files: str) -> Path:
    source = machine.root / "sample"
    source.mkdir(exist_ok=True)
    for name, text in files.items():
        (source / name.replace("_", ".", 1)).write_text(text)
    machine.set_process(pid)
    return machine.put_in_cgroup(pid, source)


def put_in_version_1(machine: Machine, pid: int, limit_bytes: int, quota_us: int) -> Path:
    """Put a process into a cgroup as Docker does it with version 1; returns the mounts' folder."""
    mounts = machine.root / "cgroups"
    memory, cpu = mounts / "memory" / "job", mounts / "cpu,cpuacct" / "job"
    for folder in (memory, cpu):
        folder.mkdir(parents=True, exist_ok=True)
    (memory / "memory.limit_in_bytes").write_text(f"{limit_bytes}\n")
    (memory / "memory.usage_in_bytes").write_text(f"{2 * GIB}\n")
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    (cpu / "cpu.cfs_quota_us").write_text(f"{quota_us}\n")
    (cpu / "cpu.cfs_period_us").write_text("100000\n")
    (cpu / "cpu.stat").write_text("nr_periods 100\nnr_throttled 10\nthrottled_time 5\n")
    machine.set_process(pid)
    process = machine.proc / str(pid)
    (process / "cgroup").write_text("5:cpu,cpuacct:/docker/1/job\n4:memory:/docker/1/job\n0::/\n")
    (process / "mountinfo").write_text(
        f"31 23 0:28 / {mounts} rw - tmpfs tmpfs rw\n"
        f"32 31 0:29 /docker/1 {mounts}/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        f"33 31 0:30 /docker/1 {mounts}/memory rw - cgroup cgroup rw,memory\n"
        f"34 31 0:31 / {mounts}/unified rw - cgroup2 cgroup2 rw\n"
    )
    return mounts


def test_limits_of_version_1_count_where_version_2_has_none(machine: Machine) -> None:
    put_in_version_1(machine, 42, 8 * GIB, 150_000)
    cgroup = CgroupReader(machine.proc).find(42)
    assert cgroup is not None
    assert (cgroup.version, cgroup.memory_limit_bytes, cgroup.cpu_limit) == (1, 8 * GIB, 1.5)
    target = machine.target(42)
    assert target.cpu_capacity == 1.5
    assert Watcher(machine, "memory", target).sample() == {
        "memory_percent": 25,
        "proc.memory.availableMB": 6 * 1024,
    }


def test_events_of_version_1(machine: Machine) -> None:
    mounts = put_in_version_1(machine, 42, 8 * GIB, 150_000)
    watcher = Watcher(machine, "cgroup", machine.target(42))
    assert watcher.sample() == {"proc.memory.oomKills": 0}
    stat = mounts / "cpu,cpuacct" / "job" / "cpu.stat"
    stat.write_text("nr_periods 140\nnr_throttled 20\nthrottled_time 5\n")
    assert watcher.sample() == {"proc.memory.oomKills": 0, "proc.cpu.throttledPercent": 25}


def test_the_largest_number_of_version_1_is_no_limit(machine: Machine) -> None:
    put_in_version_1(machine, 42, 9223372036854771712, -1)
    assert CgroupReader(machine.proc).find(42) is None


def test_a_rank_in_another_mount_namespace_is_found_by_our_own_mounts(machine: Machine) -> None:
    leaf = put_in_version_2(machine, 42, memory_max=f"{GIB}\n", cpu_max="max 100000\n")
    for pid, namespace in (("self", 1), ("42", 2)):
        (machine.proc / pid / "ns").mkdir(parents=True)
        (machine.proc / pid / "ns" / "mnt").symlink_to(f"mnt:[{namespace}]")
    ours = (machine.proc / "42" / "mountinfo").read_text()
    (machine.proc / "self" / "mountinfo").write_text(ours)
    inside = "35 21 0:30 /kube/pod/main /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n"
    (machine.proc / "42" / "mountinfo").write_text(inside)
    cgroup = CgroupReader(machine.proc).find(42)
    assert cgroup is not None
    assert cgroup.memory_folder == leaf


def test_pressure_is_the_share_of_the_interval_that_was_spent_waiting(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 102.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    leaf = put_in_version_2(machine, 42, memory_max=f"{GIB}\n")
    for name in ("cpu", "memory", "io"):
        (leaf / f"{name}.pressure").write_text(PRESSURE.format(1_000_000, 0))
    watcher = Watcher(machine, "cgroup", machine.target(42))
    assert watcher.sample() == {}
    (leaf / "cpu.pressure").write_text(PRESSURE.format(1_500_000, 0))
    (leaf / "memory.pressure").write_text(PRESSURE.format(3_000_000, 200_000))
    assert watcher.sample() == pytest.approx(
        {
            "proc.cpu.pressurePercent": 25,
            "proc.memory.pressurePercent": 100,
            "proc.memory.pressureFullPercent": 10,
            "proc.io.pressurePercent": 0,
            "proc.io.pressureFullPercent": 0,
        }
    )


def test_a_process_killed_for_memory_is_an_event(machine: Machine) -> None:
    leaf = put_in_version_2(machine, 42, memory_max=f"{GIB}\n", memory_events="oom_kill 3\n")
    watcher = Watcher(machine, "cgroup", machine.target(42))
    assert watcher.read().events == []
    (leaf / "memory.events").write_text("oom 9\noom_kill 5\n")
    ((key, event),) = watcher.read().events
    assert (key, event.name, event.key, event.value) == (
        watcher.target.key,
        "oom_kill",
        "proc.memory.oomKill",
        2,
    )
    assert event.text == (
        "out of memory (limit: 1 GiB): the kernel killed 2 processes of this rank's container"
    )
    assert watcher.read().events == []


def test_files_of_a_cgroup_that_is_gone_have_no_keys(machine: Machine) -> None:
    leaf = put_in_version_2(
        machine, 42, memory_max=f"{GIB}\n", memory_current="1\n", memory_events="oom_kill 0\n"
    )
    target = machine.target(42)
    memory, events = Watcher(machine, "memory", target), Watcher(machine, "cgroup", target)
    assert memory.sample() and events.sample()
    for file in leaf.iterdir():
        file.write_text("\n")
    assert memory.sample() == {}
    with pytest.raises(NoDataError):
        events.read()


@pytest.mark.parametrize("text", ["", "\n", "half", "1", "1 0", "-1 100000", "1 2 3", "nan 1"])
def test_broken_limits_are_none(text: str) -> None:
    assert parse_cpu_max(text) == 0
    assert parse_memory_max(text) == (1 if text == "1" else 0)


def test_lines_that_cannot_be_read_are_left_out() -> None:
    assert parse_flat_keyed("a 1\nb\nc x\nd 1 2\n\ne 5\n") == {"a": 1, "e": 5}
    assert parse_pressure("some avg10=1 total=7\nfull\nnone total=1\nfull total=x\n") == {"some": 7}
    assert parse_pressure("") == {}


def test_host_figures_stand_where_nothing_limits(machine: Machine) -> None:
    put_in_version_2(machine, 42, memory_max="max\n", cpu_max="max 100000\n")
    sample = Watcher(machine, "memory", machine.target(42)).sample()
    assert sample["proc.memory.availableMB"] == 0.75 * MEMORY_TOTAL_BYTES / 2**20
