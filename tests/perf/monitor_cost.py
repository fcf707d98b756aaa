"""What the monitor costs: CPU of this process with all collectors on, in percent of one core.

    python -m tests.perf.monitor_cost [--seconds 20] [--interval 1] [--no-reference]

Measured with one subject, with eight and 64, and with eight whose process trees hold 64 processes;
at the same time as the helpers of the real `wandb` (core and sidecar), which watch a run of theirs
with the same interval. Then memory: what 600 samples of 64 subjects leave behind.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

import anyio
import psutil
import structlog

from trackd_agent.monitor import Monitor, MonitorConfig, Subject

if TYPE_CHECKING:
    from collections.abc import Generator

REFERENCE = """
import sys, wandb
settings = {"x_stats_sampling_interval": float(sys.argv[1]), "console": "off"}
run = wandb.init(project="p", mode="offline", settings=settings)
print("running", flush=True)
sys.stdin.readline()
run.finish()
"""


@contextlib.contextmanager
def reference(interval_s: float) -> Generator[list[psutil.Process]]:
    """Run the real `wandb`; gives the processes that it keeps beside the run's own."""
    with tempfile.TemporaryDirectory(prefix="monitor-cost-") as folder:
        environment = {**os.environ, "HOME": folder, "WANDB_DIR": folder, "WANDB_SILENT": "true"}
        run = subprocess.Popen(
            [sys.executable, "-c", REFERENCE, str(interval_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=folder,
        )
        assert run.stdout is not None
        run.stdout.readline()
        yield psutil.Process(run.pid).children(recursive=True)
        run.communicate(b"\n")


def cpu_s(processes: list[psutil.Process]) -> float:
    """Return the CPU time of processes."""
    return sum(sum(each.cpu_times()[:2]) for each in processes)


async def cost_percent(
    subjects: list[Subject], seconds: float, helpers: list[psutil.Process]
) -> tuple[float, float]:
    """Return the CPU of this process and of the reference's helpers, after the first tick."""
    async with Monitor(MonitorConfig()) as monitor:
        for subject in subjects:
            monitor.subscribe(subject, lambda time_s, values: None)
        await anyio.sleep(max(1.0, subjects[0].interval_s * 1.5))
        ours_s, theirs_s, began_s = time.process_time(), cpu_s(helpers), time.monotonic()
        await anyio.sleep(seconds)
        took_s = time.monotonic() - began_s
        return (
            100 * (time.process_time() - ours_s) / took_s,
            100 * (cpu_s(helpers) - theirs_s) / took_s,
        )


async def growth_kib(subjects: list[Subject], samples: int) -> float:
    """Return by how much this process grew over samples as fast as they may be."""
    seen = 0

    def count(time_s: float, values: dict[str, float]) -> None:
        nonlocal seen
        seen += 1

    async with Monitor(MonitorConfig()) as monitor:
        for subject in subjects:
            monitor.subscribe(subject, count)
        before = 0
        while seen < samples * len(subjects):
            await anyio.sleep(0.05)
            if not before and seen >= samples * len(subjects) // 10:  # caches are filled
                before = psutil.Process().memory_info().rss
        return (psutil.Process().memory_info().rss - before) / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--interval", type=float, default=1)
    parser.add_argument("--no-reference", action="store_true")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))

    def subjects(count: int, *, tree: bool = False, interval_s: float = 0.0) -> list[Subject]:
        interval_s = interval_s or options.interval
        return [
            Subject(str(number), os.getpid(), interval_s, track_process_tree=tree)
            for number in range(count)
        ]

    with contextlib.ExitStack() as stack:
        helpers: list[psutil.Process] = []
        if not options.no_reference:
            helpers = stack.enter_context(reference(options.interval))

        def measure(name: str, ranks: list[Subject]) -> None:
            ours, theirs = anyio.run(cost_percent, ranks, options.seconds, helpers)
            beside = f"   reference's helpers for one run {theirs:.2f} %" if helpers else ""
            print(f"{name:14} {ours:.2f} %{beside}", flush=True)

        measure("1 subject", subjects(1))
        measure("8 subjects", subjects(8))
        measure("64 subjects", subjects(64))
        sleeper = [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"]
        for _ in range(64):
            stack.enter_context(subprocess.Popen(sleeper, stdin=subprocess.PIPE))
        measure("8 trees of 64", subjects(8, tree=True))
    kib = anyio.run(growth_kib, subjects(64, interval_s=0.1), 600)
    print(f"growth over 600 samples of 64 subjects: {kib:.0f} KiB")


if __name__ == "__main__":
    main()
