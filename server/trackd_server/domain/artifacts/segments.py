"""Segments: how the entries of manifests are stored, so that equal runs of entries lie here once.

Entries in the order of their paths are cut after an entry whose path's hash says so (64 entries on
average, 512 at most). So the cuts do not move when entries come or go elsewhere, and a manifest
that differs from another in k entries adds about k segments. A segment counts the manifests that
hold it, and itself holds its contents.
"""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import bindparam, insert, select
from sqlalchemy.dialects.sqlite import insert as insert_or

from trackd_server.domain.artifacts.entries import Entry
from trackd_server.domain.storage import NOTHING_FREED, contents
from trackd_server.store.statements import as_json, run_text
from trackd_server.store.tables.artifacts import (
    births,
    manifest_segments,
    segment_contents,
    segments,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Connection

    from trackd_server.domain.storage import Freed

AVERAGE_ENTRIES = 64
MAX_ENTRIES = 512
#: Rows named by one statement.
ROWS_AT_ONCE = 2_000
_SPREAD = 0x9E3779B1  # golden ratio: mixes the bits of a checksum
_BELOW = 0x1_0000_0000 // AVERAGE_ENTRIES
_PLAIN, _PACKED = b"\0", b"\1"

_TAKE_OUT = (
    "DELETE FROM manifest_segments WHERE (manifest_id, position) IN"
    " (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?))"
)
_LET_GO = (
    "UPDATE segments SET refs = refs - gone.value FROM json_each(?) gone"
    " WHERE segments.id = CAST(gone.key AS INTEGER) RETURNING id, refs"
)
_CLEAR_SEGMENTS = (
    "DELETE FROM segment_contents WHERE segment_id IN (SELECT value FROM json_each(?))"
    " RETURNING content_id, uses"
)
_DELETE_SEGMENTS = "DELETE FROM segments WHERE id IN (SELECT value FROM json_each(?))"

# Statements are put together once: that takes several times as long as running one.
_PLACES = (
    select(manifest_segments)
    .where(manifest_segments.c.manifest_id == bindparam("of_manifest"))
    .order_by(manifest_segments.c.position)
    .limit(bindparam("most"))
)
_BODIES = (
    select(segments.c.body)
    .join(manifest_segments, manifest_segments.c.segment_id == segments.c.id)
    .where(
        manifest_segments.c.manifest_id == bindparam("of_manifest"),
        manifest_segments.c.position >= bindparam("first"),
    )
    .order_by(manifest_segments.c.position)
    .limit(bindparam("most"))
)
_BIRTHS = select(births).where(births.c.content_id.in_(bindparam("ids", expanding=True)))
_KNOWN = select(segments.c.hash, segments.c.id).where(
    segments.c.hash.in_(bindparam("hashes", expanding=True))
)
_INSERT = insert(segments).returning(segments.c.id)
_INSERT_USES, _INSERT_PLACES = insert(segment_contents), insert(manifest_segments)
_NOTE_BIRTH = insert_or(births).on_conflict_do_nothing()

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Entry]).decode


@dataclass(frozen=True)
class Segment:
    """Some entries of a manifest in a row, with the numbers of their contents."""

    entries: list[Entry]

    @property
    def hash(self) -> bytes:
        """What names the segment: it covers all that clients see, not numbers of rows."""
        plain = [(e.path, e.digest, e.size, e.ref, e.extra) for e in self.entries]
        return blake2b(_encode(plain), digest_size=16).digest()

    @property
    def body(self) -> bytes:
        """The entries as they lie in the database."""
        plain = _encode(self.entries)
        packed = zlib.compress(plain, 3)
        return _PACKED + packed if len(packed) < len(plain) else _PLAIN + plain

    @property
    def uses(self) -> Counter[int]:
        """How often each content occurs."""
        return Counter(entry.content for entry in self.entries if entry.is_file)


def cut(entries: Iterable[Entry]) -> Iterator[Segment]:
    """Yield the segments of entries that are sorted by path."""
    some: list[Entry] = []
    for entry in entries:
        some.append(entry)
        mixed = zlib.crc32(entry.path.encode()) * _SPREAD & 0xFFFF_FFFF
        if mixed < _BELOW or len(some) >= MAX_ENTRIES:
            yield Segment(some)
            some = []
    if some:
        yield Segment(some)


