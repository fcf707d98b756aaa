"""How fast artifacts are logged and downloaded, beside the reference and trackio.

    python tests/perf/artifact_speed.py                           2 GiB, 20,000 files, 8 ranks
    python tests/perf/artifact_speed.py --cases large --repeat 3  one of the cases, with medians
    python tests/perf/artifact_speed.py --scale 0.1 --rank-mib 128
    python tests/perf/artifact_speed.py --trackio-python PATH     where trackio is installed

Sides take turns, each time with a fresh server and agent that logged one small file before; the
reference talks to a server of ours, and is measured offline as well (nothing is sent then). Cases:
one large file of tensors (first version, unchanged, 5 % of the tensors replaced, 10 % appended),
many small files (first, unchanged, 1 % changed), many ranks at once, downloads (cold, again into
the same folder, then into two others). `stored` is what the server's folder grew by; memory is the
peak of resident memory of the processes of a role together, with what that is above rest; `loop`
the rate of a busy loop in the logging process meanwhile, relative to before. `--policy immutable`
adds files without a copy. The rates of MD5 and of copying on this machine are measured before each
turn: they are what to compare with. The end is a table of medians, with ratios to the first side.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

if __package__ is None:  # started as a script
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.perf.measuring import Bench, Watch

WORKLOAD = Path(__file__).with_name("artifact_workload.py")
MIB = 1024 * 1024
TENSORS = 128
_ROLES = ("agent", "server", "service")
#: How often memory is looked at, in seconds: more often costs figures on a small machine.
_PERIOD_S = 0.2
SIDES = ("trackd", "wandb", "wandb-offline", "trackio")


class Side:
    """One SDK with a server, an agent and a work folder of its own."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.name = name
        self.sdk, _, self.mode = name.partition("-")
        self.mode = self.mode or "online"
        self.options = options
        self.bench = Bench()
        self.python = options.trackio_python if self.sdk == "trackio" else sys.executable
        #: Memory of the roles before anything large was logged, in MiB.
        self.rest_mib: dict[str, float] = {}
        if name == "wandb":
            self.bench.serve_peer()

    def warm_up(self) -> None:
        """Start what starts with the first run, and see what it takes at rest."""
        source = self.bench.root / "warm"
        write_random(source / "file", 100)
        self.run("--source", str(source), "--name", "warm")
        time.sleep(1.0)
        with Watch(self.bench.tag, _PERIOD_S) as watch:
            time.sleep(2 * _PERIOD_S)
        self.rest_mib = {role: watch.rss_mib(role) for role in _ROLES}

    def run(self, *words: str) -> dict[str, Any]:
        """Run a workload; return its figures and those of the processes beside it."""
        before = self.stored()
        with Watch(self.bench.tag, _PERIOD_S) as watch:
            figures = self.finish(self.start(*words))
        figures["stored_mib"] = (self.stored() - before) / MIB
        return figures | self.beside(watch)

    def beside(self, watch: Watch) -> dict[str, Any]:
        """Return the memory of the processes beside the ranks."""
        return {f"{role}_mib": watch.rss_mib(role) for role in _ROLES}

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a workload."""
        env = self.bench.environment(self.sdk)
        if self.sdk == "trackio":
            env |= {"TRACKIO_DIR": str(self.bench.root / "trackio")}
        command = [self.python, str(WORKLOAD), "--sdk", self.sdk, "--mode", self.mode]
        return subprocess.Popen(
            [*command, "--policy", self.options.policy, *words],
            env=env,
            cwd=self.bench.root,
            stdout=subprocess.PIPE,
            stderr=None if self.options.verbose else subprocess.DEVNULL,
        )

    def finish(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        """Return the figures of a workload."""
        out, _ = process.communicate(timeout=1800)
        if process.returncode != 0:
            raise RuntimeError(f"the workload of {self.name} ended with {process.returncode}")
        [line] = (line for line in out.splitlines() if line.startswith(b"FIGURES "))
        return json.loads(line.removeprefix(b"FIGURES "))

    def stored(self) -> int:
        """Return the bytes that the server of this side has on disk."""
        folder = {"wandb": "peer-server", "trackd": "data/server", "trackio": "trackio"}[self.sdk]
        paths = (self.bench.root / folder).rglob("*")
        return sum(path.stat().st_size for path in paths if path.is_file())

    def drop_caches(self) -> None:
        """Let the next download find nothing on this machine."""
        if self.sdk == "trackd":
            words = ["artifact", "cache", "cleanup", "0"]
            command = [sys.executable, "-m", "trackd", *words]
            done = subprocess.run(command, env=self.bench.environment("trackd"), check=False)
            if done.returncode:
                print(f"{self.name}: the cache was NOT emptied", flush=True)
        shutil.rmtree(self.bench.root / "cache", ignore_errors=True)

    def close(self) -> None:
        """Stop everything and remove the folder."""
        self.bench.__exit__()


def write_random(path: Path, size: int) -> None:
    """Write a file that does not compress."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        while size > 0:
            file.write(os.urandom(min(size, 16 * MIB)))
            size -= 16 * MIB


