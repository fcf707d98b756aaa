"""The summary: what rows, definitions and explicit writes make of it."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.frames import apply, row, start

from trackd_agent.runs.state.summary import Statistics, Summary
from trackd_agent.runs.state.writer_state import WriterState
from trackd_proto.records import MetricDefinition, SummaryUpdate


def summary_of(*given_records: Any) -> dict[str, Any]:
    state = WriterState(start())
    apply(state, *given_records)
    return {key: value for key, value in state.summary.items() if not key.startswith("_")}


def written(*path: str, value: Any) -> SummaryUpdate:
    return SummaryUpdate(set=[(list(path), value)])


def removed(*path: str) -> SummaryUpdate:
    return SummaryUpdate(set=[], remove=[list(path)])


def test_kinds_count_values_from_before_the_definition() -> None:
    kinds = ["min", "max", "mean", "last", "first"]
    records = [row({"a": value}) for value in (3, 1)]
    records += [MetricDefinition("a", summary=kinds), row({"a": 2})]
    assert summary_of(*records) == {"a": {"min": 1, "max": 3, "mean": 2, "last": 2, "first": 3}}


def test_a_definition_shows_with_the_next_value() -> None:
    assert summary_of(row({"a": 3}), MetricDefinition("a", summary=["min"])) == {"a": 3}


def test_none_shows_nothing_but_what_is_written() -> None:
    definition = MetricDefinition("a", summary=["none"])
    assert summary_of(definition, row({"a": 1, "b": 2})) == {"b": 2}
    assert summary_of(definition, written("a", value=5), row({"a": 1})) == {"a": 5}


def test_a_mapping_written_over_metrics_makes_them_new_ones() -> None:
    records: list[Any] = [MetricDefinition("m.x", summary=["none"])]
    records += [MetricDefinition("m.y", summary=["max"]), row({"m": {"x": 1, "y": 5}})]
    assert summary_of(*records) == {"m": {"y": {"max": 5}}}
    records += [written("m", value={"z": 9}), row({"m": {"x": 2, "y": 3}})]
    assert summary_of(*records) == {"m": {"x": 2, "y": 3}}


def test_a_name_that_became_a_group_is_no_silent_metric() -> None:
    state = WriterState(start())
    apply(state, MetricDefinition("n", summary=["none"]), row({"n": {"x": 1}}))
    assert state.shown.readable()["n"] == {"x": 1}
    again = Summary.from_state(state.shown.to_state())
    again.update(written("n", value={"x": 2}))
    assert again.readable()["n"] == {"x": 2}


def test_kinds_show_again_after_none() -> None:
    records = [MetricDefinition("a", summary=["none"]), row({"a": 1})]
    records += [MetricDefinition("a", summary=["max"]), row({"a": 0})]
    assert summary_of(*records) == {"a": {"max": 1}}


def test_an_explicit_write_switches_kinds_off() -> None:
    records = [MetricDefinition("a", summary=["min"]), row({"a": 3}), row({"a": 1})]
    assert summary_of(*records) == {"a": {"min": 1}}
    assert summary_of(*records, written("a", value=9)) == {"a": 9}
    assert summary_of(*records, written("a", value=9), row({"a": 4})) == {"a": 4}


def test_a_value_of_none_changes_nothing() -> None:
    assert summary_of(row({"a": 1}), row({"a": None, "b": None})) == {"a": 1}
    assert summary_of(written("a", value=None), written("b", value={})) == {"a": None, "b": {}}


def test_a_metric_that_never_was_a_number_has_no_extremes() -> None:
    records = [MetricDefinition("a", summary=["min", "max", "mean"]), row({"a": "x"})]
    shown = summary_of(*records)["a"]
    assert (shown["min"], shown["max"]) == (0, 0)
    assert math.isnan(shown["mean"])


def test_not_a_number_wins_over_extremes() -> None:
    records = [MetricDefinition("a", summary=["min", "max"])]
    records += [row({"a": value}) for value in (1.0, math.nan, 0.5, math.inf)]
    shown = summary_of(*records)["a"]
    assert math.isnan(shown["min"])
    assert math.isnan(shown["max"])


def test_opposite_infinities_are_extremes() -> None:
    records = [MetricDefinition("a", summary=["min", "max", "mean"])]
    records += [row({"a": value}) for value in (-math.inf, 1, math.inf)]
    shown = summary_of(*records)["a"]
    assert (shown["min"], shown["max"]) == (-math.inf, math.inf)
    assert math.isnan(shown["mean"])


def test_truth_values_are_no_numbers() -> None:
    records = [MetricDefinition("a", summary=["max", "last"]), row({"a": 1}), row({"a": True})]
    assert summary_of(*records) == {"a": {"max": 1, "last": True}}


def test_nested_values_merge_leaf_by_leaf() -> None:
    records = [row({"t": {"loss": 1, "acc": {"top1": 0.25}}}), row({"t": {"loss": 2}})]
    assert summary_of(*records) == {"t": {"loss": 2, "acc": {"top1": 0.25}}}
    assert summary_of(*records, row({"t": 5})) == {"t": 5}


def test_a_written_mapping_is_one_value() -> None:
    whole = written("d", value={"x": 1, "y": 2})
    assert summary_of(whole) == {"d": {"x": 1, "y": 2}}
    assert summary_of(whole, written("d", "z", value=3)) == {"d": {"z": 3}}
    assert summary_of(whole, removed("d", "x")) == {"d": {"x": 1, "y": 2}}


def test_deleting_lasts_until_the_next_value() -> None:
    assert summary_of(row({"a": 1, "b": 2}), removed("a")) == {"b": 2}
    assert summary_of(row({"a": 1}), removed("a"), row({"a": 3})) == {"a": 3}
    assert summary_of(row({"t": {"a": 1, "b": 2}}), removed("t", "a")) == {"t": {"b": 2}}
    assert summary_of(row({"t": {"a": 1, "b": 2}}), removed("t")) == {}
    assert summary_of(row({"t": {"a": 1}}), removed("t", "a")) == {}


NUMBERS = st.integers(-1000, 1000) | st.floats(allow_nan=False, width=32)


@given(st.lists(NUMBERS, min_size=1, max_size=600))
def test_statistics_do_not_depend_on_how_rows_are_grouped(values: list[float]) -> None:
    definition = MetricDefinition("a", summary=["min", "max", "mean", "first", "last"])
    at_once = summary_of(definition, *(row({"a": value}) for value in values))
    state = WriterState(start())
    apply(state, definition)
    for value in values:
        apply(state, row({"a": value}))
        _ = state.summary  # settles
    assert repr(at_once["a"]) == repr(state.summary["a"])
    total = 0.0
    for value in values:
        total += value
    expected = {
        "min": min(values),
        "max": max(values),
        "mean": total / len(values),
        "first": values[0],
        "last": values[-1],
    }
    shown = at_once["a"]
    if not math.isnan(total):
        assert shown == expected


MIXED = st.lists(st.none() | st.booleans() | st.integers(-9, 9) | st.floats(), min_size=1)


@given(MIXED, st.integers(0, 20))
def test_values_count_the_same_one_by_one_and_as_a_column(values: list[Any], cut: int) -> None:
    singly, together = Statistics(), Statistics()
    for value in values:
        singly.add(value)
    for part in (values[:cut], values[cut:]):
        if part:
            together.add_all(part)
    assert repr(singly) == repr(together)


def test_a_script_reads_neither_silent_metrics_nor_those_that_are_none_by_now() -> None:
    summary = Summary()
    summary.configure(("silent",), [], none=True)
    summary.take_row({"silent": 1, "gone": 1, "kept": 1})
    summary.update(SummaryUpdate(set=[(["silent"], 5), (["nothing"], None)]))
    summary.take_row({"gone": None})
    assert summary.readable() == {"kept": 1}
    assert summary.value() == {"silent": 5, "gone": 1, "kept": 1, "nothing": None}
