"""A disk that is really full, while a run records offline: a small tmpfs of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.agent import agent_environment
from tests.support.disks import disk_of

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

ROWS = 20_000
SCRIPT = f"""
import os, sys, time, trackd
settings = {{"spool_segment_bytes": 262144, "log_max_block": 0.2, "console": "off"}}
run = trackd.init(project="p", id="full", mode="offline", settings=settings)
for n in range({ROWS}):
    run.log({{"n": n, "text": "x" * 200}})
    if n % 10 == 0:
        time.sleep(0.001)
os.unlink("ballast")  # the end comes when there is space again, or it fits what was reserved
run.finish()
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    with disk_of(3 * 1024 * 1024, tmp_path / "disk") as disk:
        yield disk


def test_what_a_full_disk_costs_is_counted_to_the_row(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(900_000))
    environment = agent_environment(small_disk / "data", TRACKD_IDLE_TIMEOUT="5")

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            cwd=small_disk,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    trained = run("-c", SCRIPT)
    try:
        assert trained.returncode == 0, trained.stderr
        told = re.search(r"(\d+) records of this run are lost \(\d+ disk_full\)", trained.stderr)
        assert told, trained.stderr
        exported = run("-m", "trackd", "export", "--json", str(small_disk / "trackd/latest-run"))
        found = json.loads(exported.stdout)
        numbers = [row["n"] for row in found["history"]]
        assert numbers == sorted(set(numbers))
        assert len(numbers) + int(told[1]) == ROWS
        assert found["run"]["state"] == "finished"
        assert f"disk_full ({told[1]})" in exported.stderr
    finally:
        run("-m", "trackd", "down", "--now")
