"""Runs that are forked or rewound, and clients that say odd things about that."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.server.serving import Serving, serving

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

REWIND = """mutation($step: Float!) { rewindRun(input: {runName: "r", projectName: "p",
  metricName: "_step", metricValue: $step}) { rewoundRun { id } } }"""
STOP = "mutation($id: ID!) { stopRun(input: {id: $id}) { success } }"


@pytest.fixture
def server(tmp_path: Path) -> Generator[Serving]:
    with serving(tmp_path / "server") as opened:
        yield opened


def forked(point: Any) -> str:
    return json.dumps({"_wandb": {"value": {"branch_point": point}}})


def steps(server: Serving, name: str) -> list[int]:
    return [row["_step"] for row in server.document(name)["history"]]


def test_a_fork_has_the_rows_up_to_its_branch_point_and_so_has_its_own_fork(
    server: Serving,
) -> None:
    server.upsert()
    server.rows(*({"_step": n} for n in range(10)))
    server.upsert("child", config=forked({"run_id": "r", "step": 3}))
    server.rows({"_step": 4}, {"_step": 5}, name="child")
    server.upsert("grandchild", config=forked({"run_id": "child", "step": 4.0}))
    assert (steps(server, "child"), steps(server, "r")) == ([*range(6)], [*range(10)])
    assert steps(server, "grandchild") == [*range(5)]


@pytest.mark.parametrize(
    "point",
    [
        {"run_id": "r", "step": float("inf")},
        {"run_id": "r", "step": float("nan")},
        {"run_id": "r", "step": 1e300},
        {"run_id": "r", "step": 2**70},
        {"run_id": "r", "step": -1},
        {"run_id": "r", "step": "3"},
        {"run_id": "none", "step": 3},
        {"run_id": "\ud800", "step": 3},
        {"run_id": "a\0b", "step": 3},
        {"run_id": ["r"], "step": 3},
        {},
        "r",
    ],
    ids=str,
)
def test_an_odd_branch_point_harms_no_run(server: Serving, point: Any) -> None:
    server.upsert()
    server.rows({"_step": 0}, {"_step": 1})
    server.upsert("child", config=forked(point))
    server.rows({"_step": 5}, name="child")
    assert steps(server, "child") in ([5], [0, 1, 5])


def test_a_run_that_is_rewound_is_not_told_to_stop_any_more(server: Serving) -> None:
    run_id = server.upsert(host="h")["bucket"]["id"]
    server.rows({"_step": 0}, {"_step": 1})
    server.graphql(STOP, {"id": run_id})
    assert server.stream({"complete": True, "exitcode": 1})["stopped"] is True
    server.graphql(REWIND, {"step": 0})
    server.upsert(host="h")
    assert "stopped" not in server.rows({"_step": 1}, offset=1)
    assert server.document()["run"]["state"] == "running"


@pytest.mark.parametrize("step", [-5, 1e300, 0.5])
def test_an_odd_step_rewinds_as_far_as_it_says(server: Serving, step: float) -> None:
    server.upsert(host="h")
    server.rows({"_step": 0}, {"_step": 1})
    server.graphql(REWIND, {"step": step})
    assert steps(server, "r") == [n for n in (0, 1) if n <= step]


def test_late_rows_are_shown_and_damaged_ones_are_not(server: Serving) -> None:
    lines = ['{"_step": 1, "x": 2}', "nonsense", '{"x": NaN}', "[1]", ""]
    file = {"trackd-late-0123456789abcdef.jsonl": {"offset": 0, "content": lines}}
    server.stream({"files": file}, client="c", label='a"b')
    document = server.document()
    assert [row.get("_step") for row in document["late_rows"]] == [1, None]
    assert {row["_label"] for row in document["late_rows"]} == {'a"b'}
    assert document["history"] == []
