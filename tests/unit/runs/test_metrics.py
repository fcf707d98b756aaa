"""Metric definitions: merging, globs, step metrics, and the forms in which they leave."""

from __future__ import annotations

from typing import Any

from trackd_agent.runs.state.metrics import MetricDefinitions, metric_path
from trackd_proto.records import MetricDefinition


def defined(*records: MetricDefinition) -> MetricDefinitions:
    metrics = MetricDefinitions()
    for record in records:
        metrics.define(record)
    return metrics


def prepared(metrics: MetricDefinitions, row: dict[str, Any], *, flat: bool = True) -> Any:
    metrics.prepare(row, flat=flat)
    return row


def test_a_step_metric_counts_as_zero_until_it_was_logged() -> None:
    metrics = defined(MetricDefinition("val", step_metric="epoch"))
    assert prepared(metrics, {"val": 1}) == {"val": 1, "epoch": 0}
    assert prepared(metrics, {"epoch": 4}) == {"epoch": 4}
    assert prepared(metrics, {"val": 2}) == {"val": 2, "epoch": 4}
    assert prepared(metrics, {"val": 3, "epoch": 5}) == {"val": 3, "epoch": 5}
    assert prepared(metrics, {"other": 1}) == {"other": 1}
    assert prepared(metrics, {"val": 3, "epoch": "five"}) == {"val": 3, "epoch": "five"}
    assert prepared(metrics, {"val": 2}) == {"val": 2, "epoch": 5}


def test_step_sync_can_be_off() -> None:
    metrics = defined(MetricDefinition("val", step_metric="epoch", step_sync=False))
    assert prepared(metrics, {"val": 1}) == {"val": 1}


def test_nested_metrics_are_addressed_by_dots() -> None:
    metrics = defined(MetricDefinition("a.b", step_metric="s.t"))
    row = {"a": {"b": 1}}
    assert prepared(metrics, row, flat=False) == {"a": {"b": 1}, "s": {"t": 0}}
    assert prepared(metrics, {"a": {"b": 1}, "s": {"t": 7}}, flat=False)["s"] == {"t": 7}
    assert prepared(metrics, {"a": {"b": 1}}, flat=False)["s"] == {"t": 7}


def test_an_escaped_dot_belongs_to_the_name() -> None:
    assert metric_path("a.b") == ("a", "b")
    assert metric_path("a\\.b.c") == ("a.b", "c")


def test_a_glob_does_nothing_for_a_flat_name_with_a_dot() -> None:
    metrics = defined(
        MetricDefinition("a\\.c", summary=["min"], step_metric="s"),
        MetricDefinition("*", summary=["mean"]),
    )
    row = {"a.c": 1}
    assert [path for path, _ in metrics.prepare(row, flat=True)] == [("a", "c")]
    assert row == {"a.c": 1, "s": 0}


def test_a_glob_defines_what_matches_and_an_explicit_definition_wins() -> None:
    metrics = defined(
        MetricDefinition("train/*", step_metric="g", summary=["max"]),
        MetricDefinition("train/lr", hidden=True),
        MetricDefinition("*", summary=["min"]),
    )
    made = metrics.prepare({"train/loss": 1, "train/lr": 2, "x": 3, "_step": 0}, flat=True)
    kinds = {path: d.kinds for path, d in made}
    assert kinds == {("train/loss",): ["max"], ("x",): ["min"]}
    assert metrics.prepare({"train/loss": 1, "x": 3}, flat=True) == []
    listed = [entry["name"] for entry in metrics.document()]
    assert listed == ["*", "train/*", "train/lr"]


def test_definitions_are_merged_until_they_are_overwritten() -> None:
    metrics = defined(
        MetricDefinition("m", step_metric="s", summary=["min"], hidden=True),
        MetricDefinition("m", step_sync=False, summary=["none", "max"], hidden=False),
    )
    (entry,) = metrics.document()
    assert entry == {
        "name": "m",
        "step_metric": "s",
        "step_sync": True,
        "hidden": True,
        "summary": ["max", "min", "none"],
    }
    metrics.define(MetricDefinition("m", summary=["last"]))
    assert metrics.document()[0]["summary"] == ["last", "max", "min"]
    metrics.define(MetricDefinition("m", overwrite=True))
    assert metrics.document()[0] == {
        "name": "m",
        "step_metric": None,
        "step_sync": False,
        "hidden": False,
        "summary": [],
    }


def test_the_upstream_form_refers_to_step_metrics_by_index() -> None:
    metrics = defined(
        MetricDefinition("a", step_metric="s", summary=["min", "last"]),
        MetricDefinition("b*", step_metric="s", hidden=True, summary=["none"]),
    )
    assert metrics.upstream() == [
        {"1": "a", "5": 2, "6": [1, 3], "7": [1, 5]},
        {"1": "s"},
        {"2": "b*", "5": 2, "6": [1, 2], "7": [6]},
    ]


def test_many_shapes_of_rows_do_not_pile_up() -> None:
    metrics = defined(MetricDefinition("*", step_metric="s"))
    for number in range(1000):
        row: dict[str, Any] = {f"m{number}": 1}
        assert prepared(metrics, row) == {f"m{number}": 1, "s": 0}
    assert len(metrics._plans) <= 256  # pyright: ignore[reportPrivateUsage]


def test_copies_made_of_globs_are_not_listed_for_a_run_either() -> None:
    first, second = defined(MetricDefinition("a*")), defined(MetricDefinition("ab", hidden=True))
    first.prepare({"ab": 1, "ac": 2}, flat=True)
    merged = MetricDefinitions()
    merged.absorb([first])
    assert [entry["name"] for entry in merged.document()] == ["a*"]
    merged.absorb([second])
    assert [entry["name"] for entry in merged.document()] == ["a*", "ab"]
    assert merged.defined["ab"].hidden


def test_what_a_script_said_after_a_glob_took_the_metric_is_listed_without_the_glob() -> None:
    metrics = defined(MetricDefinition("p/*", step_metric="s", summary=["min"], hidden=True))
    metrics.prepare({"p/a": 1}, flat=True)
    metrics.define(MetricDefinition("p/a", summary=["max"]))
    for state in (metrics, MetricDefinitions.from_state(metrics.to_state())):
        listed = {entry["name"]: entry for entry in state.document()}["p/a"]
        assert listed["summary"] == ["max"]
        assert (listed["step_metric"], listed["hidden"]) == (None, False)
        assert state.defined["p/a"].kinds == ["max", "min"] and state.defined["p/a"].hidden
