from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.machine import SAMPLES, Machine, needs_samples

from trackd_agent.monitor.readers import Readers
from trackd_agent.monitor.readers.cgroup import (
    CgroupReader,
    parse_cpu_max,
    parse_leaf,
    parse_memory_max,
)
from trackd_agent.monitor.readers.process import ProcessReader, parse_stat
from trackd_agent.monitor.subject import Subject

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def test_a_process_name_may_hold_parentheses_and_spaces(machine: Machine) -> None:
    machine.set_process(42, cpu_ticks=300, reaped_ticks=7, threads=5, rss_pages=11, start_ticks=99)
    start_ticks, stat = parse_stat((machine.proc / "42" / "stat").read_text())
    assert start_ticks == 99
    assert stat.cpu_s == pytest.approx(300 * TICK_S)
    assert stat.reaped_cpu_s == pytest.approx(7 * TICK_S)
    assert (stat.threads, stat.rss_bytes) == (5, 11 * os.sysconf("SC_PAGE_SIZE"))


def test_a_pid_that_was_given_to_another_process_counts_as_ended(machine: Machine) -> None:
    reader = ProcessReader(machine.proc)
    machine.set_process(42, start_ticks=1000)
    process = reader.identify(42)
    assert process is not None
    assert reader.read(process) is not None
    machine.set_process(42, start_ticks=2000)
    assert reader.read(process) is None
    assert reader.read_tree(process) is None


def test_a_lineage_ends_with_the_first_process_and_where_procfs_hides_one(
    machine: Machine,
) -> None:
    reader = ProcessReader(machine.proc)
    machine.set_process(1, parent=0)
    machine.set_process(20, parent=1)
    machine.set_process(30, parent=20)
    machine.set_process(40, parent=35)
    machine.set_process(50, parent=50)  # no kernel says so
    (machine.proc / "60").mkdir()
    (machine.proc / "60" / "stat").write_text("60 (x)")
    assert reader.lineages([30, 20, 40, 50, 60, 0, -1]) == {
        30: {30, 20, 1},
        20: {20, 1},
        40: {40, 35},
        50: {50},
        60: {60},
        0: set(),
        -1: set(),
    }
    here = os.getpid()
    assert {here, os.getppid()} <= ProcessReader(Path("/proc")).lineages([here])[here]


def test_a_tree_holds_children_of_children_and_keeps_the_time_of_those_that_ended(
    machine: Machine,
) -> None:
    reader = ProcessReader(machine.proc)
    machine.set_process(1, cpu_ticks=100, threads=2, rss_pages=10, children=(2,))
    machine.set_process(2, cpu_ticks=30, threads=1, rss_pages=20, children=(3, 4))
    machine.set_process(3, cpu_ticks=5, threads=1, rss_pages=30)  # 4 has ended meanwhile
    process = reader.identify(1)
    assert process is not None
    before = reader.read_tree(process)
    assert before is not None
    assert before.cpu_s == pytest.approx(135 * TICK_S)
    assert (before.threads, before.rss_bytes) == (4, 60 * os.sysconf("SC_PAGE_SIZE"))
    machine.end_process(3)
    machine.set_process(2, cpu_ticks=30, reaped_ticks=5, threads=1, rss_pages=20)
    after = reader.read_tree(process)
    assert after is not None
    assert after.cpu_s == pytest.approx(before.cpu_s)


def test_the_agent_is_no_part_of_the_rank_that_started_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.set_process(1, cpu_ticks=100, threads=2, rss_pages=10, children=(2, 4))
    machine.set_process(2, cpu_ticks=30, threads=8, rss_pages=20, children=(3,))
    machine.set_process(3, cpu_ticks=5, threads=16, rss_pages=30)
    machine.set_process(4, cpu_ticks=5, threads=1, rss_pages=30)
    monkeypatch.setattr(os, "getpid", lambda: 2)
    reader = ProcessReader(machine.proc)
    threads: list[int] = []
    for pid in (1, 2):  # the rank, and the agent itself
        process = reader.identify(pid)
        tree = reader.read_tree(process) if process else None
        assert tree is not None
        threads.append(tree.threads)
    assert threads == [3, 24]


