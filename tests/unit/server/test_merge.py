"""What several writers say, laid over one another."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

from trackd_server.domain import merge


def writer(config: Any = None, config_at: float = 0, summary: Any = None, at: float = 0) -> Any:
    return cast(
        "Any",
        SimpleNamespace(
            config=json.dumps(config) if config is not None else None,
            config_at=config_at,
            summary=json.dumps(summary) if summary is not None else None,
            summary_at=at,
        ),
    )


def test_configs_merge_by_key_and_environments_by_writer() -> None:
    one = {"a": {"value": 1}, "_wandb": {"value": {"t": {"1": 1}, "e": {"w1": {"host": "x"}}}}}
    two: dict[str, Any] = {
        "b": {"value": 2},
        "_wandb": {"value": {"m": [], "e": {"w2": {"host": "y"}}}},
    }
    merged = merge.configs([writer(two, 2), writer(one, 1)])
    assert merge.plain_config(merged) == {"a": 1, "b": 2}
    assert merged["_wandb"]["value"] == {
        "t": {"1": 1},
        "m": [],
        "e": {"w1": {"host": "x"}, "w2": {"host": "y"}},
    }


def test_the_writer_who_spoke_last_wins() -> None:
    writers = [writer(summary={"x": 2}, at=2), writer(summary={"x": 1, "y": 1}, at=1)]
    assert merge.summaries(writers) == {"x": 2, "y": 1}


def test_damaged_texts_count_as_empty() -> None:
    broken = cast("Any", SimpleNamespace(config="{", config_at=0, summary="[1]", summary_at=0))
    assert merge.configs([broken]) == {}
    assert merge.summaries([broken]) == {}


def test_plain_config_drops_wrapping_empty_mappings_and_internals() -> None:
    config: dict[str, Any] = {
        "lr": {"value": 0.1, "desc": None},
        "value": {"value": {"value": 3}},
        "raw": 5,
        "empty": {"value": {}},
        "_wandb": {"value": {"t": {}, "visualize": {"v": 1}}},
    }
    assert merge.plain_config(config) == {
        "lr": 0.1,
        "value": {"value": 3},
        "raw": 5,
        "_wandb": {"visualize": {"v": 1}},
    }


def test_metric_definitions_are_those_the_script_made() -> None:
    listed = [
        {"1": "epoch", "6": [3]},
        {"1": "loss", "5": 1, "6": [1, 3], "7": [2, 1]},
        {"2": "val/*", "5": 1, "6": [2]},
        {"1": "val/x", "5": 1},
    ]
    found = merge.metric_definitions({"_wandb": {"value": {"m": listed}}})
    assert [
        (d["name"], d["step_metric"], d["step_sync"], d["hidden"], d["summary"]) for d in found
    ] == [
        ("epoch", None, False, False, []),
        ("loss", "epoch", True, False, ["max", "min"]),
        ("val/*", "epoch", False, True, []),
    ]


def test_strict_names_what_json_cannot_say() -> None:
    nan, inf = float("nan"), float("inf")
    assert merge.strict({"a": [nan, inf, -inf, 1.5]}) == {
        "a": ["NaN", "Infinity", "-Infinity", 1.5]
    }
