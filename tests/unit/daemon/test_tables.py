"""Tables: what is shown where the screen is narrow."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console

from trackd_agent.daemon.tables import Column, console, fitting, show

if TYPE_CHECKING:
    import pytest

COLUMNS = (Column("RUN"), Column("NOTE", spare=2), Column("ROWS", spare=1, is_number=True))
ROWS = [("project/run", "a long note", "17")]


def test_the_least_important_columns_go_first() -> None:
    assert fitting(COLUMNS, ROWS, 30) == [0, 1, 2]
    assert fitting(COLUMNS, ROWS, 29) == [0, 2]
    assert fitting(COLUMNS, ROWS, 16) == [0]
    assert fitting(COLUMNS, ROWS, 3) == [0]


def test_what_looks_like_markup_is_text() -> None:
    out = io.StringIO()
    show(Console(file=out, width=80), COLUMNS, [("[red]x", "[/]", "1")])
    assert "[red]x" in out.getvalue()
    assert "[/]" in out.getvalue()


def test_lines_are_aligned_and_end_with_their_last_word() -> None:
    out = io.StringIO()
    show(Console(file=out, width=80), COLUMNS, [("数/run", "", "7"), *ROWS])
    assert out.getvalue().splitlines() == [
        "RUN          NOTE         ROWS",
        "数/run                       7",
        "project/run  a long note    17",
    ]
    out = io.StringIO()
    show(Console(file=out, width=80), COLUMNS[:2], [("project/run", "")])
    assert out.getvalue().splitlines() == ["RUN          NOTE", "project/run"]


def test_a_pipe_is_as_wide_as_the_table_wants_or_as_columns_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    for unset in ("", "0", "wide"):
        monkeypatch.setenv("COLUMNS", unset)
        assert console().width > 1000
        assert console(120).width == 120
    monkeypatch.setenv("COLUMNS", "70")
    assert console(120).width == 70
