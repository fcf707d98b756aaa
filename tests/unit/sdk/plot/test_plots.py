"""Numbers behind charts: curves as scikit-learn computes them, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trackd import Error, Table, plot

TRUTH = [0, 1, 2, 2, 1, 0, 1, 2, 0, 1, 2, 1, 0, 0, 2]


def scores(seed: int, *, ties: bool = False) -> Any:
    drawn = np.random.default_rng(seed).random((len(TRUTH), 3))
    return np.round(drawn, 1) if ties else drawn


def points(chart: plot.CustomChart, label: Any) -> list[list[float]]:
    return [row[1:] for row in chart.table.data if row[0] == label]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_roc_curves_are_those_of_scikit_learn(seed: int, ties: bool) -> None:
    metrics: Any = pytest.importorskip("sklearn.metrics")
    drawn = scores(seed, ties=ties)
    chart = plot.roc_curve(TRUTH, drawn)
    for label in range(3):
        fpr, tpr, _ = metrics.roc_curve(TRUTH, drawn[:, label], pos_label=label)
        expected = [[round(x, 3), round(y, 3)] for x, y in zip(fpr, tpr, strict=True)]
        assert points(chart, label) == expected


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_precision_is_that_of_scikit_learn_made_to_fall(seed: int, ties: bool) -> None:
    metrics: Any = pytest.importorskip("sklearn.metrics")
    drawn = scores(seed, ties=ties)
    chart = plot.pr_curve(TRUTH, drawn, interp_size=11)
    for label in range(3):
        precision, recall, _ = metrics.precision_recall_curve(
            TRUTH, drawn[:, label], pos_label=label
        )
        best = np.maximum.accumulate(precision)[::-1]
        wanted = np.linspace(0, 1, 11)[::-1]
        at = np.searchsorted(recall[::-1], wanted, side="left")
        expected = [
            [round(float(best[i]), 3), round(float(r), 3)] for i, r in zip(at, wanted, strict=True)
        ]
        assert points(chart, label) == expected


def test_labels_name_classes_and_only_wanted_ones_are_drawn() -> None:
    chart = plot.roc_curve(TRUTH, scores(1), labels=["a", "b", "c"], classes_to_plot=[0, 2])
    assert {row[0] for row in chart.table.data} == {"a", "c"}


def test_curves_with_too_many_points_are_thinned_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Table, "MAX_ROWS", 10)
    chart = plot.pr_curve(TRUTH, scores(1))
    assert len(chart.table.data) == 10
    assert chart.table.data[0][0] == 0
    assert chart.table.data[-1][0] == 2


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"y_true": TRUTH, "y_probas": scores(1)[:3]}, ValueError, "one row of scores"),
        ({"y_true": TRUTH, "y_probas": scores(1) * np.nan}, ValueError, "finite"),
        ({"y_true": [0.5, 1.0], "y_probas": [[1, 0], [0, 1]]}, ValueError, "fractions"),
        ({"y_true": TRUTH, "y_probas": scores(1), "classes_to_plot": [9]}, ValueError, "no class"),
        ({"y_true": TRUTH, "y_probas": None}, IndexError, "a row for each sample"),
    ],
)
@pytest.mark.parametrize("curve", [plot.roc_curve, plot.pr_curve])
def test_arguments_that_do_not_fit_are_refused(
    curve: Any, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        curve(**arguments)


def test_a_confusion_matrix_counts_pairs() -> None:
    chart = plot.confusion_matrix(preds=["x", "y", "y"], y_true=["x", "x", "y"])
    assert chart.table.data == [
        ["Class_1", "Class_1", 1.0],
        ["Class_1", "Class_2", 1.0],
        ["Class_2", "Class_1", 0.0],
        ["Class_2", "Class_2", 1.0],
    ]
    by_scores = plot.confusion_matrix(
        probs=[[0.9, 0.1], [0.2, 0.8]], y_true=[0, 0], class_names=["a", "b"]
    )
    assert by_scores.table.data[1] == ["a", "b", 1.0]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"probs": [[1, 0]], "preds": [0], "y_true": [0]}, ValueError),
        ({"preds": [0, 1], "y_true": [0]}, ValueError),
        ({"preds": [0, 1, 2], "y_true": [0, 0, 0], "class_names": ["a", "b"]}, ValueError),
        ({"preds": ["x"], "y_true": ["x"], "class_names": ["x"]}, KeyError),
        ({"preds": [0]}, TypeError),
        ({"y_true": [0]}, TypeError),
    ],
)
def test_a_confusion_matrix_refuses(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        plot.confusion_matrix(**arguments)


def test_lines_share_x_values_or_have_their_own() -> None:
    shared = plot.line_series([0, 1], [[1, 2], [3, 4]])
    own = plot.line_series([[0, 1], [0, 1]], [[1, 2], [3, 4]], keys=["line_0", "line_1"])
    assert shared.table == own.table
    with pytest.raises(ValueError, match="xs has 1 items"):
        plot.line_series([[0, 1]], [[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="keys has 1 items"):
        plot.line_series([0, 1], [[1, 2], [3, 4]], keys=["a"])


def test_only_tables_are_drawn() -> None:
    with pytest.raises(Error, match=r"needs a trackd\.Table, got list"):
        plot.plot_table("s", [[1]], {})  # pyright: ignore[reportArgumentType]
    with pytest.raises(Error, match=r"needs a trackd\.Table, got int"):
        plot.visualize("s", 1)  # pyright: ignore[reportArgumentType]


def test_a_chart_has_a_table_key_only_with_a_key() -> None:
    chart = plot.histogram(Table(columns=["x"], data=[[1]]), "x", split_table=True)
    with pytest.raises(Error, match="no key"):
        _ = chart.spec.table_key
    chart.set_key("h")
    assert chart.spec.table_key == "Custom Chart Tables/h_table"
