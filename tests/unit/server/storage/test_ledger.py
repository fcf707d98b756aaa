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
            lines = ledger.entries(connection)
            for only, number in ((ledger.VERSIONS_OF_RUN, 1), (ledger.VERSIONS_OF_COLLECTION, 2)):
                coarse = ledger.entries(connection, only.format(number))
                level = "run" if only is ledger.VERSIONS_OF_RUN else "collection"
                assert _sums(coarse) == _sums(lines)
                assert _versions(coarse) == _versions(
                    [line for line in lines if getattr(line, level) == number]
                )
            for line in lines:
                found[line.kind, line.project, line.run, line.collection, line.version] += (
                    line.bytes if line.owned else 0
                )
                found["all", line.owned] += line.bytes
                found["objects", line.owned] += line.objects
            assert found == _followed(connection)


def _sums(lines: list[ledger.Entry]) -> Counter[tuple[Any, ...]]:
    """Return bytes and objects by everything but the version."""
    found = Counter[tuple[Any, ...]]()
    for line in lines:
        key = (line.kind, line.project, line.run, line.collection, line.owned)
        found[("bytes", *key)] += line.bytes
        found[("objects", *key)] += line.objects
    return found


def _versions(lines: list[ledger.Entry]) -> set[ledger.Entry]:
    return {line for line in lines if line.version is not None}


class _Rows:
    """Makes rows that hold one another at random."""

    def __init__(self, connection: Connection, dice: random.Random) -> None:
        self._connection = connection
        self._dice = dice

    def put(self, table: str, **values: object) -> int:
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        query = f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING *"
        return self._connection.exec_driver_sql(query, tuple(values.values())).one()[0]

    def versions(self, like: list[int]) -> list[int]:
        """Make more versions of the collections that are there, of runs and of none."""
        some = {"project_id": 1, "display_name": "", "state": "", "created_at": 0}
        runs = [self.put("runs", name=f"r{n}", heartbeat_at=0, **some) for n in range(2)]
        columns = "collection_id, state, digest, digest_algorithm, created_at, updated_at"
        for _ in range(4):
            self._connection.exec_driver_sql(
                f"INSERT INTO versions ({columns}) SELECT {columns} FROM versions WHERE id = ?",
                (self._dice.choice(like),),
            )
        found = [row.id for row in self._connection.exec_driver_sql("SELECT id FROM versions")]
        for version in found:
            run = self._dice.choice([None, *runs])
            self._connection.exec_driver_sql(
                "UPDATE versions SET run_id = ? WHERE id = ?", (run, version)
            )
        return found

    def contents(self, sending: int) -> list[int]:
        """Make packs, one of which is being sent for a version, chunks, and contents of them."""
        packs = [
            self.put(
                "packs",
                blob_key=f"k{n}",
                bytes=10**6,
                live_bytes=0,
                upload_version_id=sending if n == 0 else None,
                created_at=0,
            )
            for n in range(4)
        ]
        chunks = [
            self.put(
                "cdc_chunks",
                blake3=self._dice.randbytes(32),
                bytes=100 + n,
                stored_bytes=100 + n,
                pack_id=self._dice.choice(packs),
                offset=n * 1_000,
            )
            for n in range(60)
        ]
        contents: list[int] = []
        for _ in range(40):
            digest = self._dice.randbytes(16)
            content = self.put("contents", algorithm="MD5", digest=digest, bytes=1, created_at=0)
            contents.append(content)
            some = self._dice.sample(chunks, self._dice.choice([0, 1, 1, 2, 3]))
            for start, chunk in enumerate(some):
                self.put("content_chunks", content_id=content, start=start, chunk_id=chunk)
        return contents

    def segments(self, contents: list[int]) -> None:
        """Make segments of contents, in up to two of nine manifests."""
        like = {"entries": 1, "first_path": "", "body": b""}
        for n in range(14):
            segment = self.put("segments", hash=self._dice.randbytes(16), bytes=7 + n, **like)
            for content in self._dice.sample(contents, self._dice.randrange(4)):
                uses = self._dice.choice([1, 1, 1, 2])
                self.put("segment_contents", segment_id=segment, content_id=content, uses=uses)
            count = self._dice.choice([0, 1, 1, 2])
            for manifest in {self._dice.randrange(1, 9) for _ in range(count)}:
                self.put("manifest_segments", manifest_id=manifest, position=n, segment_id=segment)


def _fill(storage: Storage, dice: random.Random) -> None:
    """Make rows that hold one another at random, with the right numbers of references."""
    like = [new_version(storage) for _ in range(3)]
    with storage.database.write() as connection:
        rows = _Rows(connection, dice)
        versions = rows.versions(like)
        contents = rows.contents(versions[0])
        rows.segments(contents)
        for version in versions:  # segments are in manifests, too, that are gone
            rows.put("manifests", version_id=version, kind="FULL", created_at=0)
        for content in dice.sample(contents, 5):
            rows.put("held_contents", version_id=dice.choice(versions), content_id=content)
        upload = {"id": "u", "algorithm": "MD5", "digest": b"", "created_at": 0}
        rows.put("multipart_uploads", version_id=versions[1], **upload)
        for number, content in enumerate(dice.sample(contents, 3)):
            rows.put("multipart_parts", upload_id="u", number=number, md5=b"", content_id=content)
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
