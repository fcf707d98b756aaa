"""Marks on what is damaged: nothing new counts on it, and it is replaced when its bytes come.

A mark stands for a chunk whose bytes are not those of its name. It stands for a content where that
cannot be told of a chunk: the digest is wrong though all chunks are right, or what is not cut yet
cannot be read. `verifying` sets marks. A chunk that has one is not known to uploads; whoever
stores its bytes again puts them in its place (`chunk_rows`), and with that all contents which have
the chunk are whole. A content that comes again gets the chunks of what came (`contents`). A mark
stays until the next `fsck --verify`, which tells what was repaired.

Rows that a mark stands for may go: numbers are never used again, so it then stands for nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from trackd_server.store.statements import as_json, run_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sqlalchemy import Connection

CHUNK, CONTENT = "chunk", "content"
#: What a query of chunks `c` says to leave damaged ones out, or to take no others.
IS_WHOLE = (
    "NOT EXISTS (SELECT 1 FROM damages WHERE kind = 'chunk' AND number = c.id"
    " AND repaired_at IS NULL)"
)
IS_DAMAGED = f"NOT {IS_WHOLE}"

_AMONG = """
SELECT number FROM damages WHERE kind = 'content' AND repaired_at IS NULL
    AND number IN (SELECT value FROM json_each(?1))
UNION SELECT c.content_id FROM json_each(?1) wanted
    CROSS JOIN content_chunks c ON c.content_id = wanted.value
    CROSS JOIN damages d ON d.kind = 'chunk' AND d.number = c.chunk_id AND d.repaired_at IS NULL
"""
_MARK_CHUNK = """
INSERT OR REPLACE INTO damages (kind, number, error, found_at)
SELECT 'chunk', c.id, ?, ? FROM cdc_chunks c JOIN packs p ON p.id = c.pack_id
WHERE c.blake3 = ? AND p.blob_key = ? AND c.offset = ? RETURNING number
"""
_MARK_CONTENT = """
INSERT OR REPLACE INTO damages (kind, number, error, found_at)
SELECT 'content', id, ?, ? FROM contents
WHERE id = ? AND algorithm NOT IN ('arriving', 'leaving') RETURNING number
"""
_REPAIRED = """
INSERT INTO damages (kind, number, error, found_at, repaired_at)
SELECT ?1, value, '', ?2, ?2 FROM json_each(?3) WHERE true
ON CONFLICT DO UPDATE SET repaired_at = ?2
"""
#: All contents with a mark of their own or on a chunk. Each chunk of each content is looked at.
_MARKED = """
SELECT c.id, c.bytes, max(iif(repaired_at IS NULL, error, '')), min(repaired_at IS NOT NULL)
FROM (
    SELECT number id, error, repaired_at FROM damages WHERE kind = 'content'
    UNION ALL SELECT cc.content_id, d.error, d.repaired_at FROM content_chunks cc
    CROSS JOIN damages d ON d.kind = 'chunk' AND d.number = cc.chunk_id) marked
JOIN contents c ON c.id = marked.id AND c.algorithm NOT IN ('arriving', 'leaving')
GROUP BY c.id ORDER BY c.id
"""


class Mark(NamedTuple):
    """What has a mark: a chunk or a content, by its number."""

    kind: str
    number: int


class Marked(NamedTuple):
    """A content that is damaged, or was before its bytes came again."""

    content_id: int
    bytes: int
    error: str
    is_repaired: bool


def is_any(connection: Connection) -> bool:
    """Tell whether anything has a mark; most often nothing has."""
    return bool(run_text(connection, "SELECT EXISTS (SELECT 1 FROM damages)", ())[0][0])


def among(connection: Connection, content_ids: Collection[int]) -> set[int]:
    """Return those of some contents that are damaged."""
    if not content_ids or not is_any(connection):
        return set()
    return {row[0] for row in run_text(connection, _AMONG, (as_json(list(content_ids)),))}


def mark_chunk(
    connection: Connection, name: bytes, place: tuple[str, int], error: str
) -> Mark | None:
    """Mark a chunk that was read at a place, a blob and an offset; None: it lies elsewhere now."""
    row = run_text(connection, _MARK_CHUNK, (error, time.time(), name, *place))
    return Mark(CHUNK, row[0][0]) if row else None


def mark_content(connection: Connection, content_id: int, error: str) -> Mark | None:
    """Mark a content; None: it is gone."""
    row = run_text(connection, _MARK_CONTENT, (error, time.time(), content_id))
    return Mark(CONTENT, row[0][0]) if row else None


def note_repaired(connection: Connection, kind: str, numbers: Collection[int]) -> None:
    """Note that chunks or contents have their bytes again."""
    run_text(connection, _REPAIRED, (kind, time.time(), as_json(list(numbers))))


def marked(connection: Connection) -> list[Marked]:
    """Return all contents that marks stand for."""
    if not is_any(connection):
        return []
    rows = run_text(connection, _MARKED, ())
    return [Marked(*row[:3], is_repaired=bool(row[3])) for row in rows]


def marks(connection: Connection) -> set[Mark]:
    """Return what has a mark."""
    return {Mark(*row) for row in run_text(connection, "SELECT kind, number FROM damages", ())}


def forget(connection: Connection, some: Iterable[Mark]) -> None:
    """Take marks back: what they stand for was found whole, or is gone.

    A chunk that no content has keeps its mark: nobody verified it.
    """
    run_text(
        connection,
        "DELETE FROM damages WHERE (kind, number) IN (SELECT json_extract(value, '$[0]'),"
        " json_extract(value, '$[1]') FROM json_each(?)) AND (kind = 'content' OR number NOT IN"
        " (SELECT id FROM cdc_chunks WHERE id = number AND refs = 0))",
        (as_json([list(mark) for mark in some]),),
    )
