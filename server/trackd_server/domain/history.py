"""Reading history and system metrics: whole, sampled, by step. Rows stay the text they came as."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import msgspec

from trackd_proto.wandb_http import EVENTS_FILE, HISTORY_FILE
from trackd_server.domain import chunks, merge, run_records
from trackd_server.domain.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

#: Samples when a reader names no number, and the most it gets.
DEFAULT_SAMPLES = 500
MAX_SAMPLES = 1_000_000
#: What one answer with all rows between two steps may hold.
MAX_ANSWER_BYTES = 256 * 1024 * 1024
#: Writers of which system metrics are sampled, and samples of one.
MAX_CHARTED_WRITERS = 64
MAX_LINES_CHARTED = 240
#: Beyond every step.
MAX_STEP = 1 << 60


class Spec(msgspec.Struct):
    """Which rows a reader wants: those that have all `keys`, sampled, or all of some steps."""

    keys: list[str] | None = None
    samples: int | None = None
    minStep: float | None = None
    maxStep: float | None = None


def rows_between(connection: Connection, run_id: int, steps: range) -> list[tuple[int, bytes]]:
    """Return all writers' rows with `_step` in `steps`, by step; at one step by writer."""
    found: list[tuple[int, bytes]] = []
    size = 0
    for stream in run_records.streams_of(connection, run_id, HISTORY_FILE):
        for chunk in chunks.read_chunks(connection, stream.id, steps=steps):
            for number, line in enumerate(chunk.lines, chunk.first_line):
                step = chunks.step_of(line, number)
                if steps.start <= step < steps.stop:
                    found.append((step, line))
                    size += len(line)
            if size > MAX_ANSWER_BYTES:
                raise InvalidRequest(
                    f"These steps hold more than {MAX_ANSWER_BYTES} bytes: ask for fewer at once."
                )
    found.sort(key=lambda row: row[0])
    return found


