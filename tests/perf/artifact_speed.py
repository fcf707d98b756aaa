"""How fast artifacts are logged and downloaded, beside the reference and trackio.

    python tests/perf/artifact_speed.py                           2 GiB, 20,000 files, 8 ranks
    python tests/perf/artifact_speed.py --scale 0.1 --sides trackd,wandb
    python tests/perf/artifact_speed.py --trackio-python PATH     where trackio is installed

Every side gets a fresh server and agent; the reference talks to a server of ours, and is measured
offline as well (nothing is sent then). Cases: one large file of tensors (first version, unchanged,
5 % of the tensors replaced, 10 % appended), many small files (first, unchanged, 1 % changed), many
ranks at once, downloads (cold, again into the same folder, then into two others). `stored` is what
the server's folder grew by; memory is the peak of resident memory of the processes of a role;
`loop` the rate of a busy loop in the logging process meanwhile, relative to before.
`--policy immutable` adds files without a copy.
The rates of MD5 and of copying on this machine come first: they are what to compare with.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
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
        if name == "wandb":
            self.bench.serve_peer()

    def run(self, *words: str) -> dict[str, Any]:
        """Run a workload; return its figures and those of the processes beside it."""
        before = self.stored()
        with Watch(self.bench.tag) as watch:
            figures = self.finish(self.start(*words))
        figures["stored_mib"] = (self.stored() - before) / MIB
        for role in ("agent", "server", "service"):
            figures[f"{role}_mib"] = watch.rss_mib(role)
            figures[f"{role}_cpu_s"] = watch.cpu_s(role)
        return figures

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


def report(side: str, case: str, mib: float, figures: dict[str, Any]) -> None:
    """Print one line."""
    seconds = figures["total_s"]
    parts = [f"{side:14} {case:22} {seconds:8.2f} s {mib / seconds if seconds else 0:8.0f} MiB/s"]
    if "build_s" in figures:
        parts.append(f"build {figures['build_s']:.2f} call {figures['call_s']:.2f}")
        parts.append(f"finish {figures['with_finish_s'] - seconds:.2f} s")
        parts.append(f"loop {figures['loop_share']:.0%} {figures['version']}")
    if "stored_mib" in figures:
        parts.append(f"stored {figures['stored_mib']:.1f}")
        memory = [f"{role} {figures[f'{role}_mib']:.0f}" for role in ("agent", "server", "service")]
        parts.append(f"MiB: rank {figures['rss_mib']:.0f} {' '.join(memory)}")
    print("  ".join(parts), flush=True)


def large_file(side: Side, mib: int) -> None:
    """One file of tensors, as checkpoints are."""
    source = side.bench.root / "large"
    path = source / "model.safetensors"
    tensor = mib * MIB // TENSORS
    words = ("--source", str(source), "--name", "large")
    write_random(path, tensor * TENSORS)
    report(side.name, "large first", mib, side.run(*words))
    report(side.name, "large unchanged", mib, side.run(*words))
    with path.open("r+b") as file:
        for number in range(0, TENSORS, 21):  # 7 of 128: 5.5 %
            file.seek(number * tensor)
            file.write(os.urandom(tensor))
    report(side.name, "large 7/128 tensors", mib, side.run(*words))
    with path.open("ab") as file:
        for _ in range(TENSORS // 10):
            file.write(os.urandom(tensor))
    report(side.name, "large +9 % appended", mib * 1.09, side.run(*words))
    downloads(side, "large", mib * 1.09)
    shutil.rmtree(source)


def small_files(side: Side, count: int, size: int) -> None:
    """Many small files, as datasets are."""
    source = side.bench.root / "small"
    for number in range(count):
        write_random(source / f"{number // 1000:03}" / f"{number:06}.bin", size)
    words, mib = ("--source", str(source), "--name", "small"), count * size / MIB
    report(side.name, f"{count} files first", mib, side.run(*words))
    report(side.name, f"{count} files unchanged", mib, side.run(*words))
    for number in range(0, count, 100):
        write_random(source / f"{number // 1000:03}" / f"{number:06}.bin", size)
    report(side.name, f"{count} files 1 % new", mib, side.run(*words))
    downloads(side, "small", mib)
    shutil.rmtree(source)


def downloads(side: Side, name: str, mib: float) -> None:
    """Download what was logged last."""
    if side.mode == "offline":
        return
    got = side.bench.root / "got"
    side.drop_caches()
    cases = (("cold", "a"), ("same folder", "a"), ("cached", "b"), ("cached again", "c"))
    for case, folder in cases:
        words = ("--name", name, "--root", str(got / folder))
        report(side.name, f"{name} get {case}", mib, side.run(*words))
    # Not before: where ext4 removed thousands of files it is slow to make others for some seconds.
    shutil.rmtree(got)


def many_ranks(side: Side, ranks: int, mib: int) -> None:
    """As many processes at once, each with an artifact of its own."""
    folders = [side.bench.root / f"rank{number}" for number in range(ranks)]
    for folder in folders:
        write_random(folder / "shard.bin", mib * MIB)
    began = time.perf_counter()
    with Watch(side.bench.tag) as watch:
        started = [side.start("--source", str(folder), "--name", folder.name) for folder in folders]
        figures = [side.finish(process) for process in started]
    shown = figures[0] | {"total_s": time.perf_counter() - began, "stored_mib": 0.0}
    for role in ("agent", "server", "service"):
        shown[f"{role}_mib"] = watch.rss_mib(role)
    report(side.name, f"{ranks} ranks x {mib} MiB", ranks * mib, shown)
    for folder in folders:
        shutil.rmtree(folder)


def main() -> None:
    """Measure each side in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", default=",".join(SIDES[:3]))
    parser.add_argument("--cases", default="large,small,ranks")
    parser.add_argument("--scale", type=float, default=1.0, help="of sizes and counts")
    parser.add_argument("--ranks", type=int, default=8)
    parser.add_argument("--policy", default="mutable", choices=("mutable", "immutable"))
    parser.add_argument("--trackio-python", default=sys.executable)
    parser.add_argument("--verbose", action="store_true", help="show what the workloads say")
    options = parser.parse_args()
    for name in options.sides.split(","):
        side = Side(name, options)
        try:
            print(f"{name}: {machine(side.bench.root, 256 * MIB)}", flush=True)
            if "large" in options.cases:
                large_file(side, max(int(2048 * options.scale), 1))
            if "small" in options.cases:
                small_files(side, max(int(20_000 * options.scale), 1), 4096)
            if "ranks" in options.cases:
                many_ranks(side, options.ranks, max(int(1024 * options.scale), 1))
        finally:
            side.close()


if __name__ == "__main__":
    main()
