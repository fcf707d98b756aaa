"""Chunks that are stored compressed: they read the same, and damage to them is told."""

from __future__ import annotations

import hashlib
import random
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.server.artifact_client import Logger
from tests.unit.server.serving import serving
from tests.unit.server.storage.place import get, let_go, new_version, opened, pack_bytes, put
from tests.unit.server.storage.test_adopting import adopted, index_all
from tests.unit.server.storage.test_cancelled import send_pack
from tests.unit.server.storage.test_crash import assert_exact

from trackd_proto import chunk_encoding
from trackd_proto.chunk_encoding import MIN_BYTES, DamagedChunk, compressed, decompressed
from trackd_server.domain.storage import compressing, contents, indexing, moving, reading
from trackd_server.domain.storage.reading import DamagedContent
from trackd_server.domain.usage import Accounts, fsck
from trackd_server.domain.usage.rehearsal import forecast

if TYPE_CHECKING:
    from pathlib import Path

    import httpx
    from sqlalchemy import Connection

    from trackd_server.domain.storage import Freed, Storage

TEXT = b"".join(b"step %d loss %d of run %d\n" % (n, n * n % 997, n % 7) for n in range(70_000))
NOISE = random.Random(4).randbytes(1_500_000)
#: Both kinds of chunks, in turns.
MIXED = b"".join((TEXT[:1_000_000], NOISE[:700_000], TEXT[1_000_000:], NOISE[700_000:]))


def encodings(storage: Storage) -> dict[str, int]:
    """Return the plain bytes of chunks by how they are stored."""
    with storage.database.read() as connection:
        rows: Any = connection.exec_driver_sql(
            "SELECT encoding, sum(bytes) FROM cdc_chunks GROUP BY 1"
        )
        return dict(tuple(row) for row in rows)


def compress_all(storage: Storage) -> None:
    """Let time pass."""
    with storage.database.write() as connection:
        connection.exec_driver_sql("UPDATE packs SET created_at = 0")
    while storage.compressor.work() or storage.reclaimer.work():
        pass


@pytest.mark.parametrize("data", [TEXT, NOISE, MIXED, TEXT[:20_000], TEXT[:60_000]])
async def test_what_shrinks_is_stored_compressed_and_reads_the_same(
    tmp_path: Path, data: bytes
) -> None:
    with opened(tmp_path) as storage:
        content_id = (await put(storage, data)).content_id
        assert pack_bytes(storage) == len(data)
        compress_all(storage)
        assert ("zstd" in encodings(storage)) == (data is not NOISE)
        assert pack_bytes(storage) == storage.blobs.total_bytes()
        assert (pack_bytes(storage) < len(data)) == (data is not NOISE)
        assert await get(storage, content_id, 0, len(data)) == data
        dice = random.Random(5)
        for _ in range(10):
            start = dice.randrange(len(data))
            end = min(len(data), start + dice.randrange(1, 400_000))
            assert await get(storage, content_id, start, end) == data[start:end]
            assert storage.read(content_id, start, end) == data[start:end]
        assert_report_ok(storage)
        stored = pack_bytes(storage)
        assert let_go(storage, content_id) == stored
        assert storage.blobs.total_bytes() == 0


def assert_report_ok(storage: Storage) -> None:
    report = fsck.check(storage, verify=True)
    # `put` keeps contents for nobody in particular.
    assert all(f["what"] == "refs" for f in report.wrong_counts.listed) and not report.damaged.found


