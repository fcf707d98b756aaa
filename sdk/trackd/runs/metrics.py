"""`define_metric`: argument checks; the agent does the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trackd.errors import Error
from trackd.messages.term import termwarn
from trackd_proto.records import MetricDefinition

_SUMMARIES = ("min", "max", "mean", "last", "first", "none", "copy")


@dataclass(frozen=True, slots=True)
class Metric:
    """A defined metric, as the call said; may serve as `step_metric` of others."""

    name: str
    step_metric: str | None = None
    step_sync: bool | None = None
    hidden: bool | None = None
    summary: tuple[str, ...] | None = None


def metric_of(record: MetricDefinition) -> Metric:
    """Return what `define_metric` hands back."""
    summary = None if record.summary is None else tuple(record.summary)
    return Metric(record.name, record.step_metric, record.step_sync, record.hidden, summary)


def definition(
    name: Any, step_metric: Any, step_sync: Any, hidden: Any, summary: Any, overwrite: Any
) -> MetricDefinition:
    """Return the record of one `define_metric` call.

    Raises:
        Error: an argument is not acceptable; the message names it.
    """
    step_name: Any = step_metric.name if isinstance(step_metric, Metric) else step_metric
    _expect("name", name, str)
    _expect("step_metric", step_name, str, optional=True)
    _expect("step_sync", step_sync, bool, optional=True)
    _expect("hidden", hidden, bool, optional=True)
    _expect("summary", summary, str, optional=True)
    _expect("overwrite", overwrite, bool, optional=True)
    if not name:
        raise Error("define_metric: name is empty: name the metric, or use '*' for all")
    if "*" in name[:-1]:
        raise Error(f"define_metric: name {name!r}: a '*' is possible as last character only")
    kinds: list[str] | None = None
    if summary:
        kinds = [kind.lower() for kind in summary.split(",")]
        for kind in kinds:
            if kind not in _SUMMARIES:
                raise Error(
                    f"define_metric: summary {kind!r} does not exist: use one or more of "
                    f"{', '.join(_SUMMARIES[:-1])}, joined by commas"
                )
        if "copy" in kinds:
            termwarn("define_metric: summary='copy' is deprecated: it has no effect", repeat=False)
            kinds = [kind for kind in kinds if kind != "copy"]
    return MetricDefinition(
        name=name,
        step_metric=step_name,
        step_sync=(step_name is not None) if step_sync is None else step_sync,
        hidden=hidden,
        summary=kinds or None,
        overwrite=bool(overwrite),
    )


def _expect(argument: str, value: Any, kind: type, *, optional: bool = False) -> None:
    """Refuse values of another type."""
    if isinstance(value, kind) or (optional and value is None):
        return
    raise Error(
        f"define_metric: {argument}={value!r} is of type {type(value).__name__}: "
        f"use {kind.__name__}{' or None' if optional else ''}"
    )
