"""Our SDK, agent and exporter record what the reference recorded: the goldens of `../shared`.

Each case is a script that runs under both modules; `run_case.py` runs it and exports its run
folders with `trackd export --json`, `compare.py` finds differences to the golden document.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFORMANCE = Path(__file__).parents[3] / "shared" / "conformance"
#: Cases that need what a later issue adds, and what that is.
LATER: dict[str, str] = {}
CASES = sorted(path.stem for path in CONFORMANCE.glob("scripts/*.py"))

pytestmark = pytest.mark.skipif(not CASES, reason="no conformance data beside the repository")


def run_case(case: str, folder: Path) -> Path:
    """Run one script under our module; return its document."""
    actual = folder / f"{case}.json"
    command = [sys.executable, CONFORMANCE / "run_case.py", CONFORMANCE / "scripts" / f"{case}.py"]
    export = f"{Path(sys.executable).with_name('trackd')} export --json"
    options = ["--module", "trackd", "--prefix", "trackd", "--export", export, "--out", actual]
    options += ["--timeout", "200"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TRACKD_", "XDG_"))}
    subprocess.run(
        [*command, *options],
        check=True,
        timeout=240,
        env={**kept, "TRACKD_IDLE_TIMEOUT": "1", "TMPDIR": str(folder)},
    )
    return actual


@pytest.mark.parametrize("case", [case for case in CASES if case not in LATER])
def test_a_script_records_what_the_reference_recorded(case: str, tmp_path: Path) -> None:
    actual = run_case(case, tmp_path)
    golden = CONFORMANCE / "golden" / f"{case}.json"
    found = subprocess.run(
        [sys.executable, CONFORMANCE / "compare.py", golden, actual],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_case_that_waits_for_a_later_issue_exists() -> None:
    assert set(LATER) <= set(CASES)
