"""The line of a long transfer, and what a running save counts for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd.artifacts.online import progress
from trackd.artifacts.online.progress import Progress
from trackd.settings import Settings
from trackd.terminal import Terminal
from trackd_agent.artifacts.saves.progress import Tally

if TYPE_CHECKING:
    import pytest

MIB = 1024 * 1024


def lines_of(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what will be drawn, as if there were a terminal and time passed."""
    lines: list[str] = []

    def redraw(_: Terminal, text: str) -> bool:
        lines.append(text)
        return True

    monkeypatch.setattr(progress, "_QUIET_S", 0.0)
    monkeypatch.setattr(progress, "_REDRAW_S", 0.0)
    monkeypatch.setattr(Terminal, "redraw", redraw)
    return lines


def test_a_bar_moves_within_a_file_and_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = lines_of(monkeypatch)
    with Progress(Settings(), "uploading big") as shown:
        for done in (25, 50, 40):
            shown.show((0, 1), (done * MIB, 100 * MIB))
    assert [line.partition(" files, ")[2] for line in lines[:3]] == [
        "25.0/100.0 MiB",
        "50.0/100.0 MiB",
        "50.0/100.0 MiB",
    ]
    assert lines[1].startswith("uploading big [##########..........] 0/1 files")
    assert lines[3] == ""


def test_what_is_not_counted_yet_has_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = lines_of(monkeypatch)
    with Progress(Settings(), "uploading big") as shown:
        shown.show((0, 0), (0, 0), "waiting")
    assert lines[0] == "uploading big ... waiting"


def test_parts_of_a_file_count_until_it_is_whole_or_begins_anew() -> None:
    tally = Tally()
    tally.note_part("a", 10)
    tally.note_part("b", 5)
    assert (tally.files_done, tally.bytes_done) == (0, 15)
    tally.forget_parts("b")
    tally.note_file("a", 30)
    assert (tally.files_done, tally.bytes_done) == (1, 30)