def machine(folder: Path, size: int) -> str:
    """Return the rates of hashing and of copying here."""
    source = folder / "rate"
    write_random(source, size)
    began, digest = time.perf_counter(), hashlib.md5()
    with source.open("rb") as file:
        while piece := file.read(MIB):
            digest.update(piece)
    hashed = time.perf_counter() - began
    began = time.perf_counter()
    with source.open("rb") as file, (folder / "copy").open("wb") as copy:
        shutil.copyfileobj(file, copy, MIB)
        os.fsync(copy.fileno())
    copied = time.perf_counter() - began
    for path in (source, folder / "copy"):
        path.unlink()
    mib = size / MIB
    return f"MD5 {mib / hashed:.0f} MiB/s, copy with fsync {mib / copied:.0f} MiB/s"


class Report:
    """What was measured: a line each time, a table at the end."""

    def __init__(self) -> None:
        #: Seconds by case and side.
        self._seconds: dict[str, dict[str, list[float]]] = {}

    def add(self, side: Side, case: str, mib: float, figures: dict[str, Any]) -> None:
        """Note one result and print it."""
        seconds = figures["total_s"]
        self._seconds.setdefault(case, {}).setdefault(side.name, []).append(seconds)
        rate = mib / seconds if seconds else 0
        parts = [f"{side.name:14} {case:22} {seconds:8.2f} s {rate:8.0f} MiB/s"]
        if "build_s" in figures:
            parts.append(f"build {figures['build_s']:.2f} call {figures['call_s']:.2f}")
            parts.append(f"finish {figures['with_finish_s'] - seconds:.2f} s")
            parts.append(f"loop {figures['loop_share']:.0%} {figures['version']}")
        parts.append(f"stored {figures['stored_mib']:.1f} MiB: rank {figures['rss_mib']:.0f}")
        peaks = {role: figures[f"{role}_mib"] for role in _ROLES if figures[f"{role}_mib"]}
        rest = side.rest_mib
        parts += [f"{role} {peak:.0f} ({peak - rest[role]:+.0f})" for role, peak in peaks.items()]
        print("  ".join(parts), flush=True)

    def summary(self, sides: list[str]) -> None:
        """Print the medians, and how many times the first side's the others took."""
        print("\n" + " " * 24 + "".join(f"{name:>24}" for name in sides))
        for case, by_side in self._seconds.items():
            medians = {name: statistics.median(taken) for name, taken in by_side.items()}
            ours = medians.get(sides[0], 0.0)
            cells = [
                f"{medians[name]:14.2f} s {medians[name] / ours if ours else 0:6.2f}x"
                if name in medians
                else "-"
                for name in sides
            ]
            print(f"{case:24}" + "".join(f"{cell:>24}" for cell in cells))


