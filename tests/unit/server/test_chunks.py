"""Lines written at any offsets, in any cuts, any number of times: an exact array of lines."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from trackd_server.domain import chunks
from trackd_server.domain.chunks import Chunk
from trackd_server.store import Database, tables

if TYPE_CHECKING:
    from collections.abc import Generator

    import pytest
    from sqlalchemy import Connection

WRITES = st.lists(
    st.tuples(st.integers(0, 30), st.lists(st.text("ab{}\n\x00é", max_size=4), max_size=12)),
    max_size=12,
)


@contextmanager
def empty_stream() -> Generator[Connection]:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "db.sqlite")
        database.migrate()
        with database.write() as connection:
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            yield connection
            connection.rollback()
        database.close()


def stored(connection: Connection) -> dict[int, str]:
    return {
        number: line.decode()
        for chunk in chunks.read_chunks(connection, 1)
        for number, line in enumerate(chunk.lines, chunk.first_line)
    }


def write(connection: Connection, offset: int, lines: list[str], next_line: int) -> int:
    return chunks.write_lines(
        connection, 1, Chunk(offset, chunks.pack(lines)), next_line, has_steps=False
    )


@settings(max_examples=60)
@given(WRITES, st.integers(1, 5))
def test_any_sequence_of_writes_reads_like_an_array(
    writes: list[tuple[int, list[str]]], chunk_lines: int
) -> None:
    model: dict[int, str] = {}
    total = next_line = 0
    former, chunks.CHUNK_LINES = chunks.CHUNK_LINES, chunk_lines
    try:
        with empty_stream() as connection:
            for offset, lines in writes:
                total += write(connection, offset, lines, next_line)
                next_line = max(next_line, offset + len(lines)) if lines else next_line
                for number, line in enumerate(lines, offset):
                    model[number] = line.rstrip("\n").replace("\n", " ")
            assert stored(connection) == model
            rows = connection.execute(tables.chunks.select()).all()
            assert total == sum(len(row.content) for row in rows), "the ledger's figure"
            for first in (0, 3, 17):
                tail = {
                    number
                    for chunk in chunks.read_chunks(connection, 1, first)
                    for number in range(chunk.first_line, chunk.end_line)
                }
                assert tail == {number for number in model if number >= first}
            last = chunks.last_lines(connection, 1, 3)
            assert [line.decode() for line in last.lines] == [model[n] for n in sorted(model)[-3:]]
    finally:
        chunks.CHUNK_LINES = former


@settings(max_examples=40)
@given(WRITES, st.integers(0, 40))
def test_truncating_keeps_exactly_the_lines_before(
    writes: list[tuple[int, list[str]]], keep: int
) -> None:
    with empty_stream() as connection:
        next_line = 0
        for offset, lines in writes:
            write(connection, offset, lines, next_line)
            next_line = max(next_line, offset + len(lines))
        before = stored(connection)
        chunks.truncate(connection, 1, keep, has_steps=False)
        assert stored(connection) == {n: line for n, line in before.items() if n < keep}


def test_a_replayed_block_changes_nothing_whatever_its_cuts() -> None:
    lines = [f'{{"_step":{n},"x":{n}}}' for n in range(100)]
    with empty_stream() as connection:
        write(connection, 0, lines, 0)
        for start, end in ((0, 100), (0, 7), (5, 60), (99, 100), (40, 41)):
            write(connection, start, lines[start:end], 100)
        assert list(stored(connection).values()) == lines


def test_a_large_block_is_cut_and_steps_are_found_by_range(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_LINES", 10)
    lines = [f'{{"_step":{n},"nested":{{"a":1}}}}' for n in range(95)]
    with empty_stream() as connection:
        packed = Chunk(0, chunks.pack(lines))
        chunks.write_lines(connection, 1, packed, 0, has_steps=True)
        assert len(connection.execute(tables.chunks.select()).all()) == 10
        found = list(chunks.read_chunks(connection, 1, steps=range(25, 31)))
        assert [chunk.first_line for chunk in found] == [20, 30]
        assert chunks.step_range(connection, 1) == (0, 94)


def test_text_that_is_no_utf8_is_kept_as_far_as_it_goes() -> None:
    assert chunks.pack(["a\ud800b"]) == [b"a?b"]
    assert chunks.pack([]) == []
    assert chunks.pack([""]) == [b""]
