"""What watching simulated GPUs costs: CPU of the monitor and of its probe, in percent of one core.

    python -m tests.perf.nvidia_cost [--gpus 8] [--ranks 8] [--seconds 20] [--interval 1]

The GPUs are the tests' stand-in for NVML, with profiling counters, and one process on each; the
real `nvidia-ml-py` calls it. A real driver adds its own time. Needs gcc and the recorded samples.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anyio
import psutil
from tests.support.cases import build_nvml

from trackd_agent.monitor import Monitor, MonitorConfig, Subject
from trackd_agent.monitor.registry import REGISTRATIONS


async def cost(config: MonitorConfig, subjects: list[Subject], seconds: float) -> tuple[float, ...]:
    """Return CPU percent of this process and of the probe, after the first ticks."""
    values_seen: list[int] = []
    async with Monitor(config) as monitor:
        for subject in subjects:
            monitor.subscribe(subject, lambda time_s, values: values_seen.append(len(values)))
        await anyio.sleep(max(1.5, 2.5 * subjects[0].interval_s))
        watched = [psutil.Process(), *psutil.Process().children()]
        watched = [each for each in watched if "sys.stdin.read()" not in each.cmdline()[-1]]
        before_s, started_s = [sum(each.cpu_times()[:2]) for each in watched], time.monotonic()
        await anyio.sleep(seconds)
        took_s = time.monotonic() - started_s
        after_s = [sum(each.cpu_times()[:2]) for each in watched]
    print(f"{len(values_seen)} samples, {values_seen[-1]} keys each")
    return tuple(100 * (b - a) / took_s for a, b in zip(before_s, after_s, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("gpus", 8), ("ranks", 8), ("seconds", 20), ("interval", 1)):
        parser.add_argument(f"--{name}", type=float, default=default)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        library = build_nvml(Path(folder))
        sleeper = [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"]
        ranks = [
            stack.enter_context(subprocess.Popen(sleeper, stdin=subprocess.PIPE))
            for _ in range(int(options.ranks))
        ]
        gpus = int(options.gpus)
        users = ",".join(f"{number % gpus}:{rank.pid}" for number, rank in enumerate(ranks))
        os.environ |= {
            "STUB_NVML_COUNT": str(gpus),
            "STUB_NVML_GPM": "1",
            "STUB_NVML_PIDS": users,
        }
        off = {each.name: False for each in REGISTRATIONS if each.name != "nvidia"}
        config = MonitorConfig(library_path=str(library), collectors=off)
        subjects = [Subject(f"rank{rank.pid}", rank.pid, options.interval) for rank in ranks]
        agent, *probes = anyio.run(cost, config, subjects, options.seconds)
        for rank in ranks:
            rank.kill()
        print(
            f"agent {agent:.2f} %, probe {sum(probes):.2f} %, together {agent + sum(probes):.2f} %"
        )


if __name__ == "__main__":
    main()
