"""Patterns of users: those that may take for ever do not take the agent along."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from trackd_agent.monitor.exposition import MetricFilter, filter_rules
from trackd_agent.monitor.exposition.patterns import may_take_long
from trackd_agent.monitor.readers.patterns import PatternReader

if TYPE_CHECKING:
    from collections.abc import Iterator

EVIL = "(a+)+$"
VICTIM = "a" * 40 + "b"


@pytest.fixture
def patterns() -> Iterator[PatternReader]:
    reader = PatternReader()
    yield reader
    reader.close()


@pytest.mark.parametrize(
    "pattern",
    [
        EVIL,
        "(?:a*)*b",
        "((a|aa))+",
        r"([a-z-]+\.)*svc",
        "(a?){30}",
        "(?P<x>(b+))*",
        r"(\(+)+",
        "([)]+)+",
        "(a{2,})*",
        "(?i)(?=x)(?:(?#a)a+)*",
        r"(?P<q>a)(?P=q)(a|b|(?P=q))*",
    ],
)
def test_a_choice_within_a_repetition_may_take_long(pattern: str) -> None:
    re.compile(pattern)
    assert may_take_long(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "node1[.]app_q",
        "app_(at|nan)$",
        ".*requests.*",
        "(abc)+",
        r"(?i)^(get|post)$",
        r"\(a+\)+",
        "[(a+)]+",
        "(a[*|+?]b)*",
        "((a+)(b|c)?)?",
        "(?:a+)",
        "(?s:a+)(?#(a+)",
        r"(?P<q>a+)b(?P=q)*",
        "[]()|]+",
    ],
)
def test_what_cannot(pattern: str) -> None:
    re.compile(pattern)
    assert not may_take_long(pattern)


def test_a_search_that_takes_for_ever_ends_and_its_pattern_matches_nothing(
    patterns: PatternReader,
) -> None:
    probe: Any = patterns._probe  # pyright: ignore[reportPrivateUsage]

    def search(pattern: re.Pattern[str], text: str) -> bool:
        probe._answer_s = 0.5 if (pattern.pattern, text) == (EVIL, VICTIM) else 120.0
        return patterns.search(pattern, text)

    metrics = MetricFilter(filter_rules((EVIL, "fine")), search)
    assert metrics.admits("aaa", dict)
    used_s = time.process_time()
    assert not metrics.admits(VICTIM, dict)
    assert metrics.admits(f"{VICTIM} fine", dict)
    assert not metrics.admits("aaa", dict)
    assert time.process_time() - used_s < 2  # it was another process that searched
    (problem,) = metrics.problems
    assert problem.startswith(f"OpenMetrics filter {EVIL!r} takes too long and matches nothing")


def test_long_texts_are_searched_elsewhere(patterns: PatternReader) -> None:
    assert patterns.search(re.compile("b$"), "a" * 10_000 + "b")
    with pytest.raises(TimeoutError):
        patterns.search(re.compile("a*a*a*a*c"), "a" * 10_000)


def test_many_slow_searches_are_too_long_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trackd_agent.monitor.readers.patterns.SEARCH_S", 120.0)
    clock = iter(range(0, 1000, 2))
    patterns = PatternReader(clock=lambda: float(next(clock)))
    with pytest.raises(TimeoutError, match="for all texts"):
        for _ in range(10):
            assert patterns.search(re.compile(EVIL), "a")
    patterns.close()
