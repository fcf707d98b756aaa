"""Rows of contents, each step inside the caller's transaction.

Counting is exact: whoever needs a content has added one to its `refs`; what reaches 0 is deleted
in the same transaction. A content that is damaged has its row, so that what needs it stays, but
counts as not stored for whatever comes: that gives it its chunks.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from trackd_server.domain.storage import chunk_rows, damage
from trackd_server.domain.storage.chunk_rows import NOTHING_FREED, Freed
from trackd_server.store.statements import as_json, run_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Connection

#: The algorithm of contents that are on their way in, and of those on their way out.
ARRIVING, LEAVING = "arriving", "leaving"
#: What one transaction takes apart: bytes of contents that it drops as a whole (256 MiB have 4,000
#: chunks on average), chunks of one that is leaving.
DROPPED_BYTES_AT_ONCE = 256 * 1024 * 1024
CHUNKS_AT_ONCE = 4_000
#: Packs of an upload that one transaction lets go of.
PACKS_AT_ONCE = 4
#: Digests that one statement looks up.
DIGESTS_AT_ONCE = 500

#: What names a content: algorithm, digest, and the length if it is known.
ContentName = tuple[str, bytes, "int | None"]


class Content(NamedTuple):
    """One distinct file content."""

    id: int
    algorithm: str
    digest: bytes
    bytes: int


def find(connection: Connection, algorithm: str, digest: bytes, size: int | None) -> Content | None:
    """Return the content of this digest, and of this length if one is given."""
    row = connection.exec_driver_sql(
        "SELECT id, algorithm, digest, bytes FROM contents"
        " WHERE digest = ? AND algorithm = ? AND (? IS NULL OR bytes = ?) LIMIT 1",
        (digest, algorithm, size, size),
    ).one_or_none()
    return None if row is None else Content(*row)


def find_many(connection: Connection, wanted: Sequence[ContentName]) -> dict[ContentName, int]:
    """Return the ids of those contents that are stored, by what was asked for."""
    found: dict[tuple[str, bytes], list[tuple[int, int]]] = {}
    digests = list({digest for _, digest, _ in wanted})
    for at in range(0, len(digests), DIGESTS_AT_ONCE):
        some = digests[at : at + DIGESTS_AT_ONCE]
        marks = ",".join("?" * len(some))
        query = f"SELECT algorithm, digest, bytes, id FROM contents WHERE digest IN ({marks})"  # noqa: S608
        rows: Any = connection.exec_driver_sql(query, tuple(some))
        for algorithm, digest, size, content_id in rows.all():
            found.setdefault((algorithm, bytes(digest)), []).append((size, content_id))
    matches: dict[ContentName, int] = {}
    for name in wanted:
        for size, content_id in found.get(name[:2], ()):
            if name[2] is None or name[2] == size:
                matches[name] = content_id
                break
    return matches


def find_whole(connection: Connection, wanted: Sequence[ContentName]) -> dict[ContentName, int]:
    """Return the ids of those contents that are stored and not damaged."""
    found = find_many(connection, wanted)
    damaged = damage.among(connection, found.values())
    return {name: number for name, number in found.items() if number not in damaged}


def retain(connection: Connection, counts: Mapping[int, int]) -> None:
    """Add to the references of contents."""
    rows = [(count, content_id) for content_id, count in counts.items()]
    if rows:
        connection.exec_driver_sql("UPDATE contents SET refs = refs + ? WHERE id = ?", rows)


def release(connection: Connection, counts: Mapping[int, int]) -> Freed:
    """Take from the references of contents; those that nobody needs any more are deleted."""
    if not counts:
        return NOTHING_FREED
    left = run_text(
        connection,
        "UPDATE contents SET refs = refs - gone.value FROM json_each(?) gone"
        " WHERE contents.id = CAST(gone.key AS INTEGER) RETURNING refs, bytes, id",
        (as_json(counts),),
    )
    return _drop_some(connection, sorted((size, number) for refs, size, number in left if not refs))


def drop_unneeded(connection: Connection, content_ids: Sequence[int]) -> Freed:
    """Delete those of some contents that have no reference."""
    found = connection.exec_driver_sql(
        "SELECT bytes, id FROM contents WHERE refs = 0"
        " AND id IN (SELECT value FROM json_each(?)) ORDER BY bytes",
        (as_json(list(content_ids)),),
    )
    return _drop_some(connection, [(size, number) for size, number in found])


def _drop_some(connection: Connection, found: Sequence[tuple[int, int]]) -> Freed:
    """Delete contents: pairs of bytes and number, the smallest first.

    Large ones lose their name only: they are leaving, and `take_apart` does the rest.
    """
    dead: list[int] = []
    room = DROPPED_BYTES_AT_ONCE
    for size, number in found:
        room -= size
        if room < 0:
            break
        dead.append(number)
    freed = _drop(connection, dead) if dead else NOTHING_FREED
    large = [number for _, number in found[len(dead) :]]
    return freed + _send_away(connection, large) if large else freed


def _send_away(connection: Connection, content_ids: Sequence[int]) -> Freed:
    connection.exec_driver_sql(
        "UPDATE contents SET algorithm = ?, digest = randomblob(16) WHERE id = ?",
        [(LEAVING, content_id) for content_id in content_ids],
    )
    return Freed(leaving=True)


def take_apart(connection: Connection) -> tuple[Freed, bool]:
    """Take some chunks from a content that is leaving; tell whether there is more to do."""
    # The name stands in the text, so that the index of these rows is used.
    query = f"SELECT id FROM contents WHERE algorithm = '{LEAVING}' LIMIT 1"  # noqa: S608
    row = connection.exec_driver_sql(query).one_or_none()
    if row is None:
        return NOTHING_FREED, False
    places = connection.exec_driver_sql(
        "SELECT start, chunk_id FROM content_chunks WHERE content_id = ?"
        " ORDER BY start DESC LIMIT ?",
        (row.id, CHUNKS_AT_ONCE),
    ).all()
    if len(places) < CHUNKS_AT_ONCE:
        return _drop(connection, [row.id]), True
    connection.exec_driver_sql(
        "DELETE FROM content_chunks WHERE content_id = ? AND start >= ?",
        (row.id, places[-1].start),
    )
    return _unuse(connection, Counter(place.chunk_id for place in places)), True


def _drop(connection: Connection, dead: Sequence[int]) -> Freed:
    text = as_json(dead)
    gone = run_text(
        connection,
        "DELETE FROM content_chunks WHERE content_id IN (SELECT value FROM json_each(?))"
        " RETURNING chunk_id",
        (text,),
    )
    uses = Counter(chunk_id for (chunk_id,) in gone)
    run_text(
        connection, "DELETE FROM contents WHERE id IN (SELECT value FROM json_each(?))", (text,)
    )
    return _unuse(connection, uses)


def _unuse(connection: Connection, uses: Mapping[int, int]) -> Freed:
    """Take from the references of chunks; those that nothing needs are deleted."""
    freed = NOTHING_FREED
    for some in chunk_rows.slices(list(uses.items())):
        freed += chunk_rows.let_go(connection, dict(some))
    return freed


def begin(connection: Connection) -> int:
    """Make the row of a content on its way in, which has a reference of its own."""
    row: Any = connection.exec_driver_sql(
        "INSERT INTO contents (algorithm, digest, bytes, refs, created_at)"
        " VALUES (?, ?, 0, 1, ?) RETURNING id",
        (ARRIVING, secrets.token_bytes(16), time.time()),
    ).one()
    return row.id


def add_chunks(connection: Connection, content_id: int, places: Sequence[tuple[int, int]]) -> None:
    """Give a content chunks: pairs of the byte where one starts and its id."""
    _insert_places(connection, [(content_id, start, chunk_id) for start, chunk_id in places])


def _insert_places(connection: Connection, places: Sequence[tuple[int, int, int]]) -> None:
    """Note chunks of contents: content, start, chunk."""
    if not places:
        return
    connection.exec_driver_sql(
        "INSERT INTO content_chunks (content_id, start, chunk_id) VALUES (?, ?, ?)", list(places)
    )
    uses = Counter(chunk_id for _, _, chunk_id in places)
    connection.exec_driver_sql(
        "UPDATE cdc_chunks SET refs = refs + ? WHERE id = ?",
        [(count, chunk_id) for chunk_id, count in uses.items()],
    )


def make_many(
    connection: Connection,
    files: Mapping[tuple[str, bytes, int], Sequence[bytes]],
    chunks: Mapping[bytes, tuple[int, int]],
) -> tuple[list[int], Freed]:
    """Return the ids of contents, each made of its row of chunks if it is not stored yet.

    `chunks` are ids and lengths by name. A content that is made has no reference yet.
    """
    found = find_many(connection, list(files))
    damaged = damage.among(connection, found.values())
    new = [name for name in files if name not in found or found[name] in damaged]
    if not new:
        return list(found.values()), NOTHING_FREED
    now = time.time()
    connection.exec_driver_sql(
        "INSERT OR IGNORE INTO contents (algorithm, digest, bytes, created_at) VALUES (?, ?, ?, ?)",
        [(*name, now) for name in new],
    )
    found |= find_many(connection, new)
    former = _bared(connection, damaged)
    places: list[tuple[int, int, int]] = []
    for name in new:
        start = 0
        for chunk in files[name]:
            chunk_id, length = chunks[chunk]
            places.append((found[name], start, chunk_id))
            start += length
    _insert_places(connection, places)
    return list(found.values()), _unuse(connection, former)


def make_uncut(
    connection: Connection, name: tuple[str, bytes, int], chunk_id: int, version_id: int
) -> tuple[int, Freed]:
    """Make a content that is one chunk, to be cut; it has no reference yet.

    A damaged one of this name gets the chunk.
    """
    damaged = find(connection, *name)
    former: Counter[int] = Counter()
    if damaged is not None:
        content_id = damaged.id
        former = _bared(connection, [content_id])
    else:
        content_id: int = connection.exec_driver_sql(
            "INSERT INTO contents (algorithm, digest, bytes, created_at) VALUES (?, ?, ?, ?)"
            " RETURNING id",
            (*name, time.time()),
        ).scalar_one()
    add_chunks(connection, content_id, [(0, chunk_id)])
    connection.exec_driver_sql(
        "INSERT INTO uncut_contents (content_id, chunk_id, version_id) VALUES (?, ?, ?)",
        (content_id, chunk_id, version_id),
    )
    return content_id, _unuse(connection, former)


def end(
    connection: Connection, content_id: int, algorithm: str, digest: bytes, size: int
) -> tuple[int, Freed]:
    """Turn a content that arrived into a real one, without references; return which it is now.

    If its like is stored already, that one is it; if that is damaged, it gets the chunks that came.
    """
    known = find(connection, algorithm, digest, size)
    if known is None:
        connection.exec_driver_sql(
            "UPDATE contents SET algorithm = ?, digest = ?, bytes = ?, refs = 0 WHERE id = ?",
            (algorithm, digest, size, content_id),
        )
        return content_id, NOTHING_FREED
    former: Counter[int] = Counter()
    if damage.among(connection, [known.id]):
        former = _bared(connection, [known.id])
        connection.exec_driver_sql(
            "UPDATE content_chunks SET content_id = ? WHERE content_id = ?", (known.id, content_id)
        )
    return known.id, release(connection, {content_id: 1}) + _unuse(connection, former)


def _bared(connection: Connection, damaged: Collection[int]) -> Counter[int]:
    """Take the chunks from damaged contents, which get others; return them, to be let go of."""
    if not damaged:
        return Counter()
    text = as_json(list(damaged))
    gone = run_text(
        connection,
        "DELETE FROM content_chunks WHERE content_id IN (SELECT value FROM json_each(?))"
        " RETURNING chunk_id",
        (text,),
    )
    connection.exec_driver_sql(
        "DELETE FROM uncut_contents WHERE content_id IN (SELECT value FROM json_each(?))", (text,)
    )
    damage.note_repaired(connection, damage.CONTENT, damaged)
    return Counter(chunk_id for (chunk_id,) in gone)


def arriving(connection: Connection) -> list[int]:
    """Return the contents on their way in."""
    # The name stands in the text, so that the index of these rows is used.
    query = f"SELECT id FROM contents WHERE algorithm = '{ARRIVING}'"  # noqa: S608
    rows = connection.exec_driver_sql(query)
    return [row.id for row in rows]


def hold(connection: Connection, version_id: int, content_ids: Iterable[int]) -> None:
    """Keep contents for a pending version, once each, until it is committed or dropped."""
    rows = [(version_id, content_id) for content_id in content_ids]
    held = connection.exec_driver_sql(
        "SELECT content_id FROM held_contents"
        " WHERE version_id = ? AND content_id IN (SELECT value FROM json_each(?))",
        (version_id, as_json([content_id for _, content_id in rows])),
    )
    known = {row.content_id for row in held}
    new = {content_id for _, content_id in rows} - known
    if new:
        connection.exec_driver_sql(
            "INSERT INTO held_contents (version_id, content_id) VALUES (?, ?)",
            [(version_id, content_id) for content_id in new],
        )
        retain(connection, dict.fromkeys(new, 1))


def settle(connection: Connection, version_id: int, limit: int) -> tuple[Freed, bool]:
    """End up to `limit` holds of a version that is committed or dropped; tell whether all ended."""
    held = connection.exec_driver_sql(
        "SELECT version_id, content_id FROM held_contents WHERE version_id = ? LIMIT ?",
        (version_id, limit),
    ).all()
    if held:
        connection.exec_driver_sql(
            "DELETE FROM held_contents WHERE version_id = ? AND content_id = ?",
            [tuple(row) for row in held],
        )
    freed = release(connection, {row.content_id: 1 for row in held})
    if len(held) == limit:
        return freed, False
    found = connection.exec_driver_sql(
        "SELECT id FROM packs WHERE upload_version_id = ? LIMIT ?", (version_id, PACKS_AT_ONCE)
    )
    packs = [row.id for row in found]
    if packs:
        connection.exec_driver_sql(
            "UPDATE packs SET upload_version_id = NULL WHERE id = ?", [(id_,) for id_ in packs]
        )
        freed += chunk_rows.drop(connection, chunk_rows.unneeded_in(connection, packs))
    return freed, len(packs) < PACKS_AT_ONCE
