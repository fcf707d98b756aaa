"""What happened to devices while a run was recorded: marked lines among its system metrics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trackd_proto.wandb_http import EVENT_NAME, EVENT_TEXT, EVENTS_FILE, SYSTEM_PREFIX
from trackd_server.domain import chunks, merge, run_records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

#: How much of the metrics of all writers is looked through for the last events.
MAX_SEEN_BYTES = 32 * 1024 * 1024
#: Found in every line of an event and, escaped, in no other.
_MARK = f'"{EVENT_NAME}"'.encode()


@dataclass(frozen=True)
class Happening:
    """One event, as the run's document shows it."""

    timestamp: float  # seconds since 1970
    runtime: float  # seconds since the run began
    name: str  # what kind of thing: xid, oom_kill, …
    text: str  # one sentence for people
    key: str  # with the writer's label, without `system.`
    value: float | None


def of_run(connection: Connection, run_id: int) -> Iterator[Happening]:
    """Yield a run's events, those of each writer in the order in which they came."""
    for stream in run_records.streams_of(connection, run_id, EVENTS_FILE):
        for chunk in chunks.read_chunks(connection, stream.id):
            for line in chunk.lines:
                if found := of_line(line):
                    yield found


def latest(connection: Connection, run_id: int, count: int) -> list[Happening]:
    """Return a run's last events, oldest first, as far as they are found without long reading."""
    streams = run_records.streams_of(connection, run_id, EVENTS_FILE)
    found = [
        event
        for stream in streams
        for chunk in chunks.newest_chunks(
            connection, stream.id, MAX_SEEN_BYTES // len(streams), _MARK
        )
        for line in chunk.lines
        if (event := of_line(line))
    ]
    found.sort(key=lambda event: event.timestamp)
    return found[-count:]


def of_line(line: bytes) -> Happening | None:
    """Return the event that a line of the events file tells; None: it is none, or damaged."""
    if _MARK not in line:
        return None
    content = merge.loads(line)
    name = content.get(EVENT_NAME)
    if not isinstance(name, str):
        return None
    key = next((key for key in content if key.startswith(SYSTEM_PREFIX)), "")
    return Happening(
        timestamp=_number(content.get("_timestamp")) or 0.0,
        runtime=_number(content.get("_runtime")) or 0.0,
        name=name,
        text=str(content.get(EVENT_TEXT, "")),
        key=key.removeprefix(SYSTEM_PREFIX),
        value=_number(content.get(key)),
    )


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None