async def test_packs_of_agents_are_compressed_and_logical_bytes_are_not(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        await send_pack(storage, MIXED)
        compress_all(storage)
        assert set(encodings(storage)) == {"raw", "zstd"}
        assert_exact(storage)
        version = new_version(storage)

        def keep(connection: Connection, content_id: int) -> None:
            contents.hold(connection, version, [content_id])

        await put(storage, MIXED, keep)
        assert_exact(storage)
        with storage.database.read() as connection:
            usage = Accounts(connection).server(storage)
        assert usage.logical == len(MIXED)
        assert usage.kinds["file"] == pack_bytes(storage) < len(MIXED) - len(TEXT) // 2


def test_small_chunks_stay_as_they_are() -> None:
    assert compressed(memoryview(TEXT[:MIN_BYTES])) is None
    assert compressed(memoryview(NOISE[:200_000])) is None
    assert compressed(memoryview(NOISE[:5_000] + TEXT[:60_000])) is None  # by its sample
    frame = compressed(memoryview(TEXT[: MIN_BYTES + 1]))
    assert frame is not None and decompressed(frame, MIN_BYTES + 1) == TEXT[: MIN_BYTES + 1]


@pytest.mark.parametrize(
    ("frame", "length"),
    [
        (b"", 10),
        (b"not a frame at all", 10),
        (NOISE[:5_000], 60_000),
        (compressed(memoryview(TEXT[:60_000])), 59_999),
        (compressed(memoryview(TEXT[:60_000])), 60_001),
        (compressed(memoryview(TEXT[:60_000])), 0),
        (compressed(memoryview(TEXT[:60_000])), 1 << 40),
        ((compressed(memoryview(TEXT[:60_000])) or b"")[:-1], 60_000),
        ((compressed(memoryview(TEXT[:60_000])) or b"") + b"x", 60_000),
        (chunk_encoding.zstd.compress(bytes(1 << 28)), 60_000),  # 8 kB that would be 256 MiB
    ],
)
def test_a_frame_is_not_believed(frame: bytes, length: int) -> None:
    with pytest.raises(DamagedChunk):
        decompressed(frame, length)


@pytest.mark.parametrize("harm", ["bytes", "length", "row"])
async def test_damage_is_told_and_found(tmp_path: Path, harm: str) -> None:
    with opened(tmp_path) as storage:
        content_id = (await put(storage, TEXT)).content_id
        compress_all(storage)
        database = sqlite3.connect(tmp_path / "trackd.sqlite")
        key, offset, stored = database.execute(
            "SELECT blob_key, offset, stored_bytes FROM cdc_chunks k JOIN packs ON packs.id ="
            " pack_id WHERE k.bytes > 65536 LIMIT 1"
        ).fetchone()
        if harm == "bytes":
            with (storage.blobs.folder / key).open("r+b") as file:
                file.seek(offset)
                file.write(bytes(stored))
        elif harm == "length":
            (storage.blobs.folder / key).write_bytes(b"")
        else:
            database.execute("UPDATE cdc_chunks SET bytes = 70000 WHERE bytes > 65536")
            database.commit()
        with pytest.raises(DamagedContent, match="fsck"):
            await get(storage, content_id, 0, len(TEXT))
        with pytest.raises(DamagedContent, match=key):
            storage.read(content_id, 0, len(TEXT))
        report = fsck.check(storage, verify=True)
        assert report.damaged.found == 1
        other = (await put(storage, NOISE)).content_id
        assert await get(storage, other, 0, len(NOISE)) == NOISE


def test_a_client_is_told_of_damage_and_the_server_goes_on(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        Logger(server).log({"text": TEXT[:60_000], "noise": NOISE[:60_000]})
        compress_all(server.services.storage)

        def got(data: bytes) -> httpx.Response:
            return server.http.get(f"/artifacts/local/{hashlib.md5(data).hexdigest()}")

        assert got(TEXT[:60_000]).content == TEXT[:60_000]
        for pack in server.services.blobs.folder.glob("*/*"):
            if pack.stat().st_size < 50_000:
                pack.write_bytes(bytes(pack.stat().st_size))
        refused = got(TEXT[:60_000])
        assert refused.status_code == 410 and "CONTENT_DAMAGED" in refused.text
        assert got(NOISE[:60_000]).content == NOISE[:60_000]


@pytest.mark.parametrize(
    ("bound", "value"), [("SLICE_BYTES", 600_000), ("SLICE_BYTES", 1 << 26), ("SLICE_CHUNKS", 9)]
)
async def test_what_was_taken_over_becomes_smaller_with_exact_books_at_each_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(moving, bound, value)
    with opened(tmp_path) as storage:
        version = new_version(storage)
        content_id = adopted(storage, TEXT, version)
        index_all(storage)
        assert not storage.compressor.work()  # it is too young
        monkeypatch.setattr(compressing, "WAIT_S", 0.0)

        def delete(connection: Connection) -> Freed:
            freed, _ = contents.settle(connection, version, 1_000)
            connection.exec_driver_sql("DELETE FROM versions WHERE id = ?", (version,))
            return freed

        told, more, steps = 0, True, 0
        while more:
            more = storage.compressor.work()
            report = fsck.check(storage, verify=True)
            assert report.ok, report
            with storage.database.read() as connection:
                usage = Accounts(connection).server(storage)
            assert usage.physical == usage.disk
            assert await get(storage, content_id, 100, len(TEXT)) == TEXT[100:]
            told = forecast(storage.database, delete).bytes
            assert told == usage.kinds["file"]
            steps += more
        assert steps == (1 if value > len(TEXT) else 3)
        assert_exact(storage)
        assert storage.blobs.total_bytes() < len(TEXT) / 2
        assert encodings(storage).keys() == {"zstd"}
        before = storage.blobs.total_bytes()
        with storage.database.write() as connection:
            freed = delete(connection)
        storage.finish(freed)
        assert freed.bytes == told == before
        assert storage.blobs.total_bytes() == 0


def test_what_does_not_shrink_by_a_third_stays_in_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressing, "WAIT_S", 0.0)
    with opened(tmp_path) as storage:
        adopted(storage, NOISE * 3 + TEXT[:1_000_000], new_version(storage))
        index_all(storage)
        assert storage.compressor.work()
        assert not storage.compressor.work()
        assert encodings(storage).keys() == {"raw"}
        assert_exact(storage)


def test_a_new_server_goes_on_compressing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "SLICE_BYTES", 300_000)
    monkeypatch.setattr(compressing, "WAIT_S", 0.0)
    with opened(tmp_path) as storage:
        adopted(storage, TEXT, new_version(storage))
        index_all(storage)
        assert storage.compressor.work() and storage.compressor.work()
        assert encodings(storage).keys() == {"raw", "zstd"}
    with opened(tmp_path) as storage:
        while storage.compressor.work() or storage.reclaimer.work():
            pass
        assert encodings(storage).keys() == {"zstd"}
        assert_exact(storage)


