"""The environment of a writer: what it told, what the agent found, what settings say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.frames import apply, start

from trackd_agent.runs.state.environments import environment_of
from trackd_agent.runs.state.writer_state import WriterState
from trackd_agent.runs.upload import ending
from trackd_agent.runs.upload.run_config import upstream_config
from trackd_proto import records

if TYPE_CHECKING:
    from collections.abc import Mapping

TOLD = {"host": "h", "cpu_count": 4, "cpu_count_logical": 8, "gpu_count": 1}
FOUND = {"gpu_count": 2, "gpu": "H100", "gpu_nvidia": [{"name": "H100"}, {"name": "H100"}]}


def state_of(settings: Mapping[str, Any] | None = None, **facts: Any) -> WriterState:
    state = WriterState(start(environment=TOLD, settings=dict(settings or {}), **facts))
    apply(state, records.Environment(FOUND))
    return state


def test_what_the_agent_found_counts_more_than_what_the_process_saw() -> None:
    assert environment_of(state_of(), "w1") == {
        **TOLD,
        **FOUND,
        "startedAt": "1970-01-01T00:16:40Z",
        "writerId": "w1",
    }


def test_settings_count_more_than_both() -> None:
    environment = environment_of(
        state_of(
            {
                "x_stats_cpu_count": 3,
                "x_stats_cpu_logical_count": 6,
                "x_stats_gpu_count": 9,
                "x_stats_gpu_type": "mine",
            }
        ),
        "w1",
    )
    assert {"cpu_count": 3, "cpu_count_logical": 6, "gpu_count": 9, "gpu": "mine"}.items() <= (
        environment.items()
    )


@pytest.mark.parametrize("odd", [0, -1, None, True, "4"])
def test_a_count_that_is_none_is_no_override(odd: object) -> None:
    environment = environment_of(state_of({"x_stats_gpu_count": odd, "x_stats_gpu_type": ""}), "w")
    assert (environment["gpu_count"], environment["gpu"]) == (2, "H100")


@pytest.mark.parametrize(
    ("settings", "facts"),
    [
        ({"x_disable_meta": True}, {}),
        ({"x_disable_machine_info": True}, {}),
        ({}, {"primary": False}),
    ],
)
def test_where_nobody_wants_it_there_is_none_anywhere(
    settings: dict[str, Any], facts: dict[str, Any]
) -> None:
    state = state_of(settings, **facts)
    assert environment_of(state, "w1") == {}
    assert upstream_config({"w1": state})["_wandb"]["value"]["e"] == {}
    assert ending.metadata_content({"w1": state}) == {}


def test_it_is_in_the_configuration_by_writer_and_in_the_metadata_file() -> None:
    states = {"w1": state_of(), "w2": state_of()}
    kept = upstream_config(states)["_wandb"]["value"]["e"]
    assert {id_: one["writerId"] for id_, one in kept.items()} == {"w1": "w1", "w2": "w2"}
    (content,) = ending.metadata_content(states).values()
    assert json.loads(content) == kept["w1"]


def test_what_is_found_later_adds_to_it_and_is_told_onwards() -> None:
    state = state_of()
    assert state.take().environment_changed
    assert not state.take().environment_changed
    apply(state, records.Environment({"coreweave": {"region": "us-east-04"}}))
    updates = state.take()
    assert updates.environment_changed
    assert updates.config_changed
    assert environment_of(WriterState.restore(state.snapshot()), "w")["gpu"] == "H100"
    assert environment_of(state, "w")["coreweave"] == {"region": "us-east-04"}
