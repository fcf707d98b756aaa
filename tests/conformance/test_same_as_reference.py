"""Scripts of our own run under both modules and record the same: the real `wandb` is the oracle.

`same/NAME.py` is written like the scripts of the conformance data. Nothing in them is known to
differ: what we do otherwise on purpose is left out of them and told in the README.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CONFORMANCE = HERE.parents[2] / "shared" / "conformance"
SCRIPTS = sorted((HERE / "same").glob("*.py"))

pytestmark = pytest.mark.skipif(
    not CONFORMANCE.is_dir(), reason="no conformance data beside the repository"
)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_records_the_same_under_both(script: Path, tmp_path: Path) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TRACKD_", "WANDB_", "XDG_"))}
    found = subprocess.run(
        [sys.executable, HERE / "reference_export.py", "--diff", script],
        env={**kept, "TRACKD_IDLE_TIMEOUT": "1", "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
