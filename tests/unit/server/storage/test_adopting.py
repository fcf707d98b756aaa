"""Files that are taken over whole: they read the same before, while and after they are cut."""

from __future__ import annotations

import hashlib
import os
import random
from typing import TYPE_CHECKING

import pytest
from tests.support.storage_load import drop, keeper
from tests.unit.server.storage.place import get, new_version, opened, put
from tests.unit.server.storage.test_crash import assert_exact

from trackd_server.domain.errors import Conflict
from trackd_server.domain.storage import MD5, contents, indexing, moving
from trackd_server.domain.storage.adopting import Offer
from trackd_server.domain.usage import fsck
from trackd_server.domain.usage.rehearsal import forecast

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from trackd_server.domain.storage import Freed, Storage

DATA = random.Random(3).randbytes(9_000_000)


def offered(storage: Storage, data: bytes, name: str = "file") -> Offer:
    """Lay a file into the inbox."""
    (storage.adoption.inbox.folder / name).write_bytes(data)
    return Offer((MD5, hashlib.md5(data).digest(), len(data)), name)


def adopted(storage: Storage, data: bytes, version: int) -> int:
    """Take a file over; return its content."""
    assert storage.adoption.adopt(version, [offered(storage, data)]) == [True]
    with storage.database.read() as connection:
        found = contents.find(connection, MD5, hashlib.md5(data).digest(), len(data))
    assert found is not None
    return found.id


def chunk_rows_of(storage: Storage, content_id: int) -> list[tuple[int, bytes]]:
    with storage.database.read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT cc.start, k.blake3 FROM content_chunks cc JOIN cdc_chunks k"
            " ON k.id = cc.chunk_id WHERE content_id = ? ORDER BY 1",
            (content_id,),
        )
        return [(row[0], bytes(row[1])) for row in rows]


def index_all(storage: Storage) -> None:
    while storage.indexer.work() or storage.reclaimer.work():
        pass


@pytest.mark.parametrize("step", [300_000, 64 * 1024 * 1024])
async def test_an_adopted_file_is_cut_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(indexing, "STEP_BYTES", step)
    (tmp_path / "sent").mkdir()
    with opened(tmp_path / "sent") as other:
        sent = chunk_rows_of(other, (await put(other, DATA)).content_id)
    with opened(tmp_path) as storage:
        content_id = adopted(storage, DATA, new_version(storage))
        assert not any(storage.adoption.inbox.folder.iterdir())
        assert len(chunk_rows_of(storage, content_id)) == 1
        more = True
        while more:
            assert await get(storage, content_id, 0, len(DATA)) == DATA
            assert await get(storage, content_id, 1_234_567, 8_765_432) == DATA[1_234_567:8_765_432]
            assert_exact(storage)
            more = storage.indexer.work()
        assert chunk_rows_of(storage, content_id) == sent


async def test_what_is_stored_elsewhere_is_referenced_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "STEP_BYTES", 1_000_000)
    monkeypatch.setattr(moving, "SLICE_BYTES", 500_000)  # so that the pack is a large one
    with opened(tmp_path) as storage:
        version = new_version(storage)
        kept = await put(storage, DATA[:4_000_000], keeper(version))
        zeros = DATA + bytes(3_000_000) + DATA[:100_000]
        content_id = adopted(storage, zeros, version)
        assert storage.blobs.total_bytes() == 4_000_000 + len(zeros)
        index_all(storage)
        assert_exact(storage)
        assert storage.reclaimer.progress().packs == 0
        assert len(DATA) < storage.blobs.total_bytes() < len(DATA) + 1_000_000
        assert await get(storage, content_id, 0, len(zeros)) == zeros
        assert await get(storage, kept.content_id, 0, 4_000_000) == DATA[:4_000_000]


async def test_a_file_whose_bytes_are_all_stored_leaves_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        version = new_version(storage)
        await put(storage, DATA, keeper(version))
        size = storage.blobs.total_bytes()
        other = DATA + DATA
        content_id = adopted(storage, other, version)
        index_all(storage)
        assert_exact(storage)
        assert storage.blobs.total_bytes() < size + 600_000  # around the seam
        assert await get(storage, content_id, 0, len(other)) == other


def test_deleted_half_cut_it_frees_what_was_forecast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "STEP_BYTES", 1_000_000)
    with opened(tmp_path) as storage:
        version = new_version(storage)
        content_id = adopted(storage, DATA, version)
        storage.indexer.work()

        def deletion(connection: Connection) -> Freed:
            connection.exec_driver_sql("DELETE FROM held_contents")
            return contents.release(connection, {content_id: 1})

        expected = forecast(storage.database, deletion)
        assert expected.bytes == len(DATA)
        drop(storage, version)
        assert storage.blobs.total_bytes() == 0
        index_all(storage)
        assert_exact(storage)
        with storage.database.read() as connection:
            assert connection.exec_driver_sql("SELECT * FROM uncut_contents").all() == []


def test_a_new_server_goes_on_cutting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "STEP_BYTES", 1_000_000)
    with opened(tmp_path) as storage:
        content_id = adopted(storage, DATA, new_version(storage))
        storage.indexer.work()
        (storage.adoption.inbox.folder / "forgotten").write_bytes(b"x")
    with opened(tmp_path) as storage:
        assert not any(storage.adoption.inbox.folder.iterdir())
        index_all(storage)
        assert len(chunk_rows_of(storage, content_id)) > 50
        assert_exact(storage)


def test_the_same_file_twice_is_stored_once(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        version = new_version(storage)
        offers = [offered(storage, DATA, "a"), offered(storage, DATA, "b")]
        assert storage.adoption.adopt(version, offers) == [True, True]
        assert storage.blobs.total_bytes() == len(DATA)
        assert_exact(storage)


def test_only_regular_files_of_the_inbox_are_taken(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        version = new_version(storage)
        secret = tmp_path / "secret"
        secret.write_bytes(b"secret" * 100)
        name = (MD5, hashlib.md5(secret.read_bytes()).digest(), 600)
        folder = storage.adoption.inbox.folder
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "link").symlink_to(secret)
        (folder / "folder").mkdir()
        os.mkfifo(folder / "pipe")
        for file in ("link", "folder", "pipe", "missing", "../secret", str(secret), "", "a/b"):
            assert storage.adoption.adopt(version, [Offer(name, file)]) == [False]
        wrong = offered(storage, DATA)._replace(content=(MD5, b"0" * 16, len(DATA) - 1))
        assert storage.adoption.adopt(version, [wrong]) == [False]
        assert secret.read_bytes() == b"secret" * 100
        assert storage.blobs.total_bytes() == 0


def test_a_version_that_is_not_pending_gets_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        version = new_version(storage, "COMMITTED")
        with pytest.raises(Conflict):
            storage.adoption.adopt(version, [offered(storage, DATA)])
        assert storage.blobs.total_bytes() == 0


def test_who_kept_another_name_of_the_file_cannot_open_it_to_write(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        offer = offered(storage, DATA)
        own = tmp_path / "own"
        own.hardlink_to(storage.adoption.inbox.folder / offer.file)
        assert storage.adoption.adopt(new_version(storage), [offer]) == [True]
        assert own.stat().st_mode & 0o222 == 0


def test_a_changed_file_is_found_before_and_after_it_is_cut(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        data = DATA[:200_000]
        offer = offered(storage, data)._replace(content=(MD5, b"0" * 16, len(data)))
        assert storage.adoption.adopt(new_version(storage), [offer]) == [True]
        assert fsck.check(storage, verify=True).damaged.found == 1
        index_all(storage)
        assert fsck.check(storage, verify=True).damaged.found == 1
