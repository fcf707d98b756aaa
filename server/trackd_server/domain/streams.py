"""Taking in `file_stream` requests: idempotent by line number, acknowledged after commit."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from sqlalchemy import bindparam, select, update

from trackd_proto.wandb_http import (
    CONSOLE_FILE,
    EVENTS_FILE,
    HISTORY_FILE,
    SUMMARY_FILE,
)
from trackd_server.domain import chunks, names, run_records
from trackd_server.domain.errors import InvalidRequest
from trackd_server.domain.run_records import MAX_LABEL_CHARS
from trackd_server.store.tables import runs, streams, writers

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from trackd_server.domain.run_records import Client, RunPath
    from trackd_server.store import Database

#: Highest line number: GraphQL tells clients the count of lines as a 32-bit number.
MAX_LINE_NUMBER = (1 << 31) - 1
#: Exit codes beyond 32 bits are no exit codes.
MAX_EXIT_CODE = (1 << 32) - 1


class StreamFile(msgspec.Struct):
    """One file's part of a request: lines from number `offset` on."""

    offset: int = 0
    content: list[str] | str = msgspec.field(default_factory=list[str])


class StreamRequest(msgspec.Struct):
    """One request; `{}` is a heartbeat."""

    files: dict[str, StreamFile] | None = None
    preempting: bool | None = None
    complete: bool | None = None
    exitcode: Annotated[int, msgspec.Meta(ge=-MAX_EXIT_CODE, le=MAX_EXIT_CODE)] | None = None


# Statements are made once: making them takes as long as running them.
_stream_by_file = select(streams).where(
    streams.c.writer_id == bindparam("of_writer"), streams.c.file == bindparam("called")
)
_extend_stream = (
    update(streams)
    .where(streams.c.id == bindparam("of"))
    .values(next_line=bindparam("next_line"), bytes=bindparam("bytes"))
)
_replace_summary = (
    update(writers)
    .where(writers.c.id == bindparam("of"))
    .values(summary=bindparam("summary"), summary_at=bindparam("summary_at"))
)


@dataclass(frozen=True)
class StreamAnswer:
    """What the client learns: its run's exit code so far, and whether it is to stop."""

    exit_code: int | None
    stopped: bool


#: `{"ts": .., "label": "rank_1", ..}` in console lines, `"system.cpu/l:rank_1":` in events.
_LABEL = re.compile(rb'"label":\s*"((?:[^"\\]|\\.)*)"|"system\.[^"]*/l:([^"\\]*)":')

_decoder = msgspec.json.Decoder(StreamRequest)


def parse(body: bytes) -> StreamRequest:
    """Decode a request; NaN and lone surrogates are taken, other nonsense is refused."""
    try:
        return _decoder.decode(body or b"{}")
    except (ValueError, RecursionError):
        try:
            return msgspec.convert(json.loads(body), StreamRequest)
        except (ValueError, RecursionError) as error:
            raise InvalidRequest(f"The body is no file_stream request: {error}") from error


class Streams:
    """The intake of all runs' lines."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def accept(self, path: RunPath, client: Client, request: StreamRequest) -> StreamAnswer:
        """Store a request of a writer; when this returns, it is committed.

        An unknown run is made, a finished one takes late data: refusing would make the client
        give up on everything it still has.
        """
        packed = _pack(request)
        now = time.time()
        with self._database.write() as connection:
            run = run_records.find(connection, path) or run_records.create(connection, path, now)
            writer = replace(client, label=client.label or _label_in(client, packed))
            writer_id, _ = run_records.ensure_writer(connection, run.id, writer)
            for file, chunk in packed.items():
                if file == SUMMARY_FILE:
                    _store_summary(connection, writer_id, chunk)
                else:
                    _store_lines(connection, writer_id, file, chunk)
            values = _next_state(run, client, request, now)
            connection.execute(update(runs).where(runs.c.id == run.id).values(**values))
            exit_code = values.get("exit_code", run.exit_code)
            return StreamAnswer(exit_code, bool(run.stop_requested))


def _label_in(client: Client, packed: dict[str, chunks.Chunk]) -> str:
    """Return the label that a shared-mode client of W&B puts into its lines, not into a header."""
    for file in (CONSOLE_FILE, EVENTS_FILE) if client.id else ():
        lines = packed[file].lines[-1:] if file in packed else []
        for line in lines:
            if found := _LABEL.search(line):
                with suppress(ValueError):
                    label = str(json.loads(b'"' + found[found.lastindex or 1] + b'"'))
                    return label.encode(errors="replace").decode()[:MAX_LABEL_CHARS]
    return ""


def _pack(request: StreamRequest) -> dict[str, chunks.Chunk]:
    packed: dict[str, chunks.Chunk] = {}
    for file, part in (request.files or {}).items():
        lines = [part.content] if isinstance(part.content, str) else part.content
        if not 0 <= part.offset <= MAX_LINE_NUMBER - len(lines):
            raise InvalidRequest(
                f"Invalid offset {part.offset} of {file[:100]!r}: "
                f"line numbers go from 0 to {MAX_LINE_NUMBER}."
            )
        packed[names.file_name(file)] = chunks.Chunk(part.offset, chunks.pack(lines))
    return packed


def _store_lines(connection: Connection, writer_id: int, file: str, chunk: chunks.Chunk) -> None:
    if not chunk.lines:
        return
    stream = _ensure_stream(connection, writer_id, file)
    has_steps = file == HISTORY_FILE
    grown = chunks.write_lines(connection, stream.id, chunk, stream.next_line, has_steps=has_steps)
    size = stream.bytes + grown
    grown_to = max(stream.next_line, chunk.end_line)
    connection.execute(_extend_stream, {"of": stream.id, "next_line": grown_to, "bytes": size})


def _store_summary(connection: Connection, writer_id: int, chunk: chunks.Chunk) -> None:
    """Keep the last of the lines: each is a whole summary of its writer."""
    if not chunk.lines:
        return
    said = {"of": writer_id, "summary": chunk.lines[-1].decode(), "summary_at": time.time()}
    connection.execute(_replace_summary, said)


def _ensure_stream(connection: Connection, writer_id: int, file: str) -> Row[Any]:
    where = {"of_writer": writer_id, "called": file}
    found = connection.execute(_stream_by_file, where).one_or_none()
    if found is not None:
        return found
    connection.execute(streams.insert(), {"writer_id": writer_id, "file": file})
    return connection.execute(_stream_by_file, where).one()


def _next_state(
    run: Row[Any], client: Client, request: StreamRequest, now: float
) -> dict[str, Any]:
    """Return the columns of the run that a request changes."""
    values: dict[str, Any] = {"heartbeat_at": now}
    if request.complete:
        code = request.exitcode or 0
        if client.id and code == 0 and run.state == "failed":
            code = run.exit_code or 0  # one of several processes failed: so did the run
        values |= {
            "state": "finished" if code == 0 else "failed",
            "exit_code": code,
            "finished_at": now,
        }
    elif request.preempting:
        values |= {"state": "preempting", "preempted": 1}
    elif run.state in ("preempting", "crashed"):
        values["state"] = "running"
    return values
