"""Lines of `wandb-events.jsonl`: samples of the system monitor, and what happened to devices.

Form: `_wandb`, `_timestamp` (seconds since 1970), `_runtime` (seconds since the run began, earlier
attempts included) and `system.<key>` with the writer's label behind it, as `wandb` 0.31 writes
it. A line about something that happened also has our `_event` and `_text`, which other servers
ignore; their charts show its key (`system.gpu.0.xid` = 79) as a point.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trackd_proto.wandb_http import EVENT_NAME, EVENT_TEXT, LABEL_SEPARATOR, SYSTEM_PREFIX

if TYPE_CHECKING:
    from trackd_proto.records import Event, Start, Stats


def sample(record: Stats, start: Start) -> dict[str, Any]:
    """Return the content of the line of a sample."""
    suffix = _suffix(start)
    values = {f"{SYSTEM_PREFIX}{key}{suffix}": value for key, value in record.values.items()}
    return {**values, **_times(record.time_s, start)}


def event(record: Event, start: Start) -> dict[str, Any]:
    """Return the content of the line of an event."""
    return {
        f"{SYSTEM_PREFIX}{record.key}{_suffix(start)}": record.value,
        EVENT_NAME: record.name,
        EVENT_TEXT: record.text,
        **_times(record.time_s, start),
    }


def described(line: str) -> dict[str, Any] | None:
    """Return the event of a line as the run's document shows it; None: it is a sample."""
    content: dict[str, Any] = json.loads(line)
    if EVENT_NAME not in content:
        return None
    key = next((key for key in content if key.startswith(SYSTEM_PREFIX)), "")
    return {
        "timestamp": content["_timestamp"],
        "runtime": content["_runtime"],
        "name": content[EVENT_NAME],
        "text": content[EVENT_TEXT],
        "key": key.removeprefix(SYSTEM_PREFIX),
        "value": content.get(key),
    }


def _suffix(start: Start) -> str:
    return f"{LABEL_SEPARATOR}{start.label}" if start.label else ""


def _times(time_s: float, start: Start) -> dict[str, Any]:
    runtime_s = time_s - start.time_s + start.earlier_runtime_s
    return {"_wandb": True, "_timestamp": time_s, "_runtime": runtime_s}
