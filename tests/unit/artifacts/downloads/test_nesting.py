"""Counting how deep JSON is nested, in pieces of any length."""

from __future__ import annotations

import json
from itertools import accumulate, pairwise
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from trackd_agent.artifacts.downloads.nesting import Nesting

TEXTS = st.text(alphabet='ab"\\\\[]{}\n', max_size=6)
VALUES: st.SearchStrategy[Any] = st.recursive(
    TEXTS | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
)


def levels(value: Any) -> int:
    if isinstance(value, dict):
        return levels(list(cast("dict[str, Any]", value).values()))
    inner = cast("list[Any]", value) if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(levels, inner), default=0)


@given(VALUES, st.integers(0, 60), st.lists(st.integers(1, 9)))
def test_strings_and_cuts_do_not_count(value: Any, more: int, lengths: list[int]) -> None:
    for _ in range(more):
        value = [value]
    text = json.dumps(value).encode()
    nesting = Nesting()
    for begin, end in pairwise([0, *accumulate(lengths), len(text)]):
        nesting.feed(text[begin : max(begin, end)])
    assert levels(value) - 12 <= nesting.deepest <= levels(value)
