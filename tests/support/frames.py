"""Frames for tests: what a writer would have stored, without a writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd_proto import records
from trackd_proto.frames import Frame, encode_frame, encode_segment_header
from trackd_proto.layout import segment_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import msgspec

    from trackd_agent.runs.state.writer_state import WriterState

KINDS = {type_: kind for kind, type_ in records.RECORD_TYPES.items()}


def start(**changes: Any) -> records.Start:
    facts: dict[str, Any] = {
        "run_id": "r1",
        "project": "p",
        "entity": "",
        "label": "",
        "mode": "offline",
        "run_dir": "/nowhere",
        "time_s": 1000.0,
        "pid": 1,
        "sdk_version": "0.1.0",
        "python_version": "3.11.0",
        "host": "h",
        "program": "main.py",
    }
    facts["environment"] = {"program": facts["program"]} if changes.get("primary", True) else {}
    return records.Start(**{**facts, **changes})


def row(data: dict[str, Any], step: int | None = None, commit: bool | None = None) -> records.Row:
    return records.Row(1001.0, 1.5, data, step, commit)


def frame(record: msgspec.Struct, seq: int = 1) -> Frame:
    return Frame(KINDS[type(record)], 0, seq, memoryview(records.encode(record)))


def bad_frame(kind: int, payload: bytes) -> Frame:
    return Frame(kind, 0, 1, memoryview(payload))


def apply(state: WriterState, *given: msgspec.Struct) -> None:
    for record in given:
        state.apply(frame(record))


def write_segment(
    folder: Path,
    producer: int,
    given: Iterable[msgspec.Struct],
    first: int = 1,
    run_hash: int = 1,
) -> None:
    """Write records as one segment file, numbered from `first`."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = [
        encode_frame(KINDS[type(record)], producer, seq, records.encode(record))
        for seq, record in enumerate(given, first)
    ]
    header = encode_segment_header(run_hash, producer, first, 0)
    (folder / segment_name(first)).write_bytes(header + b"".join(frames))