def test_what_cannot_be_read_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressing, "WAIT_S", 0.0)
    monkeypatch.setattr(indexing, "STEP_BYTES", 1_000_000)
    with opened(tmp_path) as storage:
        version = new_version(storage)
        adopted(storage, TEXT, version)
        index_all(storage)
        (pack,) = storage.blobs.folder.glob("*/*")
        pack.chmod(0o600)
        pack.write_bytes(TEXT[:-1])
        adopted(storage, TEXT[::-1], version)
        index_all(storage)
        while storage.compressor.work():
            pass
        assert pack.exists() and encodings(storage).keys() == {"raw", "zstd"}


@pytest.mark.parametrize("at", [1, 2])  # before it is sampled, and before it is copied
def test_a_pack_that_moves_while_it_is_looked_at_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr(compressing, "WAIT_S", 0.0)
    with opened(tmp_path) as storage:
        adopted(storage, TEXT, new_version(storage))
        index_all(storage)
        mover = moving.Mover(storage.database, storage.blobs, storage.doomed)
        open_blob = storage.blobs.open
        opened_keys: list[str] = []

        def open_late(key: str) -> int:
            opened_keys.append(key)
            if len(opened_keys) == at:
                pack = mover.look(1)
                assert pack is not None and mover.move(pack)
            return open_blob(key)

        monkeypatch.setattr(storage.blobs, "open", open_late)
        assert storage.compressor.work() and encodings(storage).keys() == {"raw"}
        assert storage.compressor.work() and encodings(storage).keys() == {"zstd"}
        assert len(set(opened_keys)) == 2
        assert_exact(storage)


def test_a_large_pack_waits_for_room_for_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "SLICE_BYTES", 600_000)
    monkeypatch.setattr(compressing, "WAIT_S", 0.0)
    with opened(tmp_path) as storage:
        adopted(storage, TEXT, new_version(storage))
        index_all(storage)
        with monkeypatch.context() as full:
            full.setattr(storage.blobs, "free_bytes", lambda: 2 * len(TEXT) - 1)
            while storage.compressor.work():
                pass
        assert encodings(storage).keys() == {"raw"}
        assert storage.blobs.total_bytes() == len(TEXT)
        assert not storage.compressor.work()  # later
        monkeypatch.setattr(storage.compressor, "_retry_s", 0.0)
        while storage.compressor.work():
            pass
        assert encodings(storage).keys() == {"zstd"}
        assert_exact(storage)


async def test_ranges_of_many_contents_are_whole_or_left_out(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        parts = [TEXT[:600_000], b"", TEXT[600_000:1_200_000], NOISE, TEXT[1_200_000:]]
        ids = [(await put(storage, part)).content_id for part in parts]
        compress_all(storage)
        with storage.database.read() as connection:
            ranges = reading.ranges_of_many(connection, ids, 1_000)
            assert [sum(each.bytes for each in ranges[id_]) for id_ in ids] == [*map(len, parts)]
            counts = [len(ranges[id_]) for id_ in ids]
            assert counts[1] == 0 and counts[3] == 1 < counts[0]
            for limit in range(sum(counts) + 1):
                some = reading.ranges_of_many(connection, ids, limit)
                assert sum(map(len, some.values())) <= limit
                assert all(ranges[id_] == each for id_, each in some.items())
                assert (some == ranges) == (limit == sum(counts))
