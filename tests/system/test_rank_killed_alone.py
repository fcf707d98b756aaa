"""A rank that nobody serves is killed at full speed: its spool holds every row that was logged."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.system.chaos import RANK_SCRIPT
from tests.system.chaos_rank import NUMBER_BYTES, row_of

from trackd_agent.journal import read_folder
from trackd_proto import records
from trackd_proto.records import Kind

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("seed", range(2))
def test_every_row_whose_log_returned_is_in_the_spool(tmp_path: Path, seed: int) -> None:
    side, log = tmp_path / "side", tmp_path / "log"
    environment = {
        **os.environ,
        "TRACKD_DIR": str(tmp_path / "data"),
        "TRACKD_SERVICE": f"unix:{tmp_path}/nobody.sock",
        "TRACKD_INIT_TIMEOUT": "0.2",
    }
    command = [sys.executable, str(RANK_SCRIPT), "--rank", "1", "--rows", "10000000"]
    with log.open("wb") as file:
        rank = subprocess.Popen(
            [*command, "--side", str(side)],
            env=environment,
            cwd=tmp_path,
            stdout=file,
            stderr=file,
        )
    try:
        deadline = time.monotonic() + 120
        while not side.exists() or not side.stat().st_size:
            assert rank.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)
        time.sleep(random.Random(seed).uniform(0.01, 0.5))
    finally:
        rank.kill()
        rank.wait()
    returned = side.stat().st_size // NUMBER_BYTES
    (spool,) = (tmp_path / "data" / "agent" / "spool").iterdir()
    reader = read_folder(spool)
    count = 0
    while frames := reader.read():
        for frame in frames:
            if frame.kind == Kind.ROW:
                assert records.decode_row(frame.payload).data == row_of(1, count)
                count += 1
    # One more than returned: killed after the record was stored, before it was noted.
    assert 0 < returned <= count <= returned + 1
    assert (reader.damages, reader.missing) == ([], [])