def large_file(report: Report, side: Side, mib: int) -> None:
    """One file of tensors, as checkpoints are."""
    source = side.bench.root / "large"
    path = source / "model.safetensors"
    tensor = mib * MIB // TENSORS
    words = ("--source", str(source), "--name", "large")
    write_random(path, tensor * TENSORS)
    report.add(side, "large first", mib, side.run(*words))
    report.add(side, "large unchanged", mib, side.run(*words))
    with path.open("r+b") as file:
        for number in range(0, TENSORS, 21):  # 7 of 128: 5.5 %
            file.seek(number * tensor)
            file.write(os.urandom(tensor))
    report.add(side, "large 7/128 tensors", mib, side.run(*words))
    with path.open("ab") as file:
        for _ in range(TENSORS // 10):
            file.write(os.urandom(tensor))
    report.add(side, "large +9 % appended", mib * 1.09, side.run(*words))
    downloads(report, side, "large", mib * 1.09)
    shutil.rmtree(source)


def small_files(report: Report, side: Side, count: int, size: int) -> None:
    """Many small files, as datasets are."""
    source = side.bench.root / "small"
    for number in range(count):
        write_random(source / f"{number // 1000:03}" / f"{number:06}.bin", size)
    words, mib = ("--source", str(source), "--name", "small"), count * size / MIB
    report.add(side, f"{count} files first", mib, side.run(*words))
    report.add(side, f"{count} files unchanged", mib, side.run(*words))
    for number in range(0, count, 100):
        write_random(source / f"{number // 1000:03}" / f"{number:06}.bin", size)
    report.add(side, f"{count} files 1 % new", mib, side.run(*words))
    downloads(report, side, "small", mib)
    shutil.rmtree(source)


def downloads(report: Report, side: Side, name: str, mib: float) -> None:
    """Download what was logged last."""
    if side.mode == "offline":
        return
    got = side.bench.root / "got"
    side.drop_caches()
    cases = (("cold", "a"), ("same folder", "a"), ("cached", "b"), ("cached again", "c"))
    for case, folder in cases:
        words = ("--name", name, "--root", str(got / folder))
        report.add(side, f"{name} get {case}", mib, side.run(*words))
    # Not before: where ext4 removed thousands of files it is slow to make others for some seconds.
    shutil.rmtree(got)


def many_ranks(report: Report, side: Side, ranks: int, mib: int) -> None:
    """As many processes at once, each with an artifact of its own."""
    folders = [side.bench.root / f"rank{number}" for number in range(ranks)]
    for folder in folders:
        write_random(folder / "shard.bin", mib * MIB)
    before, began = side.stored(), time.perf_counter()
    with Watch(side.bench.tag, _PERIOD_S) as watch:
        started = [side.start("--source", str(folder), "--name", folder.name) for folder in folders]
        figures = [side.finish(process) for process in started]
    taken = time.perf_counter() - began
    shown = figures[0] | {"total_s": taken, "with_finish_s": taken}
    shown |= {"stored_mib": (side.stored() - before) / MIB} | side.beside(watch)
    report.add(side, f"{ranks} ranks x {mib} MiB", ranks * mib, shown)
    for folder in folders:
        shutil.rmtree(folder)


def measure(report: Report, name: str, case: str, options: argparse.Namespace) -> None:
    """Measure one case of one side, with a server and an agent of its own."""
    side = Side(name, options)
    try:
        print(f"{name}: {machine(side.bench.root, 256 * MIB)}", flush=True)
        side.warm_up()
        if case == "large":
            large_file(report, side, max(int(2048 * options.scale), 1))
        elif case == "small":
            small_files(report, side, max(int(20_000 * options.scale), 1), 4096)
        else:
            many_ranks(report, side, options.ranks, options.rank_mib)
    finally:
        side.close()


def main() -> None:
    """Measure the sides in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", default=",".join(SIDES), help="the first one is compared with")
    parser.add_argument("--cases", default="large,small,ranks")
    parser.add_argument("--repeat", type=int, default=1, help="turns of each side")
    parser.add_argument("--scale", type=float, default=1.0, help="of the large file and the counts")
    parser.add_argument("--ranks", type=int, default=8)
    parser.add_argument("--rank-mib", type=int, default=1024, help="of each rank")
    parser.add_argument("--policy", default="mutable", choices=("mutable", "immutable"))
    parser.add_argument("--trackio-python", default=sys.executable)
    parser.add_argument("--verbose", action="store_true", help="show what the workloads say")
    options = parser.parse_args()
    sides = options.sides.split(",")
    trackio = [options.trackio_python, "-c", "import trackio"]
    if (
        "trackio" in sides
        and subprocess.run(trackio, stderr=subprocess.DEVNULL, check=False).returncode
    ):
        print("trackio is not installed: left out")
        sides.remove("trackio")
    report = Report()
    for case in options.cases.split(","):
        for _ in range(options.repeat):
            for name in sides:
                measure(report, name, case, options)
    report.summary(sides)


if __name__ == "__main__":
    main()
