"""Filters of endpoints' metrics are checked where the user can still correct them."""

from __future__ import annotations

from typing import Any

import pytest

from trackd import Settings


@pytest.mark.parametrize("given", [["fine", "(bad"], {"(bad": {"x": "y"}}, {"fine": {"x": "(bad"}}])
def test_a_pattern_that_is_no_regular_expression_is_refused_by_name(given: Any) -> None:
    with pytest.raises(Exception, match=r"x_stats_open_metrics_filters.*'\(bad'.*unterminated"):
        Settings(x_stats_open_metrics_filters=given)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["a[.]b", "^c$"], ("a[.]b", "^c$")),
        ('["a"]', ("a",)),
        ({"a": {"x": "^1"}}, {"a": {"x": "^1"}}),
        ('{"a": {"x": "^1"}}', {"a": {"x": "^1"}}),
    ],
)
def test_both_forms_and_their_json_text_are_accepted(given: Any, kept: object) -> None:
    assert Settings(x_stats_open_metrics_filters=given).x_stats_open_metrics_filters == kept
