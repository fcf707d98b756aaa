"""Forked runs: the history up to the branch point is part of the new run.

A client that forks a run says so in its config alone (`_wandb.branch_point`) and begins its own
lines at number 0, so what it inherits lies beside them, in streams of writers of its own kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import update

from trackd_proto.wandb_http import HISTORY_FILE
from trackd_server.domain import chunks, merge, names, run_records
from trackd_server.domain.run_records import Client, RunPath
from trackd_server.store.tables import streams

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

#: Begins the client ids of writers that stand for another run's.
INHERITED = "inherited:"
#: Steps have up to 18 digits.
MAX_STEP = 10**18


def inherit(connection: Connection, run: Row[Any], config: str | None) -> None:
    """Give a new run the history of the run that it was forked from, if it was."""
    point: object = merge.internal(merge.loads(config)).get("branch_point")
    if not isinstance(point, dict):
        return
    branch = cast("dict[str, object]", point)
    name, step = branch.get("run_id"), branch.get("step")
    if not isinstance(name, str) or name != names.printable(name) or name == run.name:
        return  # a run that was rewound names itself
    if not isinstance(step, int | float) or not 0 <= step <= MAX_STEP:
        return
    parent = run_records.find(connection, RunPath(run.entity, run.project, name))
    if parent is None:
        return
    for stream in run_records.streams_of(connection, parent.id, HISTORY_FILE):
        _copy(connection, stream, run.id, int(step))


def _copy(connection: Connection, source: Row[Any], run_id: int, last_step: int) -> None:
    """Copy the rows of one stream up to a step into a writer of their own."""
    client = Client(f"{INHERITED}{source.client_id}", source.label)
    writer_id, _ = run_records.ensure_writer(connection, run_id, client)
    row = {"writer_id": writer_id, "file": HISTORY_FILE}
    key: Any = connection.execute(streams.insert(), row).inserted_primary_key
    stream_id = int(key[0])
    lines, size, at = 0, 0, 0
    steps = range(last_step + 1)
    # One chunk at a time: a history may be large, and what is read is not written under it.
    while part := next(chunks.read_chunks(connection, source.id, at, steps=steps), None):
        at = part.end_line
        kept = [
            line
            for number, line in enumerate(part.lines, part.first_line)
            if chunks.step_of(line, number) <= last_step
        ]
        piece = chunks.Chunk(lines, kept)
        size += chunks.write_lines(connection, stream_id, piece, lines, has_steps=True)
        lines = piece.end_line
    connection.execute(
        update(streams).where(streams.c.id == stream_id).values(next_line=lines, bytes=size)
    )