def sampled(connection: Connection, run_id: int, file: str, samples: int | None) -> list[str]:
    """Return at most `samples` lines of a file, evenly spread, first and last among them."""
    wanted = min(max(samples or DEFAULT_SAMPLES, 1), MAX_SAMPLES)
    total = sum(s.next_line for s in run_records.streams_of(connection, run_id, file))
    every = max(1, -(-total // wanted))
    kept: list[tuple[int, bytes]] = []
    position, last = 0, 0  # of the next line; of the last one that was kept
    chunk: chunks.Chunk | None = None
    for chunk in _all_chunks(connection, run_id, file):
        for place in range(-position % every, len(chunk.lines), every):
            kept.append(_numbered(chunk, place))
            last = position + place
        position += len(chunk.lines)
    if chunk is not None and last != position - 1:
        # The last row is the one people look for: it takes the place of its neighbour.
        at = -1 if len(kept) >= wanted else len(kept)
        kept[at:] = [_numbered(chunk, len(chunk.lines) - 1)]
    if file == HISTORY_FILE:
        kept.sort(key=lambda row: row[0])
    return [line.decode() for _, line in kept]


def sampled_objects(connection: Connection, run_id: int, spec: Spec) -> list[dict[str, Any]]:
    """Return rows that have all of `spec.keys`, with these keys only; NaN becomes its name.

    `minStep` and `maxStep` are both inclusive here; without them all rows are sampled.
    """
    keys = spec.keys or []
    if spec.minStep is not None or spec.maxStep is not None:
        steps = range(_step(spec.minStep, 0), _step(spec.maxStep, MAX_STEP) + 1)
        lines = [line for _, line in rows_between(connection, run_id, steps)]
        return [row for row in (_picked(line, keys) for line in lines) if row is not None]
    wanted = min(max(spec.samples or DEFAULT_SAMPLES, 1), MAX_SAMPLES)
    # Rows are only looked at as text to count them, and parsed if they are chosen.
    every = max(1, -(-sum(1 for _ in _candidates(connection, run_id, keys)) // wanted))
    rows: list[tuple[int, dict[str, Any]]] = []
    for chunk, place in islice(_candidates(connection, run_id, keys), 0, None, every):
        if (row := _picked(chunk.lines[place], keys)) is not None:
            rows.append((_numbered(chunk, place)[0], row))
    rows.sort(key=lambda row: row[0])
    return [row for _, row in rows]


def _step(bound: float | None, otherwise: int) -> int:
    return otherwise if bound is None else int(max(-1.0, min(bound, float(MAX_STEP))))


def _candidates(
    connection: Connection, run_id: int, keys: list[str]
) -> Iterator[tuple[chunks.Chunk, int]]:
    """Yield where the rows lie that may have all keys, told by their text."""
    # A dotted key may be one name or lead into nested values: its end is followed by a quote.
    # JSON may write other characters in several ways.
    ends = [key.rpartition(".")[2] for key in keys]
    needles = [f'{end}"'.encode() for end in ends if end.replace("_", "").isalnum()]
    needles = [needle for needle in needles if needle.isascii()]
    for chunk in _all_chunks(connection, run_id, HISTORY_FILE):
        for place, line in enumerate(chunk.lines):
            if all(needle in line for needle in needles):
                yield chunk, place


def last_step(connection: Connection, run_id: int) -> int:
    """Return the highest `_step` of a run, -1 without history."""
    ranges = [
        chunks.step_range(connection, stream.id) or (0, stream.next_line - 1)
        for stream in run_records.streams_of(connection, run_id, HISTORY_FILE)
    ]
    return max((last for _, last in ranges), default=-1)


def history_keys(connection: Connection, run_id: int) -> dict[str, Any]:
    """Return which keys a run logs and their last values, from its last rows, and its last step.

    Nested values are keys of their own, with dots; of media and lists there is no last value.
    """
    counts: dict[str, dict[str, int]] = {}
    latest: dict[str, tuple[int, Any]] = {}
    for stream in run_records.streams_of(connection, run_id, HISTORY_FILE):
        tail = chunks.last_lines(connection, stream.id, 100)
        for place, line in enumerate(tail.lines):
            step, _ = _numbered(tail, place)
            for key, value in _leaves(merge.loads(line)):
                kinds = counts.setdefault(key, {})
                kinds[_kind(value)] = kinds.get(_kind(value), 0) + 1
                if key not in latest or step >= latest[key][0]:
                    latest[key] = step, value
    keys: dict[str, dict[str, Any]] = {
        key: {"typeCounts": [{"type": kind, "count": count} for kind, count in kinds.items()]}
        for key, kinds in counts.items()
    }
    for key, (_, value) in latest.items():
        if isinstance(value, str | int | float):
            keys[key]["previousValue"] = merge.strict(value)
    return {"keys": keys, "lastStep": last_step(connection, run_id), "sets": []}


def _leaves(row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield a row's values with their dotted keys; media are values, not rows."""
    waiting = [("", row)]
    while waiting:
        above, inner = waiting.pop()
        for key, value in inner.items():
            if isinstance(value, dict) and value and "_type" not in value:
                waiting.append((f"{above}{key}.", cast("dict[str, Any]", value)))
            else:
                yield above + key, value


def latest_system_metrics(connection: Connection, run_id: int) -> dict[str, Any]:
    """Return the last value of every system metric, over all writers."""
    values: dict[str, Any] = {}
    for stream in run_records.streams_of(connection, run_id, EVENTS_FILE):
        for line in chunks.last_lines(connection, stream.id, 20).lines:
            values |= merge.loads(line)
    return values


def sampled_system_metrics(
    connection: Connection, run_id: int, lines: int
) -> Iterator[dict[str, Any]]:
    """Yield samples of system metrics, about `lines` of all writers together, evenly spread."""
    streams = run_records.streams_of(connection, run_id, EVENTS_FILE)[:MAX_CHARTED_WRITERS]
    of_each = max(2, min(MAX_LINES_CHARTED, lines // max(1, len(streams))))
    for stream in streams:
        for line in chunks.sampled_lines(connection, stream.id, stream.next_line, of_each):
            yield merge.loads(line)


def last_rows(connection: Connection, run_id: int, count: int) -> list[dict[str, Any]]:
    """Return the last rows of each writer, with its label."""
    rows: list[dict[str, Any]] = []
    for stream in run_records.streams_of(connection, run_id, HISTORY_FILE):
        label = {"_label": stream.label} if stream.label else {}
        tail = chunks.last_lines(connection, stream.id, count)
        rows += [label | merge.loads(line) for line in tail.lines]
    return sorted(rows, key=lambda row: (_number(row, "_timestamp"), _number(row, "_step")))[
        -count:
    ]


def _number(row: dict[str, Any], key: str) -> float:
    value = row.get(key)
    return value if isinstance(value, int | float) else 0


def _all_chunks(connection: Connection, run_id: int, file: str) -> Iterator[chunks.Chunk]:
    for stream in run_records.streams_of(connection, run_id, file):
        yield from chunks.read_chunks(connection, stream.id)


def _numbered(chunk: chunks.Chunk, place: int) -> tuple[int, bytes]:
    """Return a line of a chunk with its step."""
    line = chunk.lines[place]
    return chunks.step_of(line, chunk.first_line + place), line


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
