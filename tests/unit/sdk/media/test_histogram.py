"""Histograms: from numbers and from ready-made counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import trackd


def test_numbers_are_counted() -> None:
    made = trackd.Histogram([0, 1, 1, 2, 4], num_bins=4)
    assert made.histogram == [1, 2, 1, 1]
    assert made.bins == [0, 1, 2, 3, 4]
    assert len(trackd.Histogram(range(128)).histogram) == 64


def test_ready_made_counts_are_taken_as_they_are() -> None:
    made = trackd.Histogram(np_histogram=np.histogram([1.0, 2.0, 3.0], bins=2))
    assert made.to_json() == {"_type": "histogram", "values": [1, 2], "bins": [1, 2, 3]}
    assert trackd.Histogram(np_histogram=([1, 2], [0, 1, 2])).histogram == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sequence": [1, 2], "num_bins": 513}, "513 bins are more than 512"),
        ({"np_histogram": ([1], [0, 1, 2, 3])}, "1 counts need 2 edges and have 4"),
        ({"np_histogram": ([1], [0, 1], 5)}, "np_histogram has 3 parts"),
        ({"sequence": [float("nan")]}, "not finite"),
    ],
)
def test_what_is_no_histogram_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trackd.Histogram(**arguments)


def test_truth_values_are_counted_without_a_warning() -> None:
    assert sum(trackd.Histogram(np.array([True, False, True])).histogram) == 3


def test_tensors_are_counted_on_the_host() -> None:
    torch: Any = pytest.importorskip("torch")
    made = trackd.Histogram(torch.tensor([1.0, 2.0], dtype=torch.bfloat16, requires_grad=True))
    assert sum(made.histogram) == 2
