"""The configuration of a run in the form of the W&B protocol, made of its writers' states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from trackd_agent.runs.state import tree
from trackd_agent.runs.state.config_tree import RESERVED
from trackd_agent.runs.state.environments import environment_of
from trackd_agent.runs.state.metrics import MetricDefinitions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd_agent.runs.state.writer_state import WriterState

#: Field numbers of the telemetry message. A server takes a run as existing (for resume) only
#: when its config holds telemetry.
_TELEMETRY_PYTHON_VERSION = "4"
_TELEMETRY_CLI_VERSION = "5"


def upstream_config(writers: Mapping[str, WriterState]) -> dict[str, Any]:
    """Return ``{"key": {"value": …}, "_wandb": {"value": …}}`` for a run.

    Args:
        writers: states by writer id (a name that stays with the writer, such as its producer
            in hex), in the order in which their values count; must not be empty.
    """
    merged: tree.Tree = {}
    for state in writers.values():
        tree.merge_all(merged, state.config)
    reserved: dict[str, Any] = {}
    if isinstance(own := merged.pop(RESERVED, None), dict):
        reserved.update(cast("tree.Tree", own))
    first = next(iter(writers.values())).start
    metrics = MetricDefinitions()
    metrics.absorb(state.metrics for state in writers.values())
    reserved |= {
        "cli_version": first.sdk_version,
        "python_version": first.python_version,
        "t": {
            _TELEMETRY_PYTHON_VERSION: first.python_version,
            _TELEMETRY_CLI_VERSION: first.sdk_version,
        },
        "m": metrics.upstream(),
        "e": {
            writer_id: environment
            for writer_id, state in writers.items()
            if (environment := environment_of(state, writer_id))
        },
    }
    config: dict[str, Any] = {key: {"value": value} for key, value in merged.items()}
    config[RESERVED] = {"value": reserved}
    return config