def append(
    connection: Connection, manifest_id: int, version_id: int, first: int, new: Sequence[Segment]
) -> None:
    """Put segments at the end of a manifest, from position `first` on; store those that are new."""
    if not new:
        return
    by_hash = {segment.hash: segment for segment in new}
    known = _ids_of(connection, list(by_hash))
    for hash_, segment in by_hash.items():
        if hash_ not in known:
            known[hash_] = _store(connection, hash_, segment)
    _note_births(connection, version_id, by_hash.values())
    numbers = [known[segment.hash] for segment in new]
    rows = [
        {"manifest_id": manifest_id, "position": position, "segment_id": number}
        for position, number in enumerate(numbers, first)
    ]
    connection.execute(_INSERT_PLACES, rows)
    counts = [(count, number) for number, count in Counter(numbers).items()]
    connection.exec_driver_sql("UPDATE segments SET refs = refs + ? WHERE id = ?", counts)


def places(connection: Connection, manifest_id: int, limit: int) -> list[tuple[int, int, int]]:
    """Return the first segments of a manifest: manifest, position, segment."""
    rows = connection.execute(_PLACES, {"of_manifest": manifest_id, "most": limit})
    return [(row.manifest_id, row.position, row.segment_id) for row in rows]


def let_go(connection: Connection, gone: Sequence[tuple[int, int, int]]) -> Freed:
    """Take segments out of manifests: manifest, position, segment; those nobody holds go."""
    if not gone:
        return NOTHING_FREED
    run_text(connection, _TAKE_OUT, (as_json([place[:2] for place in gone]),))
    counts = Counter(number for _, _, number in gone)
    left = run_text(connection, _LET_GO, (as_json(counts),))
    dead = [number for number, refs in left if refs <= 0]
    return _drop(connection, dead) if dead else NOTHING_FREED


def read(connection: Connection, manifest_id: int, start: int, count: int) -> list[list[Entry]]:
    """Return up to `count` segments of a manifest from a position on, as their entries."""
    wanted = {"of_manifest": manifest_id, "first": start, "most": count}
    return [unpack(body) for body in connection.execute(_BODIES, wanted).scalars()]


def positions_of(connection: Connection, manifest_id: int, paths: Sequence[str]) -> list[int]:
    """Return the positions of the segments that would hold paths (`paths` has a few)."""
    query = (
        select(manifest_segments.c.position)
        .join(segments, manifest_segments.c.segment_id == segments.c.id)
        .where(
            manifest_segments.c.manifest_id == manifest_id,
            segments.c.first_path <= bindparam("path"),
        )
        .order_by(manifest_segments.c.position.desc())
        .limit(1)
    )
    found = (connection.execute(query, {"path": path}).scalar() for path in paths)
    return sorted({position for position in found if position is not None})


def unpack(body: bytes) -> list[Entry]:
    """Return the entries of a segment's body."""
    plain = body[1:] if body[:1] == _PLAIN else zlib.decompress(body[1:])
    return _decode(plain)


def birth_versions(connection: Connection, content_ids: Iterable[int]) -> dict[int, int]:
    """Return for each content the number of the version that first stored it."""
    found: dict[int, int] = {}
    for some in _slices(list(set(content_ids))):
        rows = connection.execute(_BIRTHS, {"ids": some})
        found.update((row.content_id, row.version_id) for row in rows)
    return found


def _ids_of(connection: Connection, hashes: list[bytes]) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for some in _slices(hashes):
        rows = connection.execute(_KNOWN, {"hashes": some})
        found.update((row.hash, row.id) for row in rows)
    return found


def _store(connection: Connection, hash_: bytes, segment: Segment) -> int:
    body = segment.body
    values = {
        "hash": hash_,
        "entries": len(segment.entries),
        "bytes": len(body),
        "first_path": segment.entries[0].path,
        "body": body,
    }
    number = connection.execute(_INSERT, values).scalar_one()
    uses = segment.uses
    if uses:
        rows = [{"segment_id": number, "content_id": id_, "uses": n} for id_, n in uses.items()]
        connection.execute(_INSERT_USES, rows)
        contents.retain(connection, uses)
    return number


def _note_births(connection: Connection, version_id: int, new: Iterable[Segment]) -> None:
    rows = [
        {"content_id": content_id, "version_id": version_id}
        for segment in new
        for content_id in segment.uses
    ]
    if rows:
        connection.execute(_NOTE_BIRTH, rows)


def _drop(connection: Connection, dead: list[int]) -> Freed:
    these = (as_json(dead),)
    held: Counter[int] = Counter()
    for content_id, uses in run_text(connection, _CLEAR_SEGMENTS, these):
        held[content_id] += uses
    run_text(connection, _DELETE_SEGMENTS, these)
    return contents.release(connection, held)


def _slices(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), ROWS_AT_ONCE):
        yield items[start : start + ROWS_AT_ONCE]
