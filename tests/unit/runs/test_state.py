"""The state machine of a writer as a whole."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.frames import apply, bad_frame, frame, row, start

from trackd_agent.runs.state.writer_state import WriterState
from trackd_proto import records
from trackd_proto.records import Kind

if TYPE_CHECKING:
    from trackd_agent.runs.state.updates import Updates

KEYS = st.sampled_from(["a", "b", "c.d", "s", "e/f"])
SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(width=16) | st.text(max_size=3)
VALUES = SCALARS | st.lists(SCALARS, max_size=2)
TREES = st.recursive(
    VALUES, lambda inner: st.dictionaries(st.sampled_from("xy"), inner, max_size=2), max_leaves=4
)
ROWS = st.builds(
    row,
    st.dictionaries(KEYS, TREES, max_size=4) | st.dictionaries(KEYS, SCALARS, max_size=5),
    st.none() | st.integers(0, 30),
    st.sampled_from([None, None, True, False]),
)
PATHS = st.lists(st.sampled_from(["a", "b", "x"]), min_size=1, max_size=2)
SETTING = st.lists(st.tuples(PATHS, TREES), max_size=2)
REMOVING = st.lists(PATHS, max_size=2)
KINDS_OF_SUMMARY = st.lists(st.sampled_from(["min", "max", "mean", "last", "first", "none"]))
RECORDS = st.lists(
    st.one_of(
        ROWS,
        st.builds(records.ConfigUpdate, SETTING, REMOVING),
        st.builds(records.SummaryUpdate, SETTING, REMOVING),
        st.builds(
            records.MetricDefinition,
            st.sampled_from(["a", "b", "c\\.d", "a.x", "a*", "*", "e/*"]),
            st.none() | st.sampled_from(["s", "b.x"]),
            st.none() | st.booleans(),
            st.none() | st.booleans(),
            st.none() | KINDS_OF_SUMMARY,
            st.booleans(),
        ),
        st.builds(
            records.ConsoleOutput,
            st.just(2000.0),
            st.sampled_from([1, 2]),
            st.text(alphabet="ab \n\r\x1b[A", max_size=20),
        ),
        st.builds(records.RunUpdate, st.none() | st.text(max_size=2), tags=st.none()),
        st.builds(records.Stats, st.just(1010.0), st.dictionaries(KEYS, st.floats(width=16))),
        st.builds(records.Environment, st.dictionaries(KEYS, TREES, max_size=2)),
        st.builds(records.Event, st.just(1010.0), st.just("xid"), KEYS, KEYS, st.floats(width=16)),
        st.builds(records.FileSaved, KEYS, st.just("now")),
        st.builds(records.Gap, st.integers(1, 3), st.just("full")),
        st.builds(records.Exit, st.integers(0, 1), st.just(1100.0), st.just(100.5)),
    ),
    max_size=25,
)


def plain(updates: Updates) -> str:
    """Everything in the updates, with NaN comparable."""
    return repr(asdict(updates))


@settings(max_examples=200)
@example(  # a value that was put below another one goes with it, restored or not
    [
        records.SummaryUpdate([(["a"], None), (["a", "x"], None)], []),
        row({}),
        records.SummaryUpdate([(["a"], None)], []),
    ],
    1,
    set(),
)
@given(RECORDS, st.integers(0, 25), st.sets(st.integers(0, 25)))
def test_a_restored_state_goes_on_as_if_nothing_had_happened(
    given_records: list[msgspec.Struct], break_at: int, takes: set[int]
) -> None:
    state = restored = WriterState(start(label="rank-1", config={"lr": 1}))
    for index, record in enumerate(given_records):
        if index == break_at:
            restored = WriterState.restore(state.snapshot())
        apply(state, record)
        if restored is not state:
            apply(restored, record)
        if index in takes:
            mine = plain(state.take())
            assert restored is state or plain(restored.take()) == mine
    if restored is state:
        restored = WriterState.restore(state.snapshot())
    assert restored.snapshot() == state.snapshot()
    assert plain(restored.take()) == plain(state.take())
    assert restored.dropped == state.dropped
    assert repr(restored.config) == repr(state.config)


@given(st.sampled_from(Kind), st.binary(max_size=40))
def test_a_bad_payload_is_counted_and_changes_nothing_else(kind: Kind, payload: bytes) -> None:
    state = WriterState(start())
    apply(state, row({"a": 1}))
    state.apply(bad_frame(kind, payload))
    apply(state, row({"a": 2}))
    assert len(state.take().history) >= 2
    assert sum(state.dropped.values()) <= 1


def test_a_frame_of_an_unknown_kind_is_counted() -> None:
    state = WriterState(start())
    state.apply(bad_frame(200, b"\x90"))
    assert state.dropped == {"bad_payload": 1}


def test_a_value_that_json_cannot_hold_costs_its_row_only() -> None:
    state = WriterState(start())
    foreign = msgspec.msgpack.encode([1.0, 1.0, {"a": msgspec.msgpack.Ext(5, b"x")}])
    state.apply(bad_frame(Kind.ROW, foreign))
    apply(state, row({"b": 1}))
    assert state.dropped == {"bad_payload": 1}
    assert [json.loads(line)["b"] for line in state.take().history] == [1]
    assert "a" not in state.summary


def test_numbers_that_are_none_stay_numbers() -> None:
    state = WriterState(start())
    values = {"nan": float("nan"), "inf": float("inf"), "null": None, "text": "null", "l": [1.0]}
    apply(state, row({**values, "in_list": [float("-inf")]}))
    (line,) = state.take().history
    assert '"nan":NaN' in line
    assert '"inf":Infinity' in line
    assert '"in_list":[-Infinity]' in line
    assert json.loads(line)["null"] is None


def test_a_step_that_goes_back_is_dropped_with_both_numbers_and_no_flood() -> None:
    state = WriterState(start())
    apply(state, row({"a": 1}, step=10))
    for _ in range(100):
        apply(state, row({"a": 2}, step=3))
    apply(state, row({"b": 2}, step=10), row({"a": 4}, step=11))
    apply(state, records.Exit(0, 1.0, 2.0))
    updates = state.take()
    assert [json.loads(line).get("a") for line in updates.history] == [1, 4]
    assert state.dropped == {"step_went_back": 100}
    assert len(updates.notices) == 3
    level, text = updates.notices[0]
    assert level == "warning"
    assert "step 3" in text
    assert "less than the current step 10" in text


def test_a_line_beyond_the_limit_is_dropped_and_takes_no_number() -> None:
    state = WriterState(start(settings={"x_file_stream_max_line_bytes": 200}))
    apply(state, row({"a": "x" * 300}), row({"a": 1}))
    updates = state.take()
    assert len(updates.history) == 1
    assert state.dropped == {"line_too_long": 1}
    assert "limit" in updates.notices[0].text
    assert state.summary["a"] == 1


def test_events_carry_the_label() -> None:
    state = WriterState(start(label="r0"))
    apply(state, records.Stats(1010.0, {"cpu": 1.5, "disk./.usageGB": 2.0}))
    (line,) = state.take().events
    assert json.loads(line) == {
        "system.cpu/l:r0": 1.5,
        "system.disk./.usageGB/l:r0": 2.0,
        "_wandb": True,
        "_timestamp": 1010.0,
        "_runtime": 10.0,
    }


def test_the_uploaded_summary_tells_the_duration() -> None:
    state = WriterState(start())
    apply(state, row({"a": 1}))
    first = json.loads(state.take().summary or "")
    assert first == {
        "a": 1,
        "_step": 0,
        "_timestamp": 1001.0,
        "_runtime": 1.5,
        "_wandb": {"runtime": 1},
    }
    assert state.take().summary is None
    apply(state, records.Exit(0, 1.0, 9.75))
    last = json.loads(state.take().summary or "")
    assert (last["_runtime"], last["_wandb"]) == (9, {"runtime": 9})


@pytest.mark.parametrize("value", [1, {"a": 2}, [3]])
def test_a_script_may_log_under_the_reserved_name(value: Any) -> None:
    state = WriterState(start())
    apply(state, row({"_wandb": value}))
    assert json.loads(state.take().summary or "")["_wandb"]["runtime"] == 1


def test_config_merges_and_empty_mappings_vanish() -> None:
    state = WriterState(start(config={"net": {"depth": 3, "act": "relu"}, "e": {}}))
    changes: list[Any] = [
        (["net"], {"depth": 4, "opt": {"lr": 1}}),
        (["_wandb", "visualize", "k"], {"panel": 1}),
        (["n"], None),
    ]
    apply(state, records.ConfigUpdate(changes, [["net", "opt", "lr"]]))
    assert state.config == {
        "net": {"depth": 4, "act": "relu"},
        "n": None,
        "_wandb": {"visualize": {"k": {"panel": 1}}},
    }


def test_facts_follow_their_updates() -> None:
    state = WriterState(start(name="first", tags=["a"], group="g"))
    state.take()
    apply(state, records.RunUpdate(name="second", add_tags=["a", "b"]))
    apply(state, records.RunUpdate(notes="n"))
    assert state.take().facts_changed
    assert state.facts.tags == ["a", "b"]
    assert (state.facts.name, state.facts.notes, state.facts.group) == ("second", "n", "g")


def test_what_the_agent_says_about_the_end_gives_way_to_the_writer() -> None:
    state = WriterState(start())
    crash = records.Exit(255, 1.0, 1.0, crashed=True)
    apply(state, crash)
    assert state.exit == crash
    apply(state, records.Exit(0, 1.0, 1.0), crash)
    assert state.exit == records.Exit(0, 1.0, 1.0)


def test_other_records_are_handed_on() -> None:
    state = WriterState(start())
    alert = records.Alert("t", "x", "WARN", 60000)
    saved = records.FileSaved("a.txt", "end")
    apply(state, alert, saved, records.Preempting(1.0), records.Gap(7, "disk_full"))
    updates = state.take()
    assert updates.alerts == [alert]
    assert updates.files == [saved]
    assert updates.preempting
    assert state.dropped == {"disk_full": 7}
    assert "7 records" in updates.notices[0].text


def test_a_snapshot_does_not_grow_with_what_was_logged() -> None:
    state = WriterState(start())
    sizes: list[int] = []
    for _ in range(3):
        for number in range(2000):
            state.apply(frame(row({"a": float(number), "b": 1})))
            state.apply(frame(records.ConsoleOutput(1.0, 1, "line\n")))
        state.take()
        sizes.append(len(state.snapshot()))
    assert max(sizes) - min(sizes) < 2_500  # of the sampled rows up to half are let go at times


def test_a_snapshot_of_another_version_is_refused() -> None:
    data = msgspec.msgpack.decode(WriterState(start()).snapshot())
    data[0] = 99
    with pytest.raises(ValueError, match="version 99"):
        WriterState.restore(msgspec.msgpack.encode(data))
