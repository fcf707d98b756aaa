"""Rows of chunks and packs, each step inside the caller's transaction.

A content adds one to `refs` of a chunk for each place that the chunk has in it. A chunk that no
content needs, and that no pending version holds by its pack, is deleted in the transaction that
lets go of it; a pack that loses its last chunk is doomed in it. A chunk that is marked as damaged
counts as not stored; when its bytes come, its row points to them.
"""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from trackd_proto.chunk_encoding import RAW
from trackd_server.domain.storage import damage, doomed
from trackd_server.store.statements import as_json, run_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

#: Rows that one slice of a long list holds, and names that one statement looks up.
SLICE = 20_000
NAMES_AT_ONCE = 500
#: Smaller packs are never compressed: of thousands of them each would cost more than it gives.
MIN_COMPRESSED_BYTES = 16 * 1024


class Placed(NamedTuple):
    """Where a chunk lies in the pack that it was written to."""

    name: bytes
    offset: int
    #: Bytes of the chunk, and those that it has in the pack: fewer if it is compressed.
    length: int
    stored: int
    encoding: str

    @classmethod
    def plain(cls, name: bytes, offset: int, length: int, encoding: str = RAW) -> Placed:
        """Return the place of a chunk that lies there as it is."""
        return cls(name, offset, length, length, encoding)


@dataclass(frozen=True)
class Freed:
    """What a transaction let go of: give it to `Storage.finish` once that is committed."""

    #: Bytes that disappear from the disk.
    bytes: int = 0
    #: Blobs to delete; noted as doomed.
    keys: tuple[str, ...] = ()
    #: Packs with bytes in them that no chunk needs any more.
    wasteful: frozenset[int] = frozenset()
    #: Contents are leaving: `contents.take_apart` goes on.
    leaving: bool = False

    def __add__(self, other: Freed) -> Freed:
        return Freed(
            self.bytes + other.bytes,
            self.keys + other.keys,
            self.wasteful | other.wasteful,
            self.leaving or other.leaving,
        )


#: What a transaction that lets go of nothing returns.
NOTHING_FREED = Freed()


def known(connection: Connection, names: Iterable[bytes]) -> dict[bytes, int]:
    """Return the ids of those chunks that are stored."""
    rows = by_names(connection, "SELECT c.blake3, c.id FROM cdc_chunks c", names)
    return {bytes(name): chunk_id for name, chunk_id in rows}


def sized(connection: Connection, names: Iterable[bytes]) -> dict[bytes, tuple[int, int]]:
    """Return the ids and lengths of those chunks that are stored."""
    rows = by_names(connection, "SELECT c.blake3, c.id, c.bytes FROM cdc_chunks c", names)
    return {bytes(name): (chunk_id, length) for name, chunk_id, length in rows}


def by_names(
    connection: Connection, query: str, names: Iterable[bytes], condition: str = damage.IS_WHOLE
) -> Iterator[Any]:
    """Yield the rows of a query of chunks `c` for those that are stored, and not damaged."""
    wanted = list(names)
    for at in range(0, len(wanted), NAMES_AT_ONCE):
        some = wanted[at : at + NAMES_AT_ONCE]
        marks = ",".join("?" * len(some))
        text = f"{query} WHERE c.blake3 IN ({marks}) AND {condition}"
        rows: Any = connection.exec_driver_sql(text, tuple(some))
        yield from rows.all()


def adopt(
    connection: Connection,
    key: str,
    placed: Sequence[Placed],
    upload_version_id: int | None = None,
) -> tuple[dict[bytes, int], Freed]:
    """Make the rows of a pack that was written; return its chunks' ids.

    What another upload stored meanwhile is taken from there; its bytes in this pack are waste.
    """
    ids = known(connection, (chunk.name for chunk in placed))
    new = [chunk for chunk in placed if chunk.name not in ids]
    if not new:
        return ids, Freed(0, (key,), frozenset())  # still noted as doomed
    size = sum(chunk.stored for chunk in placed)
    live = sum(chunk.stored for chunk in new)
    row: Any = connection.exec_driver_sql(
        "INSERT INTO packs"
        " (blob_key, bytes, live_bytes, upload_version_id, to_compress, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
        (key, size, live, upload_version_id, _may_shrink(new), time.time()),
    ).one()
    doomed.spare(connection, key)
    freed = _insert(connection, row.id, new)
    ids |= known(connection, (chunk.name for chunk in new))
    return ids, freed + Freed(0, (), frozenset({row.id} if live < size else ()))


def _may_shrink(chunks: Sequence[Placed]) -> bool:
    """Tell whether a new pack is to be looked at later; one that is not cut is after that."""
    size = sum(chunk.stored for chunk in chunks if chunk.encoding == RAW)
    return size >= MIN_COMPRESSED_BYTES


def made_up_name() -> bytes:
    """Return a name for a chunk that is not cut yet; no bytes have it, and nobody can guess it."""
    return secrets.token_bytes(32)


def add(
    connection: Connection, pack_id: int, placed: Sequence[Placed]
) -> tuple[dict[bytes, int], int, Freed]:
    """Make the rows of chunks that lie in a pack.

    Returns their ids, the bytes of new ones, and what they are in place of.
    """
    ids = known(connection, {chunk.name for chunk in placed})
    new = {chunk.name: chunk for chunk in placed if chunk.name not in ids}
    freed = _insert(connection, pack_id, list(new.values()))
    return ids | known(connection, new), sum(chunk.stored for chunk in new.values()), freed


