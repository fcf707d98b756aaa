"""The chaos test in its short form; `tests/system/chaos.py` is the long one."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest
from tests.system.chaos import Chaos, Options

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_nothing_logged_is_lost_whoever_is_killed(tmp_path: Path) -> None:
    options = Options(rows=60_000, kills=12, ranks=4, seed=7, upload_timeout_s=600)
    report = Chaos(tmp_path, options).run()
    assert report.is_good, asdict(report)
    assert sum(report.faults.values()) == 12
