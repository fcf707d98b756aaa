"""Compares what the monitor says about real NVIDIA GPUs with `nvidia-smi`, value by value.

    python -m tests.perf.nvidia_check [--seconds 10]

First with the GPUs as they are, then with a matrix product on each (needs PyTorch with CUDA;
without it the second part is left out and said so). `nvidia-smi` is asked before and after each
of our samples: a value agrees that lies between the two answers, with some room, since both look
at different moments. Prints a table, what each call into the driver takes, and what sampling
costs; ends with status 1 where something disagrees, 2 where there is no GPU.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import psutil

from trackd_agent.monitor import Monitor, MonitorConfig, Subject
from trackd_agent.monitor.registry import REGISTRATIONS
from trackd_agent.probes import nvml_calls

if TYPE_CHECKING:
    from collections.abc import Callable

_MIB = 1024**2


@dataclass(frozen=True)
class Question:
    """One value of `nvidia-smi` and the key that must agree with it."""

    field: str
    key: str
    room: float  # in the unit of the key, at least
    room_share: float = 0.0  # and this share of the value
    factor: float = 1.0  # from the unit of nvidia-smi to ours


#: Room for figures that move: what a GPU under changing load does in the time between.
QUESTIONS = (
    Question("utilization.gpu", "gpu", 10),
    Question("utilization.memory", "memory", 10),
    Question("memory.used", "memoryAllocatedBytes", 64 * _MIB, 0.01, _MIB),
    Question("temperature.gpu", "temp", 2),
    Question("power.draw", "powerWatts", 10, 0.15),
    Question("enforced.power.limit", "enforcedPowerLimitWatts", 0.1),
    Question("clocks.sm", "smClock", 60, 0.1),
    Question("clocks.gr", "graphicsClock", 60, 0.1),
    Question("clocks.mem", "memoryClock", 1),
    Question("fan.speed", "fanSpeed", 3),
    Question("utilization.encoder", "encoderUtilization", 5),
    Question("ecc.errors.corrected.volatile.device_memory", "correctedMemoryErrors", 0),
    Question("ecc.errors.uncorrected.volatile.device_memory", "uncorrectedMemoryErrors", 0),
)

LOAD = """
import sys, time, torch
matrices = [torch.randn(4096, 4096, device=f"cuda:{i}", dtype=torch.bfloat16)
            for i in range(torch.cuda.device_count())]
assert matrices, "PyTorch sees no GPU"
print("running", flush=True)
until = time.monotonic() + float(sys.argv[1])
while time.monotonic() < until:
    for matrix in matrices:
        for _ in range(20):
            matrix @ matrix
    for i in range(len(matrices)):
        torch.cuda.synchronize(i)
