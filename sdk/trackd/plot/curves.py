"""Curves of classifiers: precision over recall, and true over false positives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd import libraries
from trackd.plot.chart import plot_table
from trackd.tables import Table
from trackd.tables.limits import warn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trackd.plot.chart import CustomChart

_SPEC = "wandb/area-under-curve/v0"
_DECIMALS = 3


def pr_curve(  # noqa: PLR0913 - the signature of the reference
    y_true: Iterable[Any] | None = None,
    y_probas: Iterable[Any] | None = None,
    labels: Sequence[str] | None = None,
    classes_to_plot: Sequence[Any] | None = None,
    interp_size: int = 21,
    title: str = "Precision-Recall Curve",
    split_table: bool = False,
) -> CustomChart:
    """Return a chart of precision over recall, a curve for each class.

    Args:
        y_true: right class of each sample.
        y_probas: score of each class for each sample, shape (samples, classes).
        labels: names of the classes 0, 1, ...; default: the values of `y_true`.
        classes_to_plot: values of `y_true` to draw; default: all.
        interp_size: number of points, evenly spread over recall from 1 to 0.
        title: of the chart.
        split_table: show the table in a section of its own.

    Raises:
        ValueError: the arguments do not fit each other, or no class is to be drawn.
        IndexError: `y_probas` has fewer classes than `y_true`, or `labels` fewer names.
        Error: numpy is missing.
    """
    np = _numpy("pr_curve")
    recalls = np.linspace(0, 1, interp_size)[::-1]
    curves: dict[Any, Any] = {}
    for label, hits, misses in _by_class(np, y_true, y_probas, labels, classes_to_plot):
        found = hits + misses
        precision = np.append(np.divide(hits, found)[::-1], 1.0)
        total = hits[-1]
        recall = np.append((hits / total if total else np.ones_like(hits))[::-1], 0.0)
        # Precision is to fall with recall: each point takes the best of those with more recall.
        rising = np.maximum.accumulate(precision)[::-1]
        curves[label] = rising[np.searchsorted(recall[::-1], recalls, side="left")]
    points = {label: (precision, recalls) for label, precision in curves.items()}
    return _chart(
        np,
        points,
        ("class", "precision", "recall"),
        {"x": "recall", "y": "precision", "class": "class"},
        {"title": title, "x-axis-title": "Recall", "y-axis-title": "Precision"},
        split_table=split_table,
    )


def roc_curve(
    y_true: Iterable[Any],
    y_probas: Iterable[Any] | None = None,
    labels: Sequence[str] | None = None,
    classes_to_plot: Sequence[Any] | None = None,
    title: str = "ROC Curve",
    split_table: bool = False,
) -> CustomChart:
    """Return a chart of the receiver operating characteristic, a curve for each class.

    Args:
        y_true: right class of each sample.
        y_probas: score of each class for each sample, shape (samples, classes).
        labels: names of the classes 0, 1, ...; default: the values of `y_true`.
        classes_to_plot: values of `y_true` to draw; default: all.
        title: of the chart.
        split_table: show the table in a section of its own.

    Raises:
        ValueError: the arguments do not fit each other, or no class is to be drawn.
        IndexError: `y_probas` has fewer classes than `y_true`, or `labels` fewer names.
        Error: numpy is missing.
    """
    np = _numpy("roc_curve")
    points: dict[Any, Any] = {}
    for label, hits, misses in _by_class(np, y_true, y_probas, labels, classes_to_plot):
        kept = _corners(np, hits, misses)
        rates = [np.append(0.0, counts[kept]) / (counts[-1] or np.nan) for counts in (misses, hits)]
        points[label] = tuple(rates)
    return _chart(
        np,
        points,
        ("class", "fpr", "tpr"),
        {"x": "fpr", "y": "tpr", "class": "class"},
        {
            "title": title,
            "x-axis-title": "False positive rate",
            "y-axis-title": "True positive rate",
        },
        split_table=split_table,
    )


def _numpy(chart: str) -> Any:
    return libraries.load("numpy", f"plot.{chart}", "numpy")


def _by_class(np: Any, y_true: Any, y_probas: Any, labels: Any, wanted: Any) -> Iterable[Any]:
    """Yield for each class its label and the hits and misses above each distinct score."""
    truth, scores = np.array(y_true), np.array(y_probas)
    if scores.ndim < 2:
        raise IndexError(
            f"y_probas has the shape {scores.shape}: give a row for each sample, with a score for "
            "each class"
        )
    if truth.ndim != 1 or len(truth) != len(scores):
        raise ValueError(
            f"y_true has the shape {truth.shape} and y_probas {scores.shape}: give one class, and "
            "one row of scores, for each sample"
        )
    if truth.dtype.kind == "f" and not np.array_equal(truth, np.floor(truth)):
        raise ValueError("y_true holds fractions: give classes (integers or texts)")
    if scores.dtype.kind == "f" and not np.isfinite(scores).all():
        raise ValueError("y_probas holds NaN or infinity: give finite scores")
    classes = np.unique(truth)
    for index in np.nonzero(np.isin(classes, classes if wanted is None else wanted))[0]:
        is_number = isinstance(classes[index], int | np.integer)
        label = labels[classes[index]] if labels is not None and is_number else classes[index]
        yield label, *_counts(np, truth == classes[index], scores[..., index])


def _counts(np: Any, is_hit: Any, scores: Any) -> tuple[Any, Any]:
    """Return how many hits and misses have at least each distinct score, from the highest."""
    order = np.argsort(scores, kind="stable")[::-1]
    ends = np.append(np.nonzero(np.diff(scores[order]))[0], len(scores) - 1)
    hits = np.cumsum(is_hit[order], dtype=float)[ends]
    return hits, 1.0 + ends - hits


def _corners(np: Any, hits: Any, misses: Any) -> Any:
    """Return where the curve changes its direction: other points lie on straight lines."""
    if len(hits) <= 2:
        return slice(None)
    bends = np.logical_or(np.diff(misses, 2), np.diff(hits, 2))
    return np.nonzero(np.concatenate(([True], bends, [True])))[0]


def _chart(
    np: Any,
    curves: dict[Any, Any],
    columns: tuple[str, ...],
    fields: dict[str, str],
    texts: dict[str, str],
    *,
    split_table: bool,
) -> CustomChart:
    if not curves:
        raise ValueError("no class is left to be drawn: classes_to_plot must name values of y_true")
    names = np.hstack([[label] * len(values[0]) for label, values in curves.items()])
    numbers = [np.hstack([values[axis] for values in curves.values()]) for axis in (0, 1)]
    rounded = [np.round(axis, _DECIMALS) for axis in numbers]
    rows = [list(row) for row in zip(names.tolist(), *rounded, strict=True)]
    if len(rows) > Table.MAX_ROWS:
        warn(f"a curve of {len(rows)} points is thinned out to {Table.MAX_ROWS}")
        kept = np.linspace(0, len(rows) - 1, Table.MAX_ROWS).round().astype(int)
        rows = [rows[index] for index in kept]
    return plot_table(_SPEC, Table(columns=list(columns), data=rows), fields, texts, split_table)
