"""Lines of a stream as disjoint chunks: an exact array of lines, written at any offsets.

Writing lines at an offset replaces what stood at those line numbers and touches nothing else, so
a request that is repeated, whole or cut differently, changes nothing. Lines that were never
written are holes: reading skips them. Nothing is parsed here except the `_step` numbers, which
give each chunk its range for reading by step.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, select

from trackd_server.store.tables import chunks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

#: Lines and bytes after which a chunk is full; bounds what reading one page has to split.
CHUNK_LINES = 4_096
CHUNK_BYTES = 1024 * 1024

_STEP = re.compile(rb'"_step":\s*(\d{1,18})')


@dataclass(frozen=True)
class Chunk:
    """Lines `first_line ...` of one stream."""

    first_line: int
    lines: list[bytes]

    @property
    def end_line(self) -> int:
        """Return the number after the last line."""
        return self.first_line + len(self.lines)


def pack(lines: Sequence[str]) -> list[bytes]:
    """Return lines as bytes without line breaks (a raw break in JSON is only white space)."""
    joined = "\n".join(lines)
    if joined.count("\n") != len(lines) - 1:
        joined = "\n".join(line.rstrip("\n").replace("\n", " ") for line in lines)
    return joined.encode("utf-8", "replace").split(b"\n") if lines else []


def write_lines(
    connection: Connection, stream_id: int, chunk: Chunk, next_line: int, *, has_steps: bool
) -> int:
    """Store lines at their numbers; return by how many bytes the stream grew."""
    if not chunk.lines:
        return 0
    freed, kept = 0, list[Chunk]()
    if chunk.first_line < next_line:
        freed, kept = _cut_out(connection, stream_id, chunk.first_line, chunk.end_line)
    rows = [
        _row(stream_id, piece, has_steps=has_steps)
        for whole in (*kept, chunk)
        for piece in _split(whole)
    ]
    connection.execute(chunks.insert(), rows)
    return sum(len(row["content"]) for row in rows) - freed


def truncate(connection: Connection, stream_id: int, next_line: int, *, has_steps: bool) -> int:
    """Drop the lines from `next_line` on; return the bytes freed."""
    freed, kept = _cut_out(connection, stream_id, next_line, 1 << 62)
    rows = [_row(stream_id, piece, has_steps=has_steps) for piece in kept]
    if rows:
        connection.execute(chunks.insert(), rows)
    return freed - sum(len(row["content"]) for row in rows)


def read_chunks(
    connection: Connection, stream_id: int, first_line: int = 0, *, steps: range | None = None
) -> Iterator[Chunk]:
    """Yield the chunks that hold lines from `first_line` on, in order, few in memory at once."""
    query = select(chunks.c.first_line, chunks.c.content).where(
        chunks.c.stream_id == stream_id,
        chunks.c.first_line + chunks.c.line_count > first_line,
    )
    if steps is not None:
        query = query.where(
            func.coalesce(chunks.c.last_step, chunks.c.first_line + chunks.c.line_count)
            >= steps.start,
            func.coalesce(chunks.c.first_step, chunks.c.first_line) < steps.stop,
        )
    result = connection.execution_options(yield_per=4).execute(query.order_by(chunks.c.first_line))
    for start, content in result:
        lines = bytes(content).split(b"\n")
        skip = max(0, first_line - start)
        yield Chunk(start + skip, lines[skip:])


def last_lines(connection: Connection, stream_id: int, count: int) -> Chunk:
    """Return up to `count` of the last lines (holes not counted)."""
    query = (
        select(chunks.c.first_line, chunks.c.content)
        .where(chunks.c.stream_id == stream_id)
        .order_by(chunks.c.first_line.desc())
    )
    lines: list[bytes] = []
    first = 0
    for start, content in connection.execution_options(yield_per=1).execute(query):
        lines = bytes(content).split(b"\n") + lines
        first = start
        if len(lines) >= count:
            break
    skip = max(0, len(lines) - count)
    return Chunk(first + skip, lines[skip:])


def sampled_lines(
    connection: Connection, stream_id: int, next_line: int, count: int
) -> list[bytes]:
    """Return about `count` lines, evenly spread over a stream that ends before `next_line`.

    Costs what it returns: only the chunks that hold these lines are read.
    """
    wanted = sorted({(next_line - 1) * at // max(1, count - 1) for at in range(count)})
    starts = list(
        connection.execute(
            select(chunks.c.first_line)
            .where(chunks.c.stream_id == stream_id)
            .order_by(chunks.c.first_line)
        ).scalars()
    )
    places: dict[int, list[int]] = {}
    for line in wanted:
        if at := bisect.bisect_right(starts, line):
            places.setdefault(starts[at - 1], []).append(line)
    content_of = select(chunks.c.content).where(
        chunks.c.stream_id == stream_id, chunks.c.first_line == bindparam("first")
    )
    found: list[bytes] = []
    for first, lines in places.items():
        content = connection.execute(content_of, {"first": first}).scalar_one()
        held = bytes(content).split(b"\n")
        found += [held[line - first] for line in lines if line - first < len(held)]
    return found


def newest_chunks(
    connection: Connection, stream_id: int, least_bytes: int, needle: bytes
) -> list[Chunk]:
    """Return those of the last chunks that hold a text, in order.

    Looks at the end of the stream, chunk by chunk, until `least_bytes` were seen.
    """
    query = (
        select(chunks.c.first_line, chunks.c.content)
        .where(chunks.c.stream_id == stream_id)
        .order_by(chunks.c.first_line.desc())
    )
    found: list[Chunk] = []
    seen = 0
    for start, content in connection.execution_options(yield_per=4).execute(query):
        if needle in content:
            found.append(Chunk(start, bytes(content).split(b"\n")))
        seen += len(content)
        if seen >= least_bytes:
            break
    return found[::-1]


def step_range(connection: Connection, stream_id: int) -> tuple[int, int] | None:
    """Return the lowest and highest `_step` of a stream."""
    row = connection.execute(
        select(func.min(chunks.c.first_step), func.max(chunks.c.last_step)).where(
            chunks.c.stream_id == stream_id
        )
    ).one()
    return None if row[1] is None else (int(row[0]), int(row[1]))


def step_of(line: bytes, default: int) -> int:
    """Return the `_step` of a history line without parsing it."""
    found = _STEP.search(line)
    return int(found[1]) if found else default


def _cut_out(
    connection: Connection, stream_id: int, first: int, end: int
) -> tuple[int, list[Chunk]]:
    """Take out the chunks that overlap [first, end); return their bytes and what is to stay."""
    # Chunks are disjoint, so the last one that starts at or before `first` is the first candidate.
    lowest = (
        select(func.max(chunks.c.first_line))
        .where(chunks.c.stream_id == stream_id, chunks.c.first_line <= first)
        .scalar_subquery()
    )
    touched = (
        chunks.c.stream_id == stream_id,
        chunks.c.first_line >= func.coalesce(lowest, 0),
        chunks.c.first_line < end,
        chunks.c.first_line + chunks.c.line_count > first,
    )
    rows = connection.execute(select(chunks.c.first_line, chunks.c.content).where(*touched)).all()
    if not rows:
        return 0, []
    starts = [row.first_line for row in rows]
    connection.execute(
        delete(chunks).where(
            chunks.c.stream_id == stream_id, chunks.c.first_line.between(min(starts), max(starts))
        )
    )
    kept: list[Chunk] = []
    for start, content in rows:
        lines = bytes(content).split(b"\n")
        kept.append(Chunk(start, lines[: max(0, first - start)]))
        if start + len(lines) > end:
            kept.append(Chunk(end, lines[end - start :]))
    return sum(len(row.content) for row in rows), [chunk for chunk in kept if chunk.lines]


def _split(chunk: Chunk) -> Iterator[Chunk]:
    """Cut a block of lines into pieces of bounded size."""
    start, size = 0, 0
    for index, line in enumerate(chunk.lines):
        if index > start and (index - start >= CHUNK_LINES or size + len(line) > CHUNK_BYTES):
            yield Chunk(chunk.first_line + start, chunk.lines[start:index])
            start, size = index, 0
        size += len(line)
    yield Chunk(chunk.first_line + start, chunk.lines[start:])


def _row(stream_id: int, chunk: Chunk, *, has_steps: bool) -> dict[str, Any]:
    content = b"\n".join(chunk.lines)
    steps = list(map(int, _STEP.findall(content))) if has_steps else []
    return {
        "stream_id": stream_id,
        "first_line": chunk.first_line,
        "line_count": len(chunk.lines),
        "first_step": min(steps, default=None),
        "last_step": max(steps, default=None),
        "content": content,
    }
