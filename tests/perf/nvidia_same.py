"""Holds our NVIDIA figures against those of the real `wandb-symon` 0.31 in random situations.

    python -m tests.perf.nvidia_same [--cases 20] [--seed 1]

Both read the samples' stand-in for NVML, with random numbers of GPUs, calls that are not
supported, lost GPUs, processes and wishes; keys and values of three samples must be the same,
but for the names that only we have. Ends with status 1 where they are not. Needs gcc.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import re
import sys
import tempfile
import time
from pathlib import Path

from tests.support.cases import Watcher, build_nvml
from tests.support.machine import SAMPLES
from tests.support.reference_monitor import reference_monitor

from trackd_agent.monitor import MonitorConfig, Subject
from trackd_agent.monitor.contract import NoDataError
from trackd_agent.monitor.readers.process import ProcessReader
from trackd_agent.monitor.subject import Target

ONLY_OURS = {"graphicsClock", "encoderUtilization", "unCorrectedMemoryErrors"}
#: Without these there is nothing to compare.
NEEDED = ("Init", "Shutdown", "HandleByIndex", "GetCount", "nvmlSystem")
Values = dict[str, float]


def situation(chance: random.Random, calls: list[str]) -> dict[str, str]:
    """Return variables of the stand-in."""
    found = {"COUNT": chance.choice("1235")}
    if chance.random() < 0.5:
        found["GPM"] = "1"
    if chance.random() < 0.3:
        found["LOST"] = chance.choice("012")
    if chance.random() < 0.8:
        found["FAIL"] = ",".join(chance.sample(calls, chance.choice((1, 1, 2, 4, 8))))
    if chance.random() < 0.6:
        pids = (os.getpid(), 1, 99)
        users = (f"{chance.choice('012')}:{chance.choice(pids)}" for _ in range(3))
        found["PIDS"] = ",".join(users)
    return {f"STUB_NVML_{name}": value for name, value in found.items()}


def ours(library: Path, gpu_ids: tuple[int, ...], count: int) -> list[Values]:
    """Return our samples."""
    me = os.getpid()
    subject = Subject("s", me, gpu_device_ids=gpu_ids or None)
    target = Target(subject, ProcessReader(Path("/proc")).identify(me), None, 1.0)
    samples: list[Values] = []
    with Watcher(MonitorConfig(library_path=str(library)), "nvidia", target) as watcher:
        for _ in range(count):
            try:
                samples.append(watcher.sample())
            except NoDataError:
                samples.append({})
            time.sleep(0.06)
    return [
        {key: value for key, value in sample.items() if key.split(".")[-1] not in ONLY_OURS}
        for sample in samples
    ]


def difference(mine: Values, theirs: Values) -> str:
    """Say what differs, empty if nothing does."""
    if mine.keys() != theirs.keys():
        return f"only ours {mine.keys() - theirs.keys()}, only theirs {theirs.keys() - mine.keys()}"
    # The stand-in's energy grows with every call to it.
    unlike = [
        f"{key}: ours {mine[key]}, theirs {theirs[key]}"
        for key in mine
        if not key.endswith("energyJoules")
        and not math.isclose(mine[key], theirs[key], rel_tol=1e-9)
    ]
    return "; ".join(unlike)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    source = (SAMPLES / "stubs" / "nvml_stub.c").read_text()
    calls = [
        name
        for name in re.findall(r"^int (nvml\w+)\(", source, re.MULTILINE)
        if not any(part in name for part in NEEDED)
    ]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        library = build_nvml(Path(folder))
        for case in range(options.cases):
            variables = situation(chance, calls)
            gpu_ids = tuple(chance.sample(range(4), 2)) if chance.random() < 0.3 else ()
            with reference_monitor(variables | {"LD_LIBRARY_PATH": str(library)}) as samples:
                wish = {"pid": os.getpid(), "interval_s": 0.3, "count": 3, "gpu_ids": gpu_ids}
                theirs = [
                    {key: value for key, value in sample.items() if key.startswith("gpu.")}
                    for sample in samples(**wish)
                ]
            os.environ |= variables
            mine = ours(library, gpu_ids, 3)
            for name in variables:
                del os.environ[name]
            for tick, (one, other) in enumerate(zip(mine, theirs, strict=True)):
                if what := difference(one, other):
                    wrong += 1
                    print(f"case {case}, sample {tick}, {variables}, {gpu_ids}: {what}")
    print(f"{options.cases} cases, {wrong} samples differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
