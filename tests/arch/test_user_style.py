"""What a type checker tells users of the package: nothing about good code, much about bad."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).with_name("user_style")


@pytest.fixture(scope="module")
def error_lines() -> dict[str, dict[int, str]]:
    """Messages by line, by name of file."""
    command = ["basedpyright", "--project", str(FOLDER), "--outputjson"]
    ended = subprocess.run(
        [sys.executable, "-m", *command, "--pythonpath", sys.executable],
        capture_output=True,
        check=False,
    )
    report: dict[str, Any] = json.loads(ended.stdout)
    found: dict[str, dict[int, str]] = {}
    for said in report["generalDiagnostics"]:
        if said["severity"] == "error":
            lines = found.setdefault(Path(said["file"]).name, {})
            lines[said["range"]["start"]["line"] + 1] = said["message"]
    return found


@pytest.mark.parametrize("script", ["training.py", "artifacts.py"])
def test_a_script_as_users_write_it_has_no_type_errors(
    error_lines: dict[str, dict[int, str]], script: str
) -> None:
    assert (FOLDER / script).exists()
    assert error_lines.get(script, {}) == {}


def test_mistakes_are_found_where_they_are(error_lines: dict[str, dict[int, str]]) -> None:
    text = (FOLDER / "mistakes.py").read_text(encoding="utf-8").splitlines()
    marked = {n for n, line in enumerate(text, 1) if line.endswith("# mistake")}
    assert set(error_lines["mistakes.py"]) == marked
