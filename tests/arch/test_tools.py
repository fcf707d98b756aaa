"""The linter, the formatter and the type checker have nothing to say."""

from __future__ import annotations

import subprocess
import sys
from typing import IO

import pytest
from tests.support.source import ROOT


def check(*command: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]


def test_ruff_check() -> None:
    check("ruff", "check", ".")


def test_ruff_format() -> None:
    check("ruff", "format", "--check", ".")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_basedpyright(type_checker: tuple[subprocess.Popen[bytes], IO[bytes]]) -> None:
    process, said = type_checker
    status = process.wait()
    said.seek(0)
    assert status == 0, said.read()[-8000:].decode()
