"""The run document: everything of a run as one JSON text, made piece by piece.

Form: `conformance/README.md`, and more keys: `environments`, what is known of processes and
machines by writer, `events`, what happened to devices, and in the form of `history` `system`, the
rows of system metrics, and `late_rows`, rows that came when their step was over.
A million rows pass through in chunks; only one is in memory.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec

from trackd_proto.wandb_http import EVENTS_FILE, HISTORY_FILE, OWN_FILES
from trackd_server.domain import chunks, console, files, happenings, merge, run_records, runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection, Row

    from trackd_server.domain.files import Files
    from trackd_server.domain.runs import RunView

#: JSON files up to this size carry their content.
MAX_INLINE_BYTES = 64 * 1024

_objects_decoder = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


def pieces(connection: Connection, run: RunView, store: Files) -> Iterator[bytes]:
    """Yield the document's text."""
    config = run.config
    head = {
        "run": _facts(run),
        "config": merge.plain_config(config),
        "summary": merge.plain_summary(run.summary),
        "metrics": merge.metric_definitions(config),
        "alerts": [
            {"title": a.title, "text": a.text, "level": a.level, "wait_ms": a.wait_ms}
            for a in runs.alerts_of(connection, run.row.id)
        ],
        "artifacts": [],
        "environments": merge.internal(config).get("e") or {},
        "files": _files(connection, run, store),
    }
    yield json.dumps(head).removesuffix("}").encode()
    yield b', "history": ['
    yield from _separated(_rows(connection, run.row.id, HISTORY_FILE))
    yield b'], "late_rows": ['
    late = run_records.late_streams_of(connection, run.row.id)
    yield from _separated(_rows_of(connection, late))
    yield b'], "system": ['
    yield from _separated(_rows(connection, run.row.id, EVENTS_FILE))
    yield b'], "events": ['
    yield from _separated(
        json.dumps(asdict(event)).encode() for event in happenings.of_run(connection, run.row.id)
    )
    yield b'], "console": ['
    yield from _separated(_console(connection, run.row.id))
    yield b"]}\n"


def _facts(run: RunView) -> dict[str, Any]:
    row = run.row
    return {
        "id": row.name,
        "name": row.display_name,
        "project": row.project,
        "group": row.group_name,
        "job_type": row.job_type,
        "tags": run.tags,
        "notes": row.notes,
        "state": run.state,
        "exit_code": row.exit_code,
        "preempting": bool(row.preempted),
    }


def _files(connection: Connection, run: RunView, store: Files) -> list[dict[str, Any]]:
    return [
        _file(row, store)
        for row in files.listing(connection, run.row.id)
        if not is_own_file(row.name)
    ]


def is_own_file(name: str) -> bool:
    """Tell whether clients write this file themselves, about what the document says anyway."""
    if name in OWN_FILES or (name.startswith("diff") and name.endswith(".patch")):
        return True
    base = name.removeprefix("logs/")
    return (
        base.startswith("output")
        and base.endswith(".log")
        and (base != name or base == "output.log" or base.startswith("output_"))
    )


def _file(row: Row[Any], store: Files) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": row.name, "size": row.bytes, "md5": row.md5, "policy": None}
    if row.name.endswith(".json") and row.bytes <= MAX_INLINE_BYTES:
        # Else size and digest say enough: it is no JSON, or was replaced since the snapshot.
        with suppress(ValueError, RecursionError, OSError):
            shown["json"] = json.loads(store.read(row))
    return shown


def _rows(connection: Connection, run_id: int, file: str) -> Iterator[bytes]:
    """Yield all writers' rows of a file."""
    yield from _rows_of(connection, run_records.streams_of(connection, run_id, file))


def _rows_of(connection: Connection, streams: Sequence[Row[Any]]) -> Iterator[bytes]:
    """Yield rows as JSON objects, joined by commas, one chunk at a time."""
    for stream in streams:
        label = f'{{"_label":{json.dumps(stream.label)},'.encode() if stream.label else b"{"
        for chunk in chunks.read_chunks(connection, stream.id):
            lines = _objects(chunk.lines)
            if stream.label:
                lines = [label + line.lstrip()[1:] for line in lines]
            if lines:
                yield b",\n".join(lines)


def _objects(lines: list[bytes]) -> list[bytes]:
    """Return the lines that are JSON objects; a damaged one must not break the document."""
    try:
        _objects_decoder.decode(b"[" + b",".join(lines) + b"]")
    except (msgspec.DecodeError, RecursionError):  # NaN, or damage: look at each
        return [line for line in lines if merge.loads(line)]
    return [line for line in lines if line.strip(b" \t\r\n{}")]


def _console(connection: Connection, run_id: int) -> Iterator[bytes]:
    batch: list[bytes] = []
    for line in console.lines_after(connection, run_id, None):
        batch.append(json.dumps(line.text).encode())
        if len(batch) >= chunks.CHUNK_LINES:
            yield b",\n".join(batch)
            batch = []
    if batch:
        yield b",\n".join(batch)


def _separated(parts: Iterator[bytes]) -> Iterator[bytes]:
    for number, part in enumerate(parts):
        yield b",\n" + part if number else part
