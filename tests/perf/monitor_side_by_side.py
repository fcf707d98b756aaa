"""System metrics of the same process by us and by the real `wandb`, at the same time.

    python -m tests.perf.monitor_side_by_side [--seconds 60] [--interval 1] [--tree]

Both watch one process that works, allocates, writes and has a child, for a minute, and what each
kept (`run._system_metrics`) is compared key by key: the same keys, values that agree. Exit status 1
where they do not. Keys that only we have, by decision, are listed in `OURS`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: What we record in addition (names of the reference's documentation that its code lost).
OURS = ("disk.in", "disk.out")
#: How far apart a key's medians may lie: share of the larger one, and in its own unit.
TOLERANCES = {
    "cpu": (0.10, 3.0),
    "proc.cpu.threads": (0.0, 1.0),
    "proc.memory.": (0.02, 1.0),
    "memory_percent": (0.02, 1.0),
    "disk./.": (0.01, 0.05),
    "disk.": (0.25, 2.0),
    "network.": (0.25, 20_000.0),
}
WORK = """
import os, sys, time
ballast = []
if os.fork() == 0:
    ballast.append(bytearray(40 << 20))
    while os.getppid() != 1:
        time.sleep(0.2)
    sys.exit()
ballast.append(bytearray(100 << 20))
with open(sys.argv[1], "wb", buffering=0) as file:
    while True:
        until = time.process_time() + 0.1
        while time.process_time() < until:
            pass
        file.write(os.urandom(1 << 16))
        os.fsync(file.fileno())
        time.sleep(0.2)
"""
WATCH = """
import importlib, json, sys, time
name, seconds, settings = sys.argv[1], float(sys.argv[2]), json.loads(sys.argv[3])
run = importlib.import_module(name).init(project="p", mode="offline", settings=settings)
time.sleep(seconds)
found = run._system_metrics
with open(sys.argv[4], "w") as file:
    seen = {key: [(time.timestamp(), value) for time, value in all_] for key, all_ in found.items()}
    json.dump(seen, file)
run.finish()
"""

#: Times (seconds since 1970) and values, by key.
Series = dict[str, list[tuple[float, float]]]
Popen = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Verdict:
    """One key of both."""

    key: str
    ours: float
    theirs: float
    agrees: bool


def watch(name: str, folder: Path, seconds: float, settings: dict[str, Any]) -> Popen:
    """Start a run of `trackd` or `wandb` that watches; what it kept is in `<name>.json`."""
    home = folder / name
    home.mkdir()
    environment = {
        **os.environ,
        "HOME": str(home),
        "TRACKD_DIR": str(home / "trackd"),
        "TRACKD_IDLE_TIMEOUT": "1",
        "WANDB_DIR": str(home),
        "WANDB_SILENT": "true",
        "TRACKD_SILENT": "true",
    }
    result = folder / f"{name}.json"
    words = [sys.executable, "-c", WATCH, name, str(seconds), json.dumps(settings), str(result)]
    return subprocess.Popen(words, cwd=home, env=environment)


def common(ours: Series, theirs: Series) -> tuple[Series, Series]:
    """Return what both have seen of the time in which both were watching."""
    began = max(each["memory_percent"][0][0] for each in (ours, theirs))
    ended = min(each["memory_percent"][-1][0] for each in (ours, theirs))
    slack_s = 0.6 * (ended - began) / max(1, len(ours["memory_percent"]))

    def within(series: Series) -> Series:
        return {
            key: [pair for pair in pairs if began - slack_s <= pair[0] <= ended + slack_s]
            for key, pairs in series.items()
        }

    return within(ours), within(theirs)


def figure(key: str, pairs: list[tuple[float, float]]) -> float:
    """Return what stands for a series: its growth where it counts, else its median."""
    values = [value for _, value in pairs]
    counts = key.startswith("network.") or key.endswith((".in", ".out", "oomKills"))
    if not values:
        return math.nan
    return values[-1] - values[0] if counts else statistics.median(values)


def limits_of(key: str) -> tuple[float, float]:
    """Return the tolerance of a key: relative, absolute."""
    return next((found for start, found in TOLERANCES.items() if key.startswith(start)), (0.05, 0))


def compare(ours: Series, theirs: Series) -> list[Verdict]:
    """Return how the keys of both agree; where only one has a key the other is NaN."""
    verdicts: list[Verdict] = []
    for key in sorted(ours.keys() | theirs.keys()):
        mine, other = figure(key, ours.get(key, [])), figure(key, theirs.get(key, []))
        share, absolute = limits_of(key)
        is_near = abs(mine - other) <= max(share * max(abs(mine), abs(other)), absolute)
        is_extra = key in OURS and key not in theirs
        verdicts.append(Verdict(key, mine, other, is_near or is_extra))
    return verdicts


def measure(seconds: float, interval_s: float, *, tree: bool) -> tuple[Series, Series]:
    """Return what both kept of one process."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="side-by-side-")))
        written = str(folder / "written")
        work = subprocess.Popen([sys.executable, "-c", WORK, written])
        stack.callback(work.wait)
        stack.callback(work.kill)
        settings = {
            "x_stats_sampling_interval": interval_s,
            "x_stats_buffer_size": -1,
            "x_stats_pid": work.pid,
            "x_stats_track_process_tree": tree,
            "console": "off",
        }
        names = ("trackd", "wandb")
        watchers = [watch(name, folder, seconds, settings) for name in names]
        if codes := [each.wait() for each in watchers if each.wait()]:
            raise SystemExit(f"a watcher ended with {codes[0]}")
        ours, theirs = (json.loads((folder / f"{name}.json").read_text()) for name in names)
    return ours, theirs


def main() -> int:
    """Measure, print a table, and tell whether all agrees."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--interval", type=float, default=1)
    parser.add_argument("--tree", action="store_true", help="the process and its child")
    options = parser.parse_args()
    ours, theirs = measure(options.seconds, options.interval, tree=options.tree)
    verdicts = compare(*common(ours, theirs))
    for each in verdicts:
        note = "" if each.agrees else "   <-- differs"
        print(f"{each.key:34} ours {each.ours:14.3f}   theirs {each.theirs:14.3f}{note}")
    samples = len(ours["memory_percent"]), len(theirs["memory_percent"])
    print(f"samples: ours {samples[0]}, theirs {samples[1]}")
    return 0 if all(each.agrees for each in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
