from __future__ import annotations

import math

import pytest

from trackd_agent.monitor.contract import Meaning, Reading, Readings
from trackd_agent.monitor.series import Series


def test_a_counter_starts_at_zero_for_each_subject_at_its_own_first_sample() -> None:
    early, late = Series(), Series()
    assert early.values([Reading("sent", Meaning.SINCE_FIRST, 100)]) == {"sent": 0}
    assert early.values([Reading("sent", Meaning.SINCE_FIRST, 130)]) == {"sent": 30}
    assert late.values([Reading("sent", Meaning.SINCE_FIRST, 130)]) == {"sent": 0}
    assert late.values([Reading("sent", Meaning.SINCE_FIRST, 131)]) == {"sent": 1}


def test_a_counter_that_falls_takes_no_growth_back_and_goes_on_counting() -> None:
    series = Series()
    amounts = [100, 150, 10, 25]
    seen = [series.values([Reading("k", Meaning.SINCE_FIRST, amount)])["k"] for amount in amounts]
    assert seen == [0, 50, 50, 65]


def test_a_ratio_is_absent_first_and_then_covers_the_last_interval_only() -> None:
    series = Series()
    seen = [
        series.values([Reading("cpu", Meaning.OVER_INTERVAL, amount, per)]).get("cpu")
        for amount, per in [(500, 10), (550, 11), (550, 12), (750, 14)]
    ]
    assert seen == [None, 50, 0, 100]


def test_a_ratio_is_absent_when_its_denominator_did_not_move_or_its_amount_fell() -> None:
    series = Series()
    seen = [
        series.values([Reading("t", Meaning.OVER_INTERVAL, amount, per)]).get("t")
        for amount, per in [(10, 1), (20, 1), (5, 2), (7, 3)]
    ]
    assert seen == [None, None, None, 2]


def test_values_that_are_not_finite_are_left_out() -> None:
    readings = [
        Reading("nan", Meaning.NOW, math.nan),
        Reading("inf", Meaning.NOW, math.inf),
        Reading("one", Meaning.NOW, 1),
    ]
    assert Series().values(readings) == {"one": 1}


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, 10**400], ids=str)
def test_an_amount_that_is_no_number_spoils_nothing_that_comes_after(odd: float) -> None:
    series = Series()

    def sample(amount: float) -> dict[str, float]:
        readings = Readings()
        readings.now("now", amount)
        readings.since_first("grown", amount)
        readings.over_interval("rate", amount, amount)
        return series.values(readings.shared)

    sample(5)
    assert sample(odd) == {}
    assert sample(8) == {"now": 8, "grown": 3, "rate": 1}


def test_a_counter_of_more_than_64_bits_is_a_float() -> None:
    readings = Readings()
    readings.now("huge", 2**70)
    (value,) = Series().values(readings.shared).values()
    assert (type(value), value) == (float, 2.0**70)


def test_what_does_not_change_is_told_to_each_subject_once() -> None:
    early, late = Series(), Series()
    steady = Reading("ipu.0.numa node", Meaning.ONCE, 3)
    assert early.values([steady]) == {"ipu.0.numa node": 3}
    assert early.values([steady]) == {}
    assert late.values([steady]) == {"ipu.0.numa node": 3}
