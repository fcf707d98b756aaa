"""Reading history and system metrics: whole, sampled, by step. Rows stay the text they came as."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trackd_proto.wandb_http import EVENTS_FILE, HISTORY_FILE
from trackd_server.domain import chunks, merge, run_records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

#: Samples when a reader names no number, and the most it gets.
DEFAULT_SAMPLES = 500
MAX_SAMPLES = 10_000_000


def rows_between(connection: Connection, run_id: int, steps: range) -> list[tuple[int, bytes]]:
    """Return all writers' rows with `_step` in `steps`, by step; at one step by writer."""
    found: list[tuple[int, bytes]] = []
    for stream in run_records.streams_of(connection, run_id, HISTORY_FILE):
        for chunk in chunks.read_chunks(connection, stream.id, steps=steps):
            for number, line in enumerate(chunk.lines, chunk.first_line):
                step = chunks.step_of(line, number)
                if steps.start <= step < steps.stop:
                    found.append((step, line))
    found.sort(key=lambda row: row[0])
    return found


def sampled(connection: Connection, run_id: int, file: str, samples: int | None) -> list[str]:
    """Return at most `samples` lines of a file, evenly spread, first and last among them."""
    wanted = min(max(samples or DEFAULT_SAMPLES, 1), MAX_SAMPLES)
    total = sum(s.next_line for s in run_records.streams_of(connection, run_id, file))
    every = max(1, -(-total // wanted))
    kept: list[tuple[int, bytes]] = []
    last: tuple[int, bytes] | None = None
    for position, (step, line) in enumerate(_all_rows(connection, run_id, file)):
        last = (step, line)
        if position % every == 0:
            kept.append(last)
    if last is not None and kept[-1] is not last:
        # The last row is the one people look for: it takes the place of its neighbour.
        kept[-1 if len(kept) >= wanted > 1 else len(kept) :] = [last]
    if file == HISTORY_FILE:
        kept.sort(key=lambda row: row[0])
    return [line.decode() for _, line in kept]


def sampled_objects(
    connection: Connection, run_id: int, spec: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return rows that have all of `spec.keys`, with these keys only; NaN becomes its name.

    `minStep` and `maxStep` are both inclusive here; without them all rows are sampled.
    """
    keys: list[str] = list(spec.get("keys") or [])
    if "minStep" in spec or "maxStep" in spec:
        first, last = int(spec.get("minStep") or 0), int(spec.get("maxStep", 1 << 60))
        lines = [line for _, line in rows_between(connection, run_id, range(first, last + 1))]
        return [row for row in (_picked(line, keys) for line in lines) if row is not None]
    wanted = min(max(int(spec.get("samples") or DEFAULT_SAMPLES), 1), MAX_SAMPLES)
    rows = [
        (step, row)
        for step, line in _all_rows(connection, run_id, HISTORY_FILE)
        if (row := _picked(line, keys)) is not None
    ]
    rows.sort(key=lambda row: row[0])
    every = max(1, -(-len(rows) // wanted))
    return [row for _, row in rows[::every]]


def last_step(connection: Connection, run_id: int) -> int:
    """Return the highest `_step` of a run, -1 without history."""
    ranges = [
        chunks.step_range(connection, stream.id) or (0, stream.next_line - 1)
        for stream in run_records.streams_of(connection, run_id, HISTORY_FILE)
    ]
    return max((last for _, last in ranges), default=-1)


def history_keys(connection: Connection, run_id: int) -> dict[str, Any]:
    """Return which keys a run logs, from its last rows, and its last step."""
    counts: dict[str, dict[str, int]] = {}
    for stream in run_records.streams_of(connection, run_id, HISTORY_FILE):
        for line in chunks.last_lines(connection, stream.id, 100).lines:
            for key, value in merge.loads(line).items():
                kinds = counts.setdefault(key, {})
                kinds[_kind(value)] = kinds.get(_kind(value), 0) + 1
    keys = {
        key: {"typeCounts": [{"type": kind, "count": count} for kind, count in kinds.items()]}
        for key, kinds in counts.items()
    }
    return {"keys": keys, "lastStep": last_step(connection, run_id), "sets": []}


def latest_system_metrics(connection: Connection, run_id: int) -> dict[str, Any]:
    """Return the last value of every system metric, over all writers."""
    values: dict[str, Any] = {}
    for stream in run_records.streams_of(connection, run_id, EVENTS_FILE):
        for line in chunks.last_lines(connection, stream.id, 20).lines:
            values |= merge.loads(line)
    return values


def last_rows(connection: Connection, run_id: int, count: int) -> list[dict[str, Any]]:
    """Return the last rows of each writer, with its label."""
    rows: list[dict[str, Any]] = []
    for stream in run_records.streams_of(connection, run_id, HISTORY_FILE):
        label = {"_label": stream.label} if stream.label else {}
        tail = chunks.last_lines(connection, stream.id, count)
        rows += [label | merge.loads(line) for line in tail.lines]
    return sorted(rows, key=lambda row: (row.get("_timestamp") or 0, row.get("_step") or 0))[
        -count:
    ]


def _all_rows(connection: Connection, run_id: int, file: str) -> Iterator[tuple[int, bytes]]:
    for stream in run_records.streams_of(connection, run_id, file):
        for chunk in chunks.read_chunks(connection, stream.id):
            for number, line in enumerate(chunk.lines, chunk.first_line):
                yield chunks.step_of(line, number), line


def _picked(line: bytes, keys: list[str]) -> dict[str, Any] | None:
    row = merge.loads(line)
    if not keys:
        return merge.strict(row)
    values = {key: _at(row, key) for key in keys}
    if any(value is None for value in values.values()):
        return None
    return merge.strict(values)


def _at(row: dict[str, Any], key: str) -> Any:
    """Return the value of a key, or of a dotted path into nested values."""
    if key in row:
        return row[key]
    value: Any = row
    for part in key.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return value  # pyright: ignore[reportUnknownVariableType]


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, dict):
        tagged = value.get("_type")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        return tagged if isinstance(tagged, str) else "map"
    return {str: "string", list: "list"}.get(type(value), "nil")  # pyright: ignore[reportUnknownArgumentType]


def dumps(value: Any) -> str:
    """Return JSON text as W&B clients read it: NaN and infinities as bare tokens."""
    return json.dumps(value, separators=(",", ":"))
