"""Details of the machine, network namespaces, and what the agent costs: keys and values."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.watching import Watcher

from trackd_agent.monitor import MonitorConfig
from trackd_agent.monitor.contract import NoDataError
from trackd_agent.monitor.readers import Readers
from trackd_agent.monitor.readers.details import parse_cores
from trackd_agent.monitor.readers.host import parse_diskstats, parse_meminfo
from trackd_agent.monitor.readers.network import parse_devices, parse_retransmits
from trackd_agent.monitor.registry import REGISTRATIONS
from trackd_agent.monitor.subject import Subject

if TYPE_CHECKING:
    from tests.support.machine import Machine

    from trackd_agent.monitor.subject import Target

SNMP = "Ip: Forwarding\nIp: 1\nTcp: RtoMin RetransSegs InErrs\nTcp: 200 {} 0\n"


def asking(target: Target, **wishes: bool) -> Target:
    return dataclasses.replace(target, subject=dataclasses.replace(target.subject, **wishes))


def test_details_are_read_for_those_who_ask_and_for_nobody_else(machine: Machine) -> None:
    curious, other = asking(machine.target(1), host_details=True), machine.target(2)
    (registration,) = (each for each in REGISTRATIONS if each.name == "host")
    collector = registration.make(Readers.of(machine.config))
    found = collector.collect([curious, other])
    assert list(found.by_subject) == [curious.key]
    assert not found.shared
    with pytest.raises(NoDataError, match="x_stats_host_details"):
        collector.collect([other])


def test_details_of_the_machine(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 102.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    (machine.proc / "stat").write_text("cpu 9 9\ncpu0 10 0 10 80 0 0 0 0 5 0\ncpu1 0 0 0 100 0\n")
    (machine.proc / "loadavg").write_text("1.50 0.25 0.10 2/345 6789\n")
    (machine.proc / "uptime").write_text("3600.25 7000.00\n")
    meminfo = (machine.proc / "meminfo").read_text()
    (machine.proc / "meminfo").write_text(f"{meminfo}SwapTotal: 1000 kB\nSwapFree: 750 kB\n")
    sensor = machine.sys / "class" / "hwmon" / "hwmon3"
    sensor.mkdir(parents=True)
    (sensor / "name").write_text("coretemp\n")
    for number, (label, heat) in enumerate([("Core 0", 48), ("Package id 0", 52), ("Core 1", 50)]):
        (sensor / f"temp{number}_label").write_text(f"{label}\n")
        (sensor / f"temp{number}_input").write_text(f"{heat * 1000}\n")
    package = machine.sys / "class" / "powercap" / "intel-rapl:0"
    package.mkdir(parents=True)
    (package / "name").write_text("package-0\n")
    (package / "energy_uj").write_text("5000000\n")

    watcher = Watcher(machine, "host", asking(machine.target(), host_details=True))
    steady = {
        "system.load1": 1.5,
        "system.load5": 0.25,
        "system.load15": 0.1,
        "system.uptime": 3600.25,
        "swap.used": 250 * 1024,
        "swap.used_percent": 25,
        "cpu.avg_temp": 52,  # of the package, where there is one: as measured of wandb 0.31.0
    }
    assert watcher.sample() == pytest.approx(steady)
    (machine.proc / "stat").write_text("cpu 9 9\ncpu0 20 0 15 80 5 0 0 0 9 0\ncpu1 0 0 0 120 0\n")
    (package / "energy_uj").write_text("65000000\n")
    busy = {"cpu.0.cpu_percent": 75, "cpu.1.cpu_percent": 0, "cpu.powerWatts": 30}
    assert watcher.sample() == pytest.approx(steady | busy)


def test_details_that_cannot_be_read_have_no_keys(machine: Machine) -> None:
    (machine.proc / "stat").write_text("cpux 1\ncpu0 1 two 3\n\n")
    (machine.proc / "loadavg").write_text("high\n")
    (machine.proc / "meminfo").write_text("SwapTotal:\nSwapFree: many kB\n")
    watcher = Watcher(machine, "host", asking(machine.target(), host_details=True))
    assert watcher.sample() == {}
    assert parse_cores("cpu7 1\n")[7].total == 1
    assert parse_meminfo("A: 1 kB\nB\nC: x\n") == {"A": 1}


def test_segments_that_tcp_sent_again_are_counted_from_the_first_sample(machine: Machine) -> None:
    machine.set_network({"eth0": (10, 10)})
    (machine.proc / "net" / "snmp").write_text(SNMP.format(40))
    watcher = Watcher(machine, "network", machine.target())
    assert watcher.sample()["network.tcpRetransmits"] == 0
    (machine.proc / "net" / "snmp").write_text(SNMP.format(47))
    assert watcher.sample()["network.tcpRetransmits"] == 7


def test_a_machine_with_the_loopback_alone_has_no_traffic(machine: Machine) -> None:
    machine.set_network({"lo": (10, 10)})
    watcher = Watcher(machine, "network", machine.target())
    assert watcher.sample() == {"network.sent": 0, "network.recv": 0}


def test_traffic_of_a_rank_in_a_container_is_that_of_the_container(machine: Machine) -> None:
    for pid, namespace in (("self", 1), ("41", 1), ("42", 2)):
        (machine.proc / pid / "ns").mkdir(parents=True)
        (machine.proc / pid / "ns" / "net").symlink_to(f"net:[{namespace}]")
    machine.set_network({"eth0": (1000, 1000)})
    machine.set_process(41)
    machine.set_process(42)
    inside = machine.proc / "42" / "net"
    inside.mkdir()
    (inside / "dev").write_text("h\n  eth0: 5 0 0 0 0 0 0 0 6 0 0 0\n    lo: 9 0 0 0 0 0 0 0 9 0\n")
    at_home, away = machine.target(41), machine.target(42)
    (registration,) = (each for each in REGISTRATIONS if each.name == "network")
    collector = registration.make(Readers.of(machine.config))
    found = collector.collect([at_home, away])
    amounts = {key: [each.amount for each in all_] for key, all_ in found.by_subject.items()}
    assert amounts == {at_home.key: [1000, 1000], away.key: [6, 5]}
    (inside / "dev").unlink()  # the container is gone
    assert list(collector.collect([at_home, away]).by_subject) == [at_home.key]


@pytest.mark.parametrize(
    "text", ["", "eth0: 1 2\n", "eth0 1 2 3 4 5 6 7 8 9\n", "a: x 2 3 4 5 6 7 8 9\n"]
)
def test_a_line_that_is_no_interface_is_left_out(text: str) -> None:
    assert parse_devices(text) == {}


@pytest.mark.parametrize(
    "text", ["", "Tcp: RetransSegs\n", "Tcp: A\nTcp: 1\n", "Tcp: RetransSegs\nTcp: x"]
)
def test_no_count_of_segments_is_made_up(text: str) -> None:
    assert parse_retransmits(text) is None


def test_what_the_agent_costs_is_told_to_those_who_ask() -> None:
    readers = Readers.of(MonitorConfig())
    subject = Subject("a", os.getpid(), self_usage=True)
    (registration,) = (each for each in REGISTRATIONS if each.name == "own")
    collector = registration.make(readers)
    found = collector.collect([readers.target(subject)]).by_subject["a"]
    assert [reading.key for reading in found] == ["wandb.cpu", "wandb.memory.rssMB"]
    rss_mb = (
        int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    )
    assert found[1].amount == pytest.approx(rss_mb, rel=0.5)
    with pytest.raises(NoDataError, match="x_stats_self_usage"):
        collector.collect([readers.target(Subject("a", os.getpid()))])


def test_lines_of_disks_that_cannot_be_read_are_left_out() -> None:
    good = " 8 0 sda 1 0 2 0 1 0 4 0 0 0 0\n"
    disks = parse_diskstats(f"{good} 8 1 sdb 1 0 x 0 1 0 4 0\n 8 2 sdc\n\n")
    assert {name: (disk.in_bytes, disk.out_bytes) for name, disk in disks.items()} == {
        "sda": (1024, 2048)
    }


def test_a_kernel_that_does_not_tell_what_is_available_is_estimated(machine: Machine) -> None:
    text = "MemTotal: 100 kB\nMemFree: 10 kB\nBuffers: 5 kB\nCached: 25 kB\n"
    (machine.proc / "meminfo").write_text(text)
    assert Watcher(machine, "memory", machine.target()).sample()["memory_percent"] == 60


def test_a_machine_that_does_not_tell_its_memory_has_no_such_keys(machine: Machine) -> None:
    (machine.proc / "meminfo").write_text("MemTotal: half\n")
    machine.set_process(42, threads=3)
    with pytest.raises(NoDataError, match="meminfo"):
        Watcher(machine, "memory", machine.target()).read()
    assert set(Watcher(machine, "process", machine.target()).sample()) == {
        "proc.cpu.threads",
        "proc.memory.rssMB",
    }
