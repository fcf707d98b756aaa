"""Artifacts built with our SDK are those that the reference builds: the cases of `../shared`.

`run.py` there builds small artifacts with the module that `SDK_MODULE` names and writes what came
of them; `compare.py` says which cases differ from what the real client made.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_LIMIT_S = 500
CASES = Path(__file__).parents[3] / "shared" / "conformance-artifacts"

pytestmark = [
    pytest.mark.timeout(_LIMIT_S + 60),
    pytest.mark.skipif(not CASES.is_dir(), reason="no conformance data beside the repo"),
]


def test_artifacts_are_those_of_the_reference(tmp_path: Path) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TRACKD_", "WANDB_"))}
    environment = {**kept, "SDK_MODULE": "trackd", "TRACKD_DIR": str(tmp_path / "data")}
    result = tmp_path / "result.json"
    subprocess.run(
        [sys.executable, CASES / "run.py", result], check=True, timeout=_LIMIT_S, env=environment
    )
    compared = subprocess.run(
        [sys.executable, CASES / "compare.py", result], capture_output=True, text=True, check=False
    )
    assert compared.returncode == 0, compared.stdout + compared.stderr
