"""The type checker takes longest of all: it runs beside the other tests, and is asked last."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from typing import IO, TYPE_CHECKING

import pytest
from tests.support.source import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

_LAST = "test_basedpyright"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the test that asks it behind all others."""
    items.sort(key=lambda item: item.name == _LAST)


@pytest.fixture(scope="session", autouse=True)
def type_checker(
    request: pytest.FixtureRequest,
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]] | None]:
    """The type checker at work, where it is asked at all, and what it says."""
    if not any(item.name == _LAST for item in request.session.items):
        yield None
        return
    command = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=said,
            stderr=said,
            preexec_fn=lambda: os.nice(5),  # the tests come first
            start_new_session=True,
        )
        try:
            yield process, said
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)
            process.wait()
