from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest
from tests.support.machine import Machine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine that psutil reads as well."""
    machine = Machine(tmp_path)
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(machine.proc))
    return machine
