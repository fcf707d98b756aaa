"""Apple silicon: what the probe's facts mean, and what bytes of macOS mean.

No machine of the tests is a Mac: what calls macOS is held against stand-ins of its libraries.
"""

from __future__ import annotations

import ctypes
import math
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.cases import Watcher, needs_gcc

from trackd_agent.monitor.collectors.apple import load_of, values
from trackd_agent.monitor.contract import NoDataError
from trackd_agent.probes.apple import Apple, used_pages
from trackd_agent.probes.apple_frameworks import Paths
from trackd_agent.probes.apple_power import parse_clocks

if TYPE_CHECKING:
    from tests.support.machine import Machine

FACTS: dict[str, Any] = {
    "seconds": 2.0,
    "clocks": {"ecpu": [1000, 2000], "pcpu": [1000, 3000, 4000], "gpu": [400, 1400]},
    "residency": {
        "ECPU0": [("DOWN", 0), ("IDLE", 50), ("V0P1", 25), ("V1P0", 25)],
        "ECPU1": [("DOWN", 0), ("IDLE", 100), ("V0P1", 0), ("V1P0", 0)],
        "PCPU0": [("DOWN", 0), ("IDLE", 0), ("V0P2", 0), ("V1P1", 0), ("V2P0", 100)],
        "GPUPH": [("OFF", 50), ("P1", 0), ("P2", 50)],
    },
    "energy": [
        ("CPU Energy", "mJ", 4000),
        ("DIE_1_CPU Energy", "uJ", 2_000_000),
        ("GPU Energy", "nJ", 3_300_000_000),
        ("ANE0", "mJ", 0),
        ("DRAM", "furlong", 7),
    ],
    "cpu_c": [50.0, 60.0],
    "gpu_c": [45.5],
    "system_w": 12.5,
    "memory": {"used_bytes": 4 * 2**30, "total_bytes": 16 * 2**30},
    "swap": {"used_bytes": 0, "total_bytes": 0},
    "gpu_memory_bytes": 2**30,
}


def test_facts_give_every_key_that_makes_sense() -> None:
    assert dict(values(FACTS)) == pytest.approx(
        {
            # Mean of 1500 MHz and of a core at rest, which counts with its lowest clock.
            "cpu.ecpu_freq": 1250,
            "cpu.ecpu_percent": 100 * (1500 * 0.5 / 2000) / 2,
            "cpu.pcpu_freq": 4000,
            "cpu.pcpu_percent": 100,
            "gpu.0.freq": 1400,
            "gpu.0.gpu": 50,
            "cpu.powerWatts": 3,
            "gpu.0.powerWatts": 1.65,
            "gpu.0.powerPercent": 10,
            "ane.power": 0,
            "system.powerWatts": 12.5,
            "cpu.avg_temp": 55,
            "gpu.0.temp": 45.5,
            "memory.used": 4 * 2**30,
            "memory.used_percent": 25,
            "gpu.0.memoryAllocated": 6.25,
        }
    )


@pytest.mark.parametrize("name", sorted(FACTS))
def test_a_fact_that_is_missing_leaves_only_its_keys_out(name: str) -> None:
    rest = {each: fact for each, fact in FACTS.items() if each != name}
    missing = dict(values(FACTS)).keys() - dict(values(rest)).keys()
    assert missing or name == "swap"
    assert dict(values(rest)).items() <= dict(values(FACTS)).items()


def test_nothing_at_all_is_no_error() -> None:
    assert dict(values({})) == {}


@pytest.mark.parametrize(
    ("states", "clocks"),
    [([], [1.0]), ([("IDLE", 0)], [1.0]), ([("IDLE", 5)], [1.0]), ([("P1", 5)], [])],
)
def test_a_unit_without_states_or_clocks_has_no_load(
    states: list[tuple[str, float]], clocks: list[float]
) -> None:
    assert load_of(states, clocks) is None


