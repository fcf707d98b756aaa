"""Sparklines and the block of metrics at the end of a run."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackd.messages.footer import Digest, digest_lines
from trackd.messages.sparkline import BLOCKS, sparkline, thinned


def run_with(history: int = 10, summary: int = 10) -> Any:
    settings = SimpleNamespace(
        max_end_of_run_history_metrics=history, max_end_of_run_summary_metrics=summary
    )
    return SimpleNamespace(settings=settings)


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([], ""),
        ([5.0], "▁"),
        ([1, 1, 1], "▁▁▁"),
        ([0, 1, 2, 3, 4, 5, 6, 7], BLOCKS),
        ([1.0, math.nan, 2.0, math.inf], "▁ █ "),
        ([math.nan, -math.inf], ""),
        ([-1.7e308, 0.0, 1.7e308], "▁▅█"),
    ],
)
def test_a_sparkline(values: list[float], drawn: str) -> None:
    assert sparkline(values) == drawn


@given(st.lists(st.floats(), max_size=200))
def test_a_sparkline_has_at_most_forty_blocks(values: list[float]) -> None:
    assert len(sparkline(values)) in (0, min(40, len(values)))


def test_thinning_keeps_the_ends() -> None:
    kept = thinned(list(range(1000)), 40)
    assert (len(kept), kept[0], kept[-1]) == (40, 0, 999)


def test_the_block_of_metrics() -> None:
    digest = Digest(
        summary={
            "acc": 0.123456789,
            "long": "x" * 20,
            "n": 3,
            "nested": {"a": 1},
            "none": None,
            "ok": True,
            "_runtime": 3,
            "line\nfeed": "a\tb",
        },
        history={"loss": [2, 1], "_hidden": [1], "nothing": [], "acc": [0, 1]},
    )
    assert digest_lines(run_with(), digest, draws=True) == [
        "",
        "Run history:",
        " acc ▁█",
        "loss █▁",
        "  +1 ...",
        "",
        "Run summary:",
        "      acc 0.12346",
        "line\N{REPLACEMENT CHARACTER}feed a\N{REPLACEMENT CHARACTER}b",
        "     long xxxxxxxxxxxxxxxxxxxx...",
        "        n 3",
        "       ok True",
        "",
    ]


def test_what_is_too_much_is_counted() -> None:
    many = Digest({f"s{i:02}": i for i in range(30)}, {f"h{i:02}": [i] for i in range(1_234)})
    lines = digest_lines(run_with(history=2, summary=3), many, draws=True)
    assert lines[2:5] == ["   h00 ▁", "   h01 ▁", "+1,232 ..."]
    assert lines[7:11] == ["s00 0", "s01 1", "s02 2", "+27 ..."]


def test_a_terminal_without_block_characters_shows_the_summary_only() -> None:
    digest = Digest({"a": 1}, {"a": [1, 2]})
    assert digest_lines(run_with(), digest, draws=False) == ["", "Run summary:", "a 1", ""]
    assert digest_lines(run_with(), Digest(), draws=True) == []
    assert digest_lines(run_with(0, 0), digest, draws=True) == []


def test_small_numbers_are_not_rounded_away() -> None:
    values = {"a": 3.125e-06, "b": -2e-07, "c": 0.00091081, "d": 0.001, "e": 0.0, "f": -1.5e12}
    shown = [line.split()[1] for line in digest_lines(run_with(), Digest(values), draws=True)[2:-1]]
    assert shown == ["3.125e-06", "-2e-07", "0.0009108", "0.001", "0.0", "-1500000000000.0"]
