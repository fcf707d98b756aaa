"""Step and commit rules against a simple model, and by example."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.frames import row

from trackd_agent.runs.state.rows import RowMerger, StepWentBack

CLOCK = ("_timestamp", "_runtime")
CALLS = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), max_size=3),
        st.none() | st.integers(0, 12),
        st.sampled_from([None, True, False]),
    ),
    max_size=30,
)


def merge(calls: list[tuple[dict[str, Any], int | None, bool | None]]) -> tuple[list[Any], int]:
    merger = RowMerger()
    rows: list[dict[str, Any]] = []
    refused = 0
    for data, step, commit in calls:
        record = row(dict(data), step, commit)
        whole = merger.take_whole(record)
        if whole is not None:
            rows.append(whole)
            continue
        try:
            rows += merger.add(record)
        except StepWentBack:
            refused += 1
    rows += merger.close()
    for data in rows:
        assert all(type(data.pop(key)) is float for key in CLOCK)
    return rows, refused


def model(calls: list[tuple[dict[str, Any], int | None, bool | None]]) -> tuple[list[Any], int]:
    """The table of the reference, spelled out: one list of (step, values), one open row."""
    rows: list[dict[str, Any]] = []
    current: dict[str, Any] | None = None
    number = refused = 0
    for data, step, commit in calls:
        if step is not None and step < number:
            refused += 1
            continue
        if step is not None and step > number:
            if current is not None:
                rows.append({**current, "_step": number})
            current, number = None, step
        current = {**(current or {}), **data}
        closes = commit if commit is not None else step is None
        if closes:
            rows.append({**current, "_step": number})
            current, number = None, number + 1
    if current is not None:
        rows.append({**current, "_step": number})
    return rows, refused


@given(CALLS)
def test_rows_are_merged_as_the_table_of_the_reference_says(calls: list[Any]) -> None:
    assert merge(calls) == model(calls)


def test_a_row_of_nothing_still_counts() -> None:
    assert merge([({}, None, None)]) == ([{"_step": 0}], 0)


def test_nested_values_join_and_empty_mappings_vanish() -> None:
    calls: list[Any] = [
        ({"t": {"lr": 0.1, "x": 1}, "e": {}}, None, False),
        ({"t": {"lr": 0.2, "wd": {"a": 1}}, "x": {"y": {}}}, None, None),
    ]
    rows, _ = merge(calls)
    assert rows == [{"t": {"lr": 0.2, "x": 1, "wd": {"a": 1}}, "_step": 0}]


@pytest.mark.parametrize(
    ("first", "second"), [({"a": 1}, {"a": {"b": 2}}), ({"a": {"b": 2}}, {"a": 1})]
)
def test_a_scalar_and_a_subtree_replace_each_other(first: Any, second: Any) -> None:
    rows, _ = merge([(first, None, False), (second, None, None)])
    assert rows == [{**second, "_step": 0}]


def test_a_users_timestamp_is_kept_and_a_users_runtime_is_not() -> None:
    data = {"_timestamp": 5.0, "_runtime": 7.0, "_step": 99}
    merger = RowMerger(first_step=3)
    assert merger.take_whole(row(dict(data))) == {
        "_timestamp": 5.0,
        "_runtime": 1.5,
        "_step": 3,
    }
    assert merger.add(row(dict(data), commit=False)) == []
    assert merger.close() == [{"_timestamp": 5.0, "_runtime": 1.5, "_step": 4}]
