"""Confusion matrix: how often each class was taken for each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd import libraries
from trackd.plot.chart import plot_table
from trackd.tables import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd.plot.chart import CustomChart

_COLUMNS = ("Actual", "Predicted", "nPredictions")


def confusion_matrix(
    probs: Sequence[Sequence[float]] | None = None,
    y_true: Sequence[Any] | None = None,
    preds: Sequence[Any] | None = None,
    class_names: Sequence[str] | None = None,
    title: str = "Confusion Matrix Curve",
    split_table: bool = False,
) -> CustomChart:
    """Return a confusion matrix.

    Args:
        probs: probability of each class for each sample, shape (samples, classes); instead of
            `preds`.
        y_true: right class of each sample.
        preds: predicted class of each sample; instead of `probs`.
        class_names: names of the classes 0, 1, ...; default: `Class_1`, `Class_2`, ...
        title: of the chart.
        split_table: show the table in a section of its own.

    Raises:
        ValueError: both `probs` and `preds` are given, they are not as many as `y_true`, or
            there are more classes than names.
        TypeError: `y_true`, or both of `probs` and `preds`, are missing.
        KeyError: with `class_names`, a class is no number of one.
        Error: numpy is missing, which `probs` need.
    """
    predicted = _predicted(probs, preds)
    if y_true is None:
        raise TypeError("confusion_matrix: y_true is missing: give the right class of each sample")
    if len(predicted) != len(y_true):
        raise ValueError(
            f"confusion_matrix: {len(predicted)} predictions and {len(y_true)} values of y_true: "
            "give as many of both"
        )
    names, position = _classes(predicted, y_true, class_names)
    counts = [[0.0] * len(names) for _ in names]
    for actual, guess in zip(y_true, predicted, strict=True):
        counts[position[actual]][position[guess]] += 1
    rows = [
        [actual, guess, counts[i][j]]
        for i, actual in enumerate(names)
        for j, guess in enumerate(names)
    ]
    return plot_table(
        "wandb/confusion_matrix/v1",
        Table(columns=list(_COLUMNS), data=rows),
        {name: name for name in _COLUMNS},
        {"title": title},
        split_table,
    )


def _predicted(probs: Any, preds: Any) -> Sequence[Any]:
    if probs is not None and preds is not None:
        raise ValueError("confusion_matrix: probs and preds are both given: give one of them")
    if probs is not None:
        np = libraries.load("numpy", "confusion_matrix(probs=)", "numpy")
        return np.argmax(probs, axis=1).tolist()
    if preds is None:
        raise TypeError("confusion_matrix: probs and preds are both missing: give one of them")
    return preds


def _classes(
    predicted: Sequence[Any], y_true: Sequence[Any], names: Sequence[str] | None
) -> tuple[Sequence[str], dict[Any, int]]:
    """Return the names of the classes, and the number of each class."""
    if names is None:
        found = sorted({*predicted, *y_true})
        return [f"Class_{number + 1}" for number in range(len(found))], {
            value: number for number, value in enumerate(found)
        }
    for what, values in (("predictions", predicted), ("y_true", y_true)):
        if len(set(values)) > len(names):
            raise ValueError(
                f"confusion_matrix: {what} have {len(set(values))} classes and class_names "
                f"{len(names)}: name all classes"
            )
    return names, {number: number for number in range(len(names))}
