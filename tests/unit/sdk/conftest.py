"""A place for one test: own data directory, own working folder, a small agent on request."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.sdk import small_agent
from tests.unit.sdk.stage import Stage

import trackd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.sdk.small_agent import SmallAgent

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder whose environment leads to no agent but the one of this test."""
    for name in list(os.environ):
        if name.startswith(("TRACKD_", "WANDB_")) or name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACKD_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TRACKD_SERVICE", f"unix:{tmp_path}/s.sock")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("TRACKD_X_SAVE_REQUIREMENTS", "false")  # no records but those of the test
    trackd.teardown()  # the environment is read once a session
    return tmp_path


@pytest.fixture
def agent(place: Path) -> Iterator[SmallAgent]:
    """A small agent in this process."""
    with small_agent.serving(place / "journal", place / "s.sock") as running:
        yield running
        trackd.teardown()


@pytest.fixture
def stage(agent: SmallAgent) -> Iterator[Stage]:
    """An offline run on the small agent."""
    made = Stage(trackd.init(project="p", id="r", mode="offline"), agent)
    yield made
    made.run.finish()


@pytest.fixture
def agent_process(place: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts a small agent in its own process, which can be killed."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        socket = place / "s.sock"
        socket.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.sdk.small_agent", place / "journal", socket],
            cwd=REPOSITORY,
        )
        started.append(process)
        deadline = time.monotonic() + 120
        while not socket.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def script(place: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a training script in its own process."""

    def run(source: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = place / "train.py"
        path.write_text(source)
        return subprocess.run(
            [sys.executable, path],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=240,
            check=False,
        )

    return run
