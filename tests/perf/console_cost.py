"""What console capture costs the process that prints, and whether it loses a line.

    python tests/perf/console_cost.py                     200,000 lines, 5 pairs, all targets
    python tests/perf/console_cost.py --lines 50000 --pairs 3 --target terminal

Each pair prints the same lines in two fresh processes, one with `console="off"` and one with
capture. `print` is the printing loop alone, `process` everything from `init` to the end of
`finish`, both as CPU seconds of the process and as seconds on the wall; `whole cpu` is that of the
process from its first to its last moment. The targets are what
standard output leads to: a terminal (a pseudo-terminal that is read as fast as it goes), a pipe,
a file and the null device. The lines that arrived are counted in the run's document.

The streams are buffered as Python does by default, whatever PYTHONUNBUFFERED says, which makes
printing itself nearly twice as expensive and capture look cheap; `--unbuffered` measures that.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

TARGETS = ("terminal", "pipe", "file", "null")
WORKLOAD = """
import json, os, sys, time
import trackd

console, lines = sys.argv[1], int(sys.argv[2])
run = trackd.init(
    project="bench", id="console", mode="offline",
    settings={"console": console, "quiet": True, "x_disable_stats": True},
)
time.sleep(1.0)  # what comes after the start has settled
cpu, wall = time.process_time(), time.perf_counter()
for i in range(lines):
    print(f"step {i} loss {i / 7:.4f} lr 0.001")
sys.stdout.flush()
printed_cpu, printed_wall = time.process_time() - cpu, time.perf_counter() - wall
run.finish()
figures = {
    "print cpu": printed_cpu, "print wall": printed_wall,
    "process cpu": time.process_time() - cpu, "process wall": time.perf_counter() - wall,
    "whole cpu": time.process_time(),
}
with open(sys.argv[3], "w") as file:
    json.dump(figures, file)
"""


def print_lines(
    console: str, lines: int, target: str, folder: Path, *, unbuffered: bool
) -> dict[str, float]:
    """Run the workload once; return its figures in seconds."""
    figures = folder / "figures.json"
    command = [sys.executable, "-c", WORKLOAD, console, str(lines), str(figures)]
    reader = writer = -1
    if target == "terminal":
        reader, writer = pty.openpty()
    elif target == "pipe":
        reader, writer = os.pipe()
    else:
        name = os.devnull if target == "null" else str(folder / "out.txt")
        writer = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    swallower = threading.Thread(target=swallow, args=(reader,), daemon=True)
    swallower.start()
    environment = {**os.environ, "TRACKD_DIR": str(folder / "data"), "TRACKD_IDLE_TIMEOUT": "2"}
    environment["PYTHONUNBUFFERED"] = "1" if unbuffered else ""
    subprocess.run(command, cwd=folder, env=environment, stdout=writer, check=True)
    os.close(writer)
    return json.loads(figures.read_text())


def swallow(reader: int) -> None:
    """Read until nobody writes any more."""
    try:
        while reader >= 0 and os.read(reader, 1 << 20):
            pass
    except OSError:  # the way a pseudo-terminal ends
        pass


def lines_recorded(folder: Path) -> int:
    """Return how many of the printed lines the run holds, in order and unchanged."""
    exported = subprocess.run(
        [Path(sys.executable).with_name("trackd"), "export", "--json", "trackd/latest-run"],
        cwd=folder,
        env={**os.environ, "TRACKD_DIR": str(folder / "data")},
        stdout=subprocess.PIPE,
        check=True,
    )
    console: list[str] = json.loads(exported.stdout)["console"]
    return sum(line.startswith(f"step {i} loss ") for i, line in enumerate(console))


def measure(target: str, lines: int, pairs: int, *, unbuffered: bool) -> dict[str, Any]:
    """Measure one target; return the figures of every pair."""
    found: dict[str, Any] = {"target": target, "off": [], "on": [], "recorded": []}
    for _ in range(pairs):
        for name, console in (("off", "off"), ("on", "wrap")):
            with tempfile.TemporaryDirectory() as folder:
                figures = print_lines(console, lines, target, Path(folder), unbuffered=unbuffered)
                found[name].append(figures)
                if name == "on":
                    found["recorded"].append(lines_recorded(Path(folder)))
    return found


def report(found: dict[str, Any], lines: int) -> None:
    """Print the medians of one target."""
    for figure in found["off"][0]:
        off, on = (statistics.median(one[figure] for one in found[name]) for name in ("off", "on"))
        extra = statistics.median(
            (b[figure] / a[figure] - 1) * 100
            for a, b in zip(found["off"], found["on"], strict=True)
        )
        print(
            f"{found['target']:<9} {figure:<13} off {off / lines * 1e6:6.2f}  "
            f"on {on / lines * 1e6:6.2f} us a line  {extra:+6.1f} %"
        )
    print(f"{found['target']:<9} recorded      {min(found['recorded']):,} of {lines:,}", flush=True)


def main() -> None:
    """Measure what the arguments say."""
    parser = argparse.ArgumentParser(description="What console capture costs")
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--target", choices=TARGETS, action="append")
    parser.add_argument("--unbuffered", action="store_true")
    args = parser.parse_args()
    for target in args.target or TARGETS:
        found = measure(target, args.lines, args.pairs, unbuffered=args.unbuffered)
        report(found, args.lines)


if __name__ == "__main__":
    main()