def test_clocks_are_in_hertz_or_in_kilohertz() -> None:
    m1 = struct.pack("<6I", 0, 0, 600_000_000, 1, 3_204_000_000, 2)
    m4 = struct.pack("<4I", 1_020_000, 1, 4_512_000, 2)
    assert parse_clocks(m1) == [600, 3204]
    assert parse_clocks(m4 + b"\1") == [1020, 4512]
    assert parse_clocks(b"") == []


def test_used_memory_is_what_is_neither_free_nor_file_backed_nor_purgeable() -> None:
    free, active, inactive, wired = 1, 20, 300, 4000
    purgeable, speculative, compressed, file_backed = 10, 5, 50_000, 100
    statistics = struct.pack(
        "=4I9Q2I4Q4I",
        free,
        active,
        inactive,
        wired,
        *[9] * 9,
        purgeable,
        speculative,
        *[9] * 4,
        compressed,
        9,
        file_backed,
        9,
    )
    assert used_pages(statistics) == 20 + 300 + 4000 + 5 + 50_000 - 10 - 100


class Answers:
    """Stands in for the probe, which answers on a Mac only."""

    def ask(self) -> dict[str, Any]:
        return {**FACTS, "system_w": math.nan}

    def describe(self) -> dict[str, Any]:
        return {"name": "Apple M1", "ecpuCores": 4, "ramTotalBytes": 17179869184}


def test_values_that_are_not_finite_have_no_key(machine: Machine) -> None:
    watcher = Watcher(machine.config, "apple", machine.target())
    watcher.collector._probe = Answers()
    assert "system.powerWatts" not in watcher.sample()
    assert watcher.collector.describe() == {
        "apple": {
            "name": "Apple M1",
            "ecpuCores": 4,
            "memoryGb": 16,
            "ramTotalBytes": "17179869184",
        }
    }


def test_elsewhere_no_process_is_started(machine: Machine) -> None:
    watcher = Watcher(machine.config, "apple", machine.target())
    for ask in (watcher.sample, watcher.collector.describe):
        with pytest.raises(NoDataError, match="no Mac"):
            ask()


@pytest.fixture(scope="session")
def mac(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A library that stands in for those of macOS."""
    path = tmp_path_factory.mktemp("mac") / "libmac.so"
    stub = Path(__file__).parents[2] / "support" / "stubs" / "apple_stub.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", path, stub], check=True)
    return str(path)


@needs_gcc
def test_what_is_called_of_macos_gives_the_facts_and_keeps_nothing(mac: str) -> None:
    """With the layouts and types of Apple's headers; no pointer is cut, no object is leaked."""
    apple = Apple(Paths(mac, mac, mac, mac))
    count: Any = ctypes.CDLL(mac).stub_live
    before = count()
    facts = [apple.read({}) for _ in range(20)][-1]
    assert apple.describe() == {
        "name": "Apple M1",
        "macModel": "MacBookAir10,1",
        "ecpuCores": 4,
        "pcpuCores": 6,
        "gpuCores": 8,
        "ramTotalBytes": 17179869184,
        "swapTotalBytes": 2147483648,
    }
    assert count() == before
    assert facts.pop("seconds") > 0
    states = [("DOWN", 0), ("IDLE", 50), ("V0P1", 0), ("V1P0", 50)]
    assert facts == {
        "clocks": {"ecpu": [600, 2000], "pcpu": [1000, 4000], "gpu": [1400]},
        "energy": [
            ("CPU Energy", "mJ", 4000),
            ("GPU Energy", "nJ", 3_000_000_000),
            ("ANE0", "uJ", 1_000_000),
        ],
        "residency": {"ECPU0": states, "PCPU0": states, "GPUPH": [("OFF", 50), ("P1", 50)]},
        "cpu_c": [50, 60],
        "gpu_c": [45.5],
        "system_w": 12.5,
        "memory": {"used_bytes": 200 * 16384, "total_bytes": 17179869184},
        "swap": {"used_bytes": 536870912, "total_bytes": 2147483648},
        "gpu_memory_bytes": 1073741824,
    }
    known = dict(values({**facts, "seconds": 1.0}))
    assert known["gpu.0.gpu"] == 50
    assert known["cpu.ecpu_freq"] == 2000
    assert known["gpu.0.powerWatts"] == 3