def test_the_real_tree_of_this_process_grows_with_a_child() -> None:
    reader = ProcessReader(Path("/proc"))
    process = reader.identify(os.getpid())
    assert process is not None
    alone = reader.read_tree(process)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        together = reader.read_tree(process)
        child.communicate(b"\n")
    assert alone is not None
    assert together is not None
    assert together.threads > alone.threads


@needs_samples
def test_a_cgroup_is_found_below_a_mount_with_blanks_in_its_name(machine: Machine) -> None:
    machine.set_process(42)
    leaf = machine.put_in_cgroup(42, SAMPLES / "cgroup_v2_limits" / "t0")
    cgroup = CgroupReader(machine.proc).find(42)
    assert cgroup is not None
    assert cgroup.memory_folder == cgroup.cpu_folder == leaf
    assert cgroup.memory_limit_bytes == 8589934592
    assert cgroup.cpu_limit == 1.5


@needs_samples
def test_a_cgroup_without_limits_and_a_process_without_one_are_no_cgroup(machine: Machine) -> None:
    machine.set_process(42)
    reader = CgroupReader(machine.proc)
    assert reader.find(42) is None
    leaf = machine.put_in_cgroup(42, SAMPLES / "cgroup_v2_limits" / "t0")
    (leaf / "memory.max").write_text("max\n")
    (leaf / "cpu.max").write_text("max 100000\n")
    assert reader.find(42) is None


@pytest.mark.parametrize(
    "membership",
    ["12:memory:/docker/1\n", "0::/../../other\n", "", "0::/elsewhere\n"],
    ids=["version 1 only", "outside of the namespace", "nothing", "below no mount"],
)
def test_no_folder_is_made_up_for_a_cgroup_that_cannot_be_seen(membership: str) -> None:
    mounts = "35 21 0:30 /kube /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    assert parse_leaf(membership, mounts) is None


@given(st.integers(1, 2**62), st.integers(1, 10**6))
def test_limits_are_numbers_or_none(quota: int, period: int) -> None:
    assert parse_cpu_max(f"{quota} {period}\n") == quota / period
    assert parse_cpu_max(f"max {period}\n") == 0
    assert parse_memory_max(f"{quota}\n") == quota
    assert parse_memory_max("max\n") == 0


@needs_samples
def test_the_cpu_capacity_is_the_quota_of_the_container(machine: Machine) -> None:
    machine.set_process(2**22 - 1)
    readers = Readers.of(machine.config)
    free = readers.target(Subject("a", 2**22 - 1))
    assert free.cpu_capacity == readers.host.physical_cpus
    machine.put_in_cgroup(2**22 - 1, SAMPLES / "cgroup_v2_limits" / "t0")
    assert readers.target(Subject("a", 2**22 - 1)).cpu_capacity == 1.5
    outside = readers.target(Subject("a", 2**22 - 1, use_cgroup=False))
    assert outside.cpu_capacity == readers.host.physical_cpus


def test_a_process_bound_to_one_cpu_has_that_capacity(machine: Machine) -> None:
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2:
        pytest.skip("this machine has one CPU")
    code = f"import os; os.sched_setaffinity(0, {{{min(allowed)}}}); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as bound:
        assert bound.stdout is not None
        bound.stdout.readline()
        target = Readers.of(machine.config).target(Subject("a", bound.pid))
        bound.communicate(b"\n")
    assert target.cpu_capacity == 1


@pytest.mark.parametrize("text", ["", "42", "42 (name", "42 (name) S 1 1", "42 (name) S x" * 9])
def test_a_process_whose_figures_are_no_line_of_proc_counts_as_gone(
    machine: Machine, text: str
) -> None:
    machine.set_process(1, cpu_ticks=100, children=(42,))
    machine.set_process(42)
    reader = ProcessReader(machine.proc)
    whole, broken = reader.identify(1), reader.identify(42)
    assert whole is not None
    assert broken is not None
    (machine.proc / "42" / "stat").write_text(text)
    assert reader.identify(42) is None
    assert reader.read(broken) is None
    tree = reader.read_tree(whole)
    assert tree is not None
    assert tree.cpu_s == pytest.approx(100 * TICK_S)
