"""The recorded device outputs: what a case expects, and how its files are served."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from tests.support.machine import SAMPLES

from trackd_agent.monitor.readers import Readers
from trackd_agent.monitor.registry import REGISTRATIONS
from trackd_agent.monitor.series import Series

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd_agent.monitor import MonitorConfig
    from trackd_agent.monitor.subject import Target

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler for a stub")


def read_case(name: str) -> dict[str, Any]:
    """Return `case.json` of a sample folder."""
    return json.loads((SAMPLES / name / "case.json").read_text())


def assert_sample(
    case: Mapping[str, Any], sample: Mapping[str, Any], values: dict[str, float]
) -> None:
    """Hold the values of a sample against the rules of the samples' README."""
    expected: dict[str, Any] = sample["expect"]
    allowed = set(case.get("zero_allowed", ())) | {k for k, v in expected.items() if v is None}
    assert values.keys() - allowed == expected.keys() - allowed
    for key, value in values.items():
        if expected.get(key, 0) == "any number":
            assert math.isfinite(value), key
        else:
            assert value == pytest.approx(expected.get(key, 0), rel=1e-9), key


def install_tool(folder: Path, name: str, script: str) -> Path:
    """Write an executable shell script; put its folder first on PATH to have it found."""
    folder.mkdir(exist_ok=True)
    tool = folder / name
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    return tool


def build_library(source: str, folder: Path, name: str) -> Path:
    """Compile a stub of the samples into `folder/name`; returns the folder, for LD_LIBRARY_PATH."""
    folder.mkdir(exist_ok=True)
    stub = SAMPLES / "stubs" / source
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", folder / name, stub], check=True)
    return folder


def build_nvml(folder: Path, without: tuple[str, ...] = ()) -> Path:
    """Compile the samples' stand-in for NVML together with ours; returns the folder.

    An old driver's library is one `without` the calls that came later.
    """
    folder.mkdir(exist_ok=True)
    sources = [SAMPLES / "stubs" / "nvml_stub.c", Path(__file__).parent / "stubs" / "nvml_more.c"]
    # -Bsymbolic: the samples' file calls the `getenv` of ours.
    options = ["-shared", "-fPIC", "-Wl,-Bsymbolic", "-o", folder / "libnvidia-ml.so.1"]
    renamed = [f"-D{name}=lacking_{name}" for name in without]
    subprocess.run(["gcc", *options, *renamed, *sources], check=True)
    return folder


class Watcher:
    """Samples one collector for some targets again and again."""

    def __init__(self, config: MonitorConfig, name: str, *targets: Target) -> None:
        (registration,) = (each for each in REGISTRATIONS if each.name == name)
        self.readers = Readers.of(config)
        self.collector: Any = registration.make(self.readers)
        self.targets = targets
        self.problems: list[str] = []
        self._series = {target.key: Series() for target in targets}

    def sample(self, target: Target | None = None) -> dict[str, float]:
        """Collect once for all targets; return what one of them (the first) sees."""
        key = (target or self.targets[0]).key
        found = self.collector.collect(self.targets)
        self.problems += found.problems
        seen = {
            each: series.values([*found.shared, *found.by_subject.get(each, [])])
            for each, series in self._series.items()
        }
        return seen[key]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """End the processes of the readers."""
        self.readers.close()
