"""The environment of one writer: what it told of its process, and what the agent found out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trackd_agent.runs.state.writer_state import WriterState
    from trackd_proto.records import Start, Value


def wants_environment(start: Start) -> bool:
    """Return whether a writer's environment is to be kept."""
    unwanted = start.settings.get("x_disable_meta") or start.settings.get("x_disable_machine_info")
    return start.primary and bool(start.environment) and not unwanted


def environment_of(state: WriterState, writer_id: str) -> dict[str, Any]:
    """Return what is known of a writer's process and machine; nothing where nobody wants it.

    The agent's word counts more than what the process saw by itself, and settings more than
    both.
    """
    start = state.start
    if not wants_environment(start):
        return {}
    started = datetime.fromtimestamp(start.time_s, UTC).isoformat().replace("+00:00", "Z")
    return {
        **start.environment,
        **state.found,
        **_overrides(start.settings),
        "startedAt": started,
        "writerId": writer_id,
    }


def _overrides(settings: Mapping[str, Value]) -> dict[str, Any]:
    """Return what settings say about the hardware: counts above 0, and a kind of GPU."""
    wanted: dict[str, tuple[str, Callable[[object], bool]]] = {
        "cpu_count": ("x_stats_cpu_count", _is_count),
        "cpu_count_logical": ("x_stats_cpu_logical_count", _is_count),
        "gpu_count": ("x_stats_gpu_count", _is_count),
        "gpu": ("x_stats_gpu_type", lambda value: isinstance(value, str) and value != ""),
    }
    return {
        name: settings[setting]
        for name, (setting, is_given) in wanted.items()
        if is_given(settings.get(setting))
    }


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
