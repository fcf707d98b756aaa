"""What the agent tells of its node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trackd_agent.monitor import CollectorState, Event, NodeView
from trackd_agent.rpc import node_messages
from trackd_agent.runs.options import RunSnapshot, WriterSnapshot


def test_ranks_are_told_with_their_runs_and_those_that_left_are_not() -> None:
    writer = WriterSnapshot("r0", "00ab", 7, "attached", 1, 1, 1, 0, {}, None)
    facts: dict[str, Any] = {"mode": "online", "state": "running", "url": "", "started_s": 1.0}
    run = RunSnapshot(
        "id", "p", "e", run_dir=Path("/"), upload_problem="", writers=(writer,), **facts
    )
    event = Event("xid", "GPU 0 reports Xid 79.", "gpu.0.xid", 79.0)
    view = NodeView(
        5.0,
        {"gpu.0.temp": 45},
        {"00ab": {"cpu": 50}, "ff": {"cpu": 1}},
        {"00ab": 8},
        ((4.0, event),),
    )
    told = node_messages.response(view, [run], [])
    (rank,) = told.ranks
    assert (rank.run.run_id, rank.label, rank.pid, dict(rank.values)) == (
        "id",
        "r0",
        8,
        {"cpu": 50},
    )
    assert dict(told.values) == {"gpu.0.temp": 45}
    (happened,) = told.events
    assert (happened.time_s, happened.name, happened.key) == (4.0, "xid", "gpu.0.xid")
    assert (happened.text, happened.value) == ("GPU 0 reports Xid 79.", 79)


def test_a_collector_says_in_a_word_how_it_does() -> None:
    states = {
        "off": CollectorState("a", is_on=False),
        "waiting": CollectorState("a"),
        "ok": CollectorState("a", ticks=1),
        "no_data": CollectorState("a", ticks=1, no_data=True, reason="none here"),
        "failing": CollectorState("a", ticks=1, success=False, reason="broken"),
    }
    assert {word: node_messages.collector(s).state for word, s in states.items()} == {
        word: word for word in states
    }
    told = node_messages.collector(
        CollectorState("a", ticks=4, failures=2, timeouts=1, problems=("x",), total_duration_s=2)
    )
    assert (told.ticks, told.failures, told.timeouts, told.total_duration_ms) == (4, 2, 1, 2000)
    assert list(told.problems) == ["x"]
