"""The sample of rows that the end of a run shows."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from trackd_agent.runs.digest import HistorySample

ROWS = st.lists(
    st.dictionaries(
        st.sampled_from(["a", "b", "c", "_step", "t/x"]),
        st.one_of(
            st.integers(-(2**63), 2**64 - 1),
            st.floats(allow_nan=False),
            st.text(),
            st.none(),
            st.booleans(),
        ),
    ),
    max_size=300,
)


def sampled(rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    sample = HistorySample()
    for row in rows:
        sample.add(row)
    return sample.values()


def test_a_short_history_is_kept_whole() -> None:
    rows = [{"loss": 1 / (i + 1), "_step": i, "text": "x"} for i in range(90)]
    assert sampled(rows) == {"loss": [row["loss"] for row in rows]}


def test_a_long_history_is_spread_over_all_of_it() -> None:
    values = sampled([{"loss": i} for i in range(100_000)])["loss"]
    assert 48 <= len(values) <= 97
    assert len({b - a for a, b in pairwise(values)}) == 1
    assert values[0] == 0
    assert values[-1] >= 97_000


def test_rare_rows_are_not_pushed_out_by_frequent_ones() -> None:
    rows: list[dict[str, Any]] = []
    for epoch in range(20):
        rows += [{"loss": i, "lr": 1} for i in range(1_000)]
        rows.append({"val": epoch})
    assert sampled(rows)["val"] == list(range(20))


def test_keys_of_alternating_rows_are_all_seen() -> None:
    rows = [{"a": i} if i % 2 else {"b": i} for i in range(10_000)]
    found = sampled(rows)
    assert len(found["a"]) > 40
    assert len(found["b"]) > 40


def test_many_keys_and_many_kinds_of_rows_are_named_and_not_kept() -> None:
    found = sampled([{f"k{i:03}": i for i in range(100)}])
    assert len(found) == 100
    assert sum(bool(values) for values in found.values()) == 32
    found = sampled([{f"k{i}": i} for i in range(1_000)])
    assert sum(bool(values) for values in found.values()) == 32
    assert len(found) == 1_000


@given(ROWS, ROWS)
def test_it_goes_on_from_its_state(
    before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    sample = HistorySample()
    for row in before:
        sample.add(row)
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(sample.to_state()))
    twin = HistorySample.from_state(state)
    for row in after:
        sample.add(row)
        twin.add(row)
    assert twin.values() == sample.values()