"""

Smi = list[list[float | None]]


def ask_smi() -> Smi:
    """Return the answers by GPU, in the order of `QUESTIONS`; None where it has none."""
    fields = ",".join(question.field for question in QUESTIONS)
    printed = subprocess.run(
        ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [[_number(cell) for cell in line.split(",")] for line in printed.splitlines()]


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None  # [N/A], [Not Supported]


@dataclass
class Comparison:
    """Agreement of one key on one GPU over all samples."""

    ours: list[float] = field(default_factory=list[float])
    theirs: list[float] = field(default_factory=list[float])
    wrong: int = 0
    seen: int = 0

    def add(self, question: Question, ours: float | None, smi: list[float | None]) -> None:
        theirs = [each * question.factor for each in smi if each is not None]
        self.seen += 1
        if ours is None or not theirs:
            self.wrong += (ours is None) != (not theirs)
            return
        self.ours.append(ours)
        self.theirs += theirs
        room = max(question.room, question.room_share * max(theirs))
        self.wrong += not min(theirs) - room <= ours <= max(theirs) + room

    def line(self, name: str) -> str:
        def span(values: list[float]) -> str:
            return f"{min(values):.6g}..{max(values):.6g}" if values else "absent"

        verdict = "agrees" if not self.wrong else f"DISAGREES in {self.wrong} of {self.seen}"
        return f"{name:36} {span(self.ours):32} {span(self.theirs):32} {verdict}"


async def compare(title: str, seconds: float, pid: int) -> bool:
    """Print a table over some seconds of samples; return whether everything agrees."""
    off = {each.name: False for each in REGISTRATIONS if each.name != "nvidia"}
    table: dict[str, Comparison] = {}
    samples: list[dict[str, float]] = []
    async with Monitor(MonitorConfig(collectors=off)) as monitor:
        monitor.subscribe(Subject("check", pid, 1.0), lambda time_s, values: samples.append(values))
        before = await anyio.to_thread.run_sync(ask_smi)
        while len(samples) <= seconds:
            known = len(samples)
            with anyio.fail_after(30):
                while len(samples) == known:
                    await anyio.sleep(0.02)
            after = await anyio.to_thread.run_sync(ask_smi)
            for gpu, (one, other) in enumerate(zip(before, after, strict=True)):
                for place, question in enumerate(QUESTIONS):
                    name = f"gpu.{gpu}.{question.key}"
                    ours = samples[-1].get(name)
                    comparison = table.setdefault(name, Comparison())
                    comparison.add(question, ours, [one[place], other[place]])
            before = after
        cost = _cpu_percent(await _cpu(), await _cpu(5), 5)
    print(f"\n{title}\n{'key':36} {'ours':32} nvidia-smi")
    for name, comparison in table.items():
        print(comparison.line(name))
    others = sorted(samples[-1].keys() - table.keys())
    print("not known to nvidia-smi:", ", ".join(f"{key}={samples[-1][key]:.6g}" for key in others))
    print(f"cost of sampling once per second: {cost:.2f} % of a core")
    is_attributed = pid == os.getpid() or "gpu.process.0.gpu" in samples[-1]
    if not is_attributed:
        print("DISAGREES: the process that computes on GPU 0 has no keys of its own")
    return is_attributed and not any(comparison.wrong for comparison in table.values())


async def _cpu(after_s: float = 0.0) -> float:
    await anyio.sleep(after_s)
    processes = [psutil.Process(), *psutil.Process().children()]
    return sum(sum(each.cpu_times()[:2]) for each in processes if _is_ours(each))


def _is_ours(process: psutil.Process) -> bool:
    return process.pid == os.getpid() or "trackd_agent.probes" in process.cmdline()


def _cpu_percent(before_s: float, after_s: float, seconds: float) -> float:
    return 100 * (after_s - before_s) / seconds


def print_call_times() -> None:
    """Print how long each call into the driver takes on the first GPU, median of 20."""
    nvml: Any = importlib.import_module("pynvml")
    nvml.nvmlInit()
    handle = nvml.nvmlDeviceGetHandleByIndex(0)
    calls = nvml_calls.Calls(nvml)
    print("\nmilliseconds for each fact of GPU 0")
    for group in (
        nvml_calls.facts_of_devices,
        nvml_calls.nvlink_traffic,
        nvml_calls.pcie_traffic,
        nvml_calls.process_lists,
    ):
        for name, ways in group(nvml).items():
            if calls.ask(name, ways, handle) is None:
                print(f"{name:24} not supported")
                continue
            took_ms = [_ms(partial(calls.ask, name, ways, handle)) for _ in range(20)]
            print(f"{name:24} {statistics.median(took_ms):8.3f}, at most {max(took_ms):.3f}")
    nvml.nvmlShutdown()


def _ms(call: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - started_s)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    seconds: float = parser.parse_args().seconds
    if shutil.which("nvidia-smi") is None:
        print("no nvidia-smi: this check needs a machine with an NVIDIA GPU")
        return 2
    print_call_times()
    agrees = anyio.run(compare, "as it is", seconds, os.getpid())
    load = subprocess.Popen(
        [sys.executable, "-c", LOAD, str(seconds + 60)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with load:
        assert load.stdout is not None and load.stderr is not None
        if load.stdout.readline() != "running\n":
            print("no load: PyTorch with CUDA is needed;", load.stderr.read()[-300:].strip())
        else:
            time.sleep(3)
            agrees &= anyio.run(compare, "under load", seconds, load.pid)
        load.kill()
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
