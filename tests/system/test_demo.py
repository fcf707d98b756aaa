"""The demonstration, as a user runs it, only shorter."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACKD = str(Path(sys.executable).parent / "trackd")
STEPS = 400
RANKS = 3

pytestmark = pytest.mark.slow


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    keep = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}
    environ = keep | {"HOME": str(tmp_path), "TRACKD_DIR": str(tmp_path / "data")}
    yield environ
    subprocess.run([TRACKD, "down"], env=environ, cwd=tmp_path, check=False, timeout=240)


def demonstrate(folder: Path, environ: dict[str, str], *options: str) -> tuple[str, dict[str, Any]]:
    """Run the demonstration; return what it printed, and the run's document."""
    command = [TRACKD, "demo", f"--steps={STEPS}", f"--ranks={RANKS}", *options]
    ended = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=240, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (path,) = re.findall(r"trackd export --json (\S+)", ended.stdout)
    exported = subprocess.run(
        [TRACKD, "export", "--json", path], env=environ, capture_output=True, check=True
    )
    return ended.stdout, json.loads(exported.stdout)


def test_the_run_holds_config_metrics_console_and_the_model(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    printed, document = demonstrate(tmp_path, environ)
    assert f"All {STEPS * RANKS} rows of {RANKS} ranks are in the server." in printed
    assert document["run"]["state"] == "finished"
    assert document["config"]["ranks"] == RANKS
    held_out = [
        row["held_out/accuracy"] for row in document["history"] if "held_out/accuracy" in row
    ]
    assert held_out[-1] > 0.8  # it learned
    assert any("step" in line for line in document["console"])
    assert "model.npz" in {file["name"] for file in document["files"]}


def test_killing_the_agent_in_the_middle_loses_nothing(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    printed, document = demonstrate(tmp_path, environ, "--kill-agent")
    assert "killed the agent" in printed
    killed, successor = re.findall(r"\(pid (\d+)\)", " ".join(printed.split()))
    assert killed != successor != "0"
    assert f"All {STEPS * RANKS} rows of {RANKS} ranks are in the server." in printed
    assert document["run"]["state"] == "finished"