def _insert(connection: Connection, pack_id: int, chunks: Sequence[Placed]) -> Freed:
    """Make rows of chunks that are not known; a damaged one gets these bytes."""
    damaged = _damaged(connection, chunks) if chunks and damage.is_any(connection) else {}
    new = [c for c in chunks if c.name not in damaged]
    if new:
        connection.exec_driver_sql(
            "INSERT INTO cdc_chunks (blake3, bytes, stored_bytes, encoding, pack_id, offset)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [(c.name, c.length, c.stored, c.encoding, pack_id, c.offset) for c in new],
        )
    if not damaged:
        return NOTHING_FREED
    lost: Counter[int] = Counter()
    for chunk in chunks:
        if chunk.name in damaged:
            chunk_id, former_pack_id, stored = damaged[chunk.name]
            lost[former_pack_id] += stored
            connection.exec_driver_sql(
                "UPDATE cdc_chunks SET pack_id = ?, offset = ?, bytes = ?, stored_bytes = ?,"
                " encoding = ? WHERE id = ?",
                (pack_id, *chunk[1:], chunk_id),
            )
    damage.note_repaired(connection, damage.CHUNK, [row[0] for row in damaged.values()])
    return shrink(connection, lost)


def _damaged(connection: Connection, chunks: Sequence[Placed]) -> dict[bytes, tuple[int, int, int]]:
    """Return number, pack and bytes there of those of some chunks that are damaged."""
    query = "SELECT c.blake3, c.id, c.pack_id, c.stored_bytes FROM cdc_chunks c"
    rows = by_names(connection, query, [chunk.name for chunk in chunks], damage.IS_DAMAGED)
    return {bytes(name): (number, pack, stored) for name, number, pack, stored in rows}


_DROP = (
    "DELETE FROM cdc_chunks WHERE refs = 0 AND id IN (SELECT value FROM json_each(?))"
    " AND pack_id NOT IN (SELECT id FROM packs WHERE upload_version_id IS NOT NULL)"
    " RETURNING pack_id, stored_bytes"
)
# Most that lose something lose all of it: these rows are deleted as they are, not changed first.
_END_CHUNKS = (
    "DELETE FROM cdc_chunks"
    " WHERE (id, refs) IN (SELECT CAST(key AS INTEGER), value FROM json_each(?))"
    " AND pack_id NOT IN (SELECT id FROM packs WHERE upload_version_id IS NOT NULL)"
    " RETURNING id, pack_id, stored_bytes"
)
_LET_GO = (
    "UPDATE cdc_chunks SET refs = refs - gone.value FROM json_each(?) gone"
    " WHERE cdc_chunks.id = CAST(gone.key AS INTEGER)"
)
_END_PACKS = (
    "DELETE FROM packs"
    " WHERE (id, live_bytes) IN (SELECT CAST(key AS INTEGER), value FROM json_each(?))"
    " RETURNING id, blob_key"
)
_SHRINK = (
    "UPDATE packs SET live_bytes = live_bytes - lost.value FROM json_each(?) lost"
    " WHERE packs.id = CAST(lost.key AS INTEGER)"
)


def let_go(connection: Connection, uses: Mapping[int, int]) -> Freed:
    """Take from the references of chunks; those that nobody needs and nobody holds are deleted."""
    left, lost = dict(uses), Counter[int]()
    for chunk_id, pack_id, stored in run_text(connection, _END_CHUNKS, (as_json(left),)):
        lost[pack_id] += stored
        del left[chunk_id]
    if left:
        run_text(connection, _LET_GO, (as_json(left),))
    return shrink(connection, lost) if lost else NOTHING_FREED


def drop(connection: Connection, chunk_ids: Sequence[int]) -> Freed:
    """Delete those of some chunks that no content needs and no pending version holds."""
    lost: Counter[int] = Counter()
    for pack_id, stored in run_text(connection, _DROP, (as_json(chunk_ids),)):
        lost[pack_id] += stored
    return shrink(connection, lost) if lost else NOTHING_FREED


def shrink(connection: Connection, lost: Mapping[int, int]) -> Freed:
    """Take dead bytes from packs; packs without any chunk are doomed."""
    empty: dict[int, str] = dict(run_text(connection, _END_PACKS, (as_json(lost),)))
    if empty:
        doomed.doom(connection, empty.values())
    wasteful = {pack_id: size for pack_id, size in lost.items() if pack_id not in empty}
    if wasteful:
        run_text(connection, _SHRINK, (as_json(wasteful),))
    return Freed(sum(lost.values()), tuple(empty.values()), frozenset(wasteful))


def unneeded_in(connection: Connection, pack_ids: Sequence[int]) -> list[int]:
    """Return chunks of some packs that no content needs."""
    return column(
        connection,
        "SELECT id FROM cdc_chunks WHERE refs = 0 AND pack_id IN (SELECT value FROM json_each(?))",
        pack_ids,
    )


def column(connection: Connection, query: str, numbers: Sequence[int]) -> list[int]:
    """Return the first column of a query that has one JSON list of numbers as parameter."""
    rows = connection.exec_driver_sql(query, (json.dumps(list(numbers)),))
    return [row[0] for row in rows]


def slices(rows: list[Any]) -> Iterator[list[Any]]:
    """Yield a long list in pieces of bounded length."""
    for at in range(0, len(rows), SLICE):
        yield rows[at : at + SLICE]
