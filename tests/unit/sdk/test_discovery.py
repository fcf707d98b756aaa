"""Starting an agent that somebody kills, or that cannot start."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from trackd.sending.discovery import Discovery

if TYPE_CHECKING:
    from pathlib import Path

#: Stands for the interpreter: ends as it is told, instead of becoming an agent.
PROGRAM = """#!/bin/sh
echo "the disk is gone"
{}
"""


@pytest.mark.parametrize(
    ("ending", "deaths", "is_failure"),
    [("kill -9 $$", 1, False), ("kill -9 $$", 2, True), ("exit 2", 1, True)],
)
def test_one_death_by_another_hand_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, deaths: int, is_failure: bool
) -> None:
    program = tmp_path / "program"
    program.write_text(PROGRAM.format(ending))
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr("trackd.sending.discovery._START_PAUSE_S", 0.0)
    monkeypatch.setenv("TRACKD_DIR", str(tmp_path / "data"))
    discovery = Discovery()
    for _ in range(deaths):
        assert not discovery.failure
        discovery.start_agent()
    assert ("the disk is gone" in discovery.failure) == is_failure
