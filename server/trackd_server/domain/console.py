"""Console lines: parsed when read. Both forms clients send are understood."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackd_proto.wandb_http import CONSOLE_FILE
from trackd_server.domain import chunks, merge, run_records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

#: `ERROR 2026-11-21T02:06:14.536033 text`, from clients that were not told of the JSON form.
_TEXT_FORM = re.compile(
    r"(?P<level>ERROR )?(?P<ts>\d{4}-\d\d-\d\dT[\d:.]+Z?) (?P<content>.*)", re.S
)
#: Longer cursors are not ours.
MAX_CURSOR_CHARS = 40


@dataclass(frozen=True)
class ConsoleLine:
    """One line of a run's console; `number` counts through all writers."""

    number: int
    cursor: str
    timestamp: str | None
    level: str | None
    label: str | None
    text: str


@dataclass(frozen=True)
class ConsolePage:
    """Some lines and whether there are more."""

    lines: list[ConsoleLine]
    has_more: bool


def parse(line: str) -> tuple[str | None, str | None, str | None, str]:
    """Return (timestamp, level, label, text) of a line as a client sent it."""
    if line.startswith("{"):
        entry = merge.loads(line)
        if isinstance(content := entry.get("content"), str):
            said = (entry.get(key) for key in ("ts", "level", "label"))
            timestamp, level, label = (each if isinstance(each, str) else None for each in said)
            return timestamp, level, label, content.rstrip("\n")
    if found := _TEXT_FORM.fullmatch(line):
        return found["ts"], "error" if found["level"] else None, None, found["content"].rstrip("\n")
    return None, None, None, line.rstrip("\n")


def lines_after(connection: Connection, run_id: int, cursor: str | None) -> Iterator[ConsoleLine]:
    """Yield the lines behind a cursor (`<writer's place>:<line>`), writer by writer."""
    place, line = _place(cursor)
    before = 0
    for index, stream in enumerate(run_records.streams_of(connection, run_id, CONSOLE_FILE)):
        if index >= place:
            first = line + 1 if index == place else 0
            for chunk in chunks.read_chunks(connection, stream.id, first):
                for number, raw in enumerate(chunk.lines, chunk.first_line):
                    yield _line(before + number, f"{index}:{number}", stream.label, raw)
        before += stream.next_line


def page(connection: Connection, run_id: int, first: int, after: str | None) -> ConsolePage:
    """Return up to `first` lines behind a cursor."""
    lines: list[ConsoleLine] = []
    for line in lines_after(connection, run_id, after):
        if len(lines) >= first:
            return ConsolePage(lines, has_more=True)
        lines.append(line)
    return ConsolePage(lines, has_more=False)


def tail(connection: Connection, run_id: int, count: int) -> list[ConsoleLine]:
    """Return the last lines of the console."""
    lines: list[ConsoleLine] = []
    before = 0
    for index, stream in enumerate(run_records.streams_of(connection, run_id, CONSOLE_FILE)):
        last = chunks.last_lines(connection, stream.id, count)
        lines += [
            _line(before + number, f"{index}:{number}", stream.label, raw)
            for number, raw in enumerate(last.lines, last.first_line)
        ]
        before += stream.next_line
    return sorted(lines, key=lambda line: line.timestamp or "")[-count:] if count > 0 else []


def _line(number: int, cursor: str, stream_label: str, raw: bytes) -> ConsoleLine:
    timestamp, level, label, text = parse(raw.decode("utf-8", "replace"))
    return ConsoleLine(number, cursor, timestamp, level, label or stream_label or None, text)


def _place(cursor: str | None) -> tuple[int, int]:
    if not cursor:
        return 0, -1
    place, _, line = cursor.partition(":")
    if not (place.isdecimal() and line.isdecimal() and len(cursor) <= MAX_CURSOR_CHARS):
        return 0, -1
    return int(place), int(line)
