"""Tables: what is shown where the screen is narrow."""

from __future__ import annotations

import io

from rich.console import Console

from trackd_agent.daemon.tables import Column, fitting, show

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
