"""The ledger's lines are what following every single reference gives."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.server.storage.place import new_version, opened

from trackd_server.domain.usage import ledger

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from trackd_server.domain.storage import Storage

#: Owners at the four levels: version, collection, run, project.
Owners = set[tuple[int, int, int, int]]


@pytest.mark.parametrize("seed", range(8))
def test_lines_are_what_following_each_reference_gives(tmp_path: Path, seed: int) -> None:
    with opened(tmp_path) as storage:
        _fill(storage, random.Random(seed))
        with storage.database.read() as connection:
            found = Counter[tuple[Any, ...]]()
            for line in ledger.entries(connection):
                found[line.kind, line.project, line.run, line.collection, line.version] += (
                    line.bytes if line.owned else 0
                )
                found["all", line.owned] += line.bytes
                found["objects", line.owned] += line.objects
            assert found == _followed(connection)


def _fill(storage: Storage, dice: random.Random) -> None:
    """Make rows that hold one another at random, with the right numbers of references."""
    owners = [new_version(storage) for _ in range(3)]
    with storage.database.write() as connection:

        def put(table: str, **values: object) -> int:
            names, marks = ", ".join(values), ", ".join("?" * len(values))
            query = f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING *"
            return connection.exec_driver_sql(query, tuple(values.values())).one()[0]

        runs = [
            put(
                "runs",
                project_id=1,
                name=f"r{n}",
                display_name="",
                state="",
                created_at=0,
                heartbeat_at=0,
            )
            for n in range(2)
        ]
        like = "collection_id, state, digest, digest_algorithm, created_at, updated_at"
        for _ in range(4):  # more versions of the same collections, of runs and of none
            query = f"INSERT INTO versions ({like}) SELECT {like} FROM versions WHERE id = ?"
            connection.exec_driver_sql(query + " RETURNING id", (dice.choice(owners),)).one()
        versions = [row.id for row in connection.exec_driver_sql("SELECT id FROM versions")]
        for version in versions:
            run = dice.choice([None, *runs])
            connection.exec_driver_sql("UPDATE versions SET run_id=? WHERE id=?", (run, version))
        packs = [
            put("packs", blob_key=f"k{n}", bytes=10**6, live_bytes=0, created_at=0)
            for n in range(4)
        ]
        connection.exec_driver_sql(
            "UPDATE packs SET upload_version_id = ? WHERE id = ?", (versions[0], packs[0])
        )
        chunks = [
            put(
                "cdc_chunks",
                blake3=dice.randbytes(32),
                bytes=100 + n,
                stored_bytes=100 + n,
                pack_id=dice.choice(packs),
                offset=n * 1_000,
            )
            for n in range(60)
        ]
        contents = [
            put("contents", algorithm="MD5", digest=dice.randbytes(16), bytes=1, created_at=0)
            for _ in range(40)
        ]
        for content in contents:
            for start, chunk in enumerate(dice.sample(chunks, dice.choice([0, 1, 1, 2, 3]))):
                put("content_chunks", content_id=content, start=start, chunk_id=chunk)
        for n in range(14):
            segment = put(
                "segments", hash=dice.randbytes(16), entries=1, bytes=7 + n, first_path="", body=b""
            )
            for content in dice.sample(contents, dice.randrange(4)):
                uses = dice.choice([1, 1, 1, 2])
                put("segment_contents", segment_id=segment, content_id=content, uses=uses)
            for manifest in {dice.randrange(1, 9) for _ in range(dice.choice([0, 1, 1, 2]))}:
                put("manifest_segments", manifest_id=manifest, position=n, segment_id=segment)
        for version in versions:  # numbers of two manifests more stand for some that are gone
            put("manifests", version_id=version, kind="FULL", created_at=0)
        for content in dice.sample(contents, 5):
            put("held_contents", version_id=dice.choice(versions), content_id=content)
        put("multipart_uploads", id="u", version_id=versions[1], algorithm="MD5", digest=b"",
            created_at=0)  # fmt: skip
        for number, content in enumerate(dice.sample(contents, 3)):
            put("multipart_parts", upload_id="u", number=number, md5=b"", content_id=content)
        for query in _COUNTED:
            connection.exec_driver_sql(query)


_COUNTED = (
    """UPDATE contents SET refs =
        (SELECT coalesce(sum(uses), 0) FROM segment_contents WHERE content_id = contents.id)
        + (SELECT count(*) FROM held_contents WHERE content_id = contents.id)
        + (SELECT count(*) FROM multipart_parts WHERE content_id = contents.id)""",
    """UPDATE cdc_chunks SET refs =
        (SELECT count(*) FROM content_chunks WHERE chunk_id = cdc_chunks.id)""",
    """UPDATE packs SET live_bytes =
        (SELECT coalesce(sum(stored_bytes), 0) FROM cdc_chunks WHERE pack_id = packs.id)""",
)


_OWNERS = """SELECT v.id, v.collection_id, v.run_id, c.project_id
    FROM versions v JOIN collections c ON c.id = v.collection_id"""
_SEGMENTS = """SELECT segment_id, version_id FROM manifest_segments
    JOIN manifests m ON m.id = manifest_id"""
_PARTS = """SELECT content_id, version_id FROM multipart_parts
    JOIN multipart_uploads u ON u.id = upload_id"""
_SENDING = """SELECT k.id, upload_version_id FROM cdc_chunks k JOIN packs ON packs.id = pack_id
    WHERE upload_version_id IS NOT NULL"""


def _followed(connection: Connection) -> Counter[tuple[Any, ...]]:
    """Return what the lines must sum up to, one reference after the other."""

    def rows(query: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in connection.exec_driver_sql(query)]

    owner = {v: (v, c, r or ledger.NO_RUN, p) for v, c, r, p in rows(_OWNERS)}
    of_segment: dict[int, Owners] = defaultdict(set)
    for segment, version in rows(_SEGMENTS):
        of_segment[segment].add(owner[version])
    # Whoever is written last counts: a chunk of a whole file is one, whatever else needs it.
    kind_of: dict[int, str] = {}
    of_content: dict[int, Owners] = defaultdict(set)
    of_chunk: dict[int, Owners] = defaultdict(set)
    places = rows("SELECT content_id, chunk_id FROM content_chunks")
    for chunk, version in rows(_SENDING):
        of_chunk[chunk].add(owner[version])
        kind_of[chunk] = ledger.CHUNK
    held = rows("SELECT content_id, version_id FROM held_contents")
    listed = rows("SELECT content_id, segment_id FROM segment_contents")
    for kind, edges in (
        (ledger.PART, [(content, {owner[version]}) for content, version in rows(_PARTS)]),
        (ledger.FILE, [(content, {owner[version]}) for content, version in held]),
        (ledger.FILE, [(content, of_segment[segment]) for content, segment in listed]),
    ):
        for content, owners in edges:
            of_content[content] |= owners
            if owners:
                kind_of |= {chunk: kind for where, chunk in places if where == content}
    for content, chunk in places:
        of_chunk[chunk] |= of_content[content]
    sums = Counter[tuple[Any, ...]]()
    things = [
        (ledger.MANIFEST, size, of_segment[number])
        for number, size in rows("SELECT id, bytes FROM segments")
    ]
    things += [
        (kind_of.get(number, ledger.FILE), size, of_chunk[number])
        for number, size in rows("SELECT id, stored_bytes FROM cdc_chunks")
    ]
    for kind, size, owners in things:
        sums["all", bool(owners)] += size
        sums["objects", bool(owners)] += 1
        at_levels = [set(each) for each in zip(*owners, strict=True)] or [set[int]()] * 4
        version, collection, run, project = (
            each.pop() if len(each) == 1 else None for each in at_levels
        )
        sums[kind, project, run, collection, version] += size if owners else 0
    return sums
