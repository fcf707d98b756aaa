"""Bodies of file_stream requests: offsets, order, limits, halves."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trackd_agent.filestream import Offsets, Outgoing, Request, requests_of
from trackd_agent.filestream.body import blocks_of, drop_long_lines

LINES = st.lists(st.text(max_size=30), max_size=30)


def applied(requests: list[Request]) -> dict[str, dict[int, str]]:
    """Return what a server would hold, by file and line number."""
    files: dict[str, dict[int, str]] = {}
    for request in requests:
        body: dict[str, Any] = json.loads(request.encode())
        for name, chunk in body.get("files", {}).items():
            for number, line in enumerate(chunk["content"], chunk["offset"]):
                files.setdefault(name, {})[number] = line
    return files


def test_one_small_turn_is_one_request() -> None:
    offsets = Offsets(history=3, events=1, console_base=10)
    outgoing = Outgoing(
        history=["{}", "{}"],
        events=["{}"],
        console={0: "a", 1: "b"},
        summary="{}",
        uploaded=["f"],
        complete=True,
        exit_code=0,
    )
    (request,) = requests_of(outgoing, offsets, 1000)
    assert json.loads(request.encode()) == {
        "files": {
            "wandb-history.jsonl": {"offset": 3, "content": ["{}", "{}"]},
            "wandb-events.jsonl": {"offset": 1, "content": ["{}"]},
            "wandb-summary.json": {"offset": 0, "content": ["{}"]},
            "output.log": {"offset": 10, "content": ["a", "b"]},
        },
        "uploaded": ["f"],
        "complete": True,
        "exitcode": 0,
    }
    assert (offsets.history, offsets.events) == (5, 2)


def test_a_heartbeat_is_an_empty_object() -> None:
    assert Request().encode() == b"{}"
    assert Outgoing().is_empty


def test_edits_that_are_not_adjacent_come_as_several_requests() -> None:
    outgoing = Outgoing(console={7: "x", 2: "b", 1: "a"}, complete=True)
    requests = requests_of(outgoing, Offsets(), 1000)
    assert [r.files["output.log"] for r in requests] == [(1, ["a", "b"]), (7, ["x"])]
    assert [r.complete for r in requests] == [False, True]


@given(LINES, LINES, st.dictionaries(st.integers(0, 40), st.text(max_size=20)), st.integers(1, 90))
def test_every_line_is_sent_once_at_its_number_within_the_limit(
    history: list[str], events: list[str], console: dict[int, str], limit: int
) -> None:
    offsets = Offsets(5, 6, 7)
    outgoing = Outgoing(history=history, events=events, console=console, complete=True)
    requests = requests_of(outgoing, offsets, limit)
    got = applied(requests)
    assert got.get("wandb-history.jsonl", {}) == dict(enumerate(history, 5))
    assert got.get("wandb-events.jsonl", {}) == dict(enumerate(events, 6))
    assert got.get("output.log", {}) == {7 + n: line for n, line in console.items()}
    assert (offsets.history, offsets.events) == (5 + len(history), 6 + len(events))
    assert [r.complete for r in requests] == [False] * (len(requests) - 1) + [True]
    for request in requests:
        sizes = [len(line) for _, lines in request.files.values() for line in lines if line]
        assert sum(sizes) <= limit or len(sizes) == 1


@given(LINES, LINES)
def test_halves_say_the_same_in_order(history: list[str], events: list[str]) -> None:
    outgoing = Outgoing(history=history, events=events, uploaded=["f"], complete=True, exit_code=3)
    (whole,) = requests_of(outgoing, Offsets(), 10**6)
    if whole.line_count < 2:
        return
    first, second = whole.halves()
    assert applied([first, second]) == applied([whole])
    assert abs(first.line_count - second.line_count) <= 1
    assert (first.complete, first.uploaded) == (False, [])
    assert (second.complete, second.exit_code, second.uploaded) == (True, 3, ["f"])


@given(st.dictionaries(st.integers(0, 30), st.text(max_size=3)))
def test_blocks_are_consecutive_and_cover_everything(console: dict[int, str]) -> None:
    blocks = list(blocks_of(console))
    assert {s + i: line for s, lines in blocks for i, line in enumerate(lines)} == console
    for (start, lines), (following, _) in pairwise(blocks):
        assert start + len(lines) < following


def test_long_lines_are_dropped_by_their_size_in_bytes() -> None:
    outgoing = Outgoing(history=["a" * 100, "é" * 51, "b"], events=["c" * 101], summary="d" * 101)
    assert drop_long_lines(outgoing, 100) == 3
    assert (outgoing.history, outgoing.events, outgoing.summary) == (["a" * 100, "b"], [], None)


def test_a_lone_surrogate_costs_a_character_and_nothing_else() -> None:
    (request,) = requests_of(Outgoing(history=["a\ud800b", "c"]), Offsets(), 1000)
    assert applied([request])["wandb-history.jsonl"] == {0: "a?b", 1: "c"}
