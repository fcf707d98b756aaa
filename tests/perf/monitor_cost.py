"""What the monitor costs: CPU of this process with all collectors on, in percent of one core.

    python -m tests.perf.monitor_cost [--seconds 20] [--interval 1]

Measured with one subject, with eight, and with eight whose process trees hold 64 processes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time

import anyio

from trackd_agent.monitor import Monitor, MonitorConfig, Subject


async def cost_percent(subjects: list[Subject], seconds: float) -> float:
    """Return the CPU of this process per second, with these subjects, after their first tick."""
    async with Monitor(MonitorConfig()) as monitor:
        for subject in subjects:
            monitor.subscribe(subject, lambda time_s, values: None)
        await anyio.sleep(max(1.0, subjects[0].interval_s * 1.5))
        cpu_s, started_s = time.process_time(), time.monotonic()
        await anyio.sleep(seconds)
        return 100 * (time.process_time() - cpu_s) / (time.monotonic() - started_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--interval", type=float, default=1)
    options = parser.parse_args()

    def subjects(count: int, *, tree: bool = False) -> list[Subject]:
        return [
            Subject(str(number), os.getpid(), options.interval, track_process_tree=tree)
            for number in range(count)
        ]

    with contextlib.ExitStack() as children:
        print(f"1 subject   {anyio.run(cost_percent, subjects(1), options.seconds):.2f} %")
        print(f"8 subjects  {anyio.run(cost_percent, subjects(8), options.seconds):.2f} %")
        sleeper = [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"]
        for _ in range(64):
            child = subprocess.Popen(sleeper, stdin=subprocess.PIPE)
            children.enter_context(child)
        trees = subjects(8, tree=True)
        print(f"8 trees     {anyio.run(cost_percent, trees, options.seconds):.2f} %")


if __name__ == "__main__":
    main()
