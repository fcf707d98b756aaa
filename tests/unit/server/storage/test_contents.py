"""Whole files in and out of storage: each byte once, and given back when nobody needs it."""

from __future__ import annotations

import asyncio
import hashlib
import random
from typing import TYPE_CHECKING

import pytest
from tests.unit.server.storage.place import get, keep, let_go, opened, pack_bytes, pieces, put

from trackd_server.domain.storage import MD5, XXH128, DigestMismatch, Expected, contents, reclaim
from trackd_server.domain.usage import fsck

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

DATA = random.Random(1).randbytes(9_000_000)


@pytest.mark.parametrize("length", [0, 1, 65_536, 65_537, 400_000, 4_300_000, len(DATA)])
async def test_a_file_comes_back_as_it_went_in(tmp_path: Path, length: int) -> None:
    with opened(tmp_path) as storage:
        received = await put(storage, DATA[:length])
        assert await get(storage, received.content_id, 0, length) == DATA[:length]
        start, end = length // 3, length - length // 5
        assert await get(storage, received.content_id, start, end) == DATA[start:end]
        assert pack_bytes(storage) == storage.blobs.total_bytes() == length
        assert let_go(storage, received.content_id) == length
        assert storage.blobs.total_bytes() == pack_bytes(storage) == 0


async def test_equal_bytes_are_stored_once_whatever_file_they_are_in(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        first = await put(storage, DATA)
        assert (await put(storage, DATA)).content_id == first.content_id
        changed = DATA[:4_000_000] + b"other" + DATA[4_000_000:]
        second = await put(storage, changed)
        grown = storage.blobs.total_bytes() - len(DATA)
        assert 5 <= grown < 700_000
        let_go(storage, first.content_id)
        assert storage.blobs.total_bytes() == len(DATA) + grown  # the second reference is there
        let_go(storage, first.content_id)
        assert storage.blobs.total_bytes() == pack_bytes(storage) == len(changed)
        assert await get(storage, second.content_id, 0, len(changed)) == changed


async def test_bytes_that_were_not_announced_leave_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        for data in (DATA[:10], DATA):
            for expected in (
                Expected(MD5, b"x" * 16),
                Expected(XXH128, b"x" * 16),
                Expected(MD5, hashlib.md5(data).digest(), 3),
            ):
                with pytest.raises(DigestMismatch, match="again"):
                    await storage.receive(pieces(data), expected, keep)
        assert storage.blobs.total_bytes() == pack_bytes(storage) == 0


async def test_a_keeper_that_refuses_undoes_the_upload(tmp_path: Path) -> None:
    def refuse(connection: Connection, content_id: int) -> None:
        raise LookupError("the version is gone")

    with opened(tmp_path) as storage:
        for data in (b"", DATA[:10], DATA):
            with pytest.raises(LookupError):
                await storage.receive(pieces(data), None, refuse)
        assert storage.blobs.total_bytes() == pack_bytes(storage) == 0


async def test_uploads_of_the_same_bytes_at_once_end_as_one(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        async with asyncio.TaskGroup() as tasks:
            uploads = [tasks.create_task(put(storage, DATA)) for _ in range(4)]
        (content_id,) = {upload.result().content_id for upload in uploads}
        while storage.reclaimer.work():
            pass
        assert storage.blobs.total_bytes() == pack_bytes(storage) == len(DATA)
        with storage.database.write() as connection:
            freed = contents.release(connection, {content_id: 4})
        storage.finish(freed)
        assert storage.blobs.total_bytes() == 0


async def test_parts_are_joined_to_a_file_that_is_cut_as_a_whole(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        whole = await put(storage, DATA)
        parts = [DATA[:5_000_000], DATA[5_000_000:]]
        ids = [((await put(storage, part)).content_id, len(part)) for part in parts]
        expected = Expected(MD5, hashlib.md5(DATA).digest(), len(DATA))
        joined = await storage.join(ids, expected, keep)
        assert joined.content_id == whole.content_id
        for content_id, _ in ids:
            let_go(storage, content_id)
        assert storage.blobs.total_bytes() == len(DATA)


async def test_a_reader_goes_on_while_its_packs_are_rewritten(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        first = await put(storage, DATA)
        second = await put(storage, DATA[2_000_000:])
        stream = storage.stream(second.content_id, 0, len(DATA) - 2_000_000)
        got = await anext(stream)
        assert let_go(storage, first.content_id) > 1_500_000
        rest = [piece async for piece in stream]
        assert got + b"".join(rest) == DATA[2_000_000:]


async def test_a_large_content_leaves_in_steps_also_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "DROPPED_BYTES_AT_ONCE", 100_000)
    monkeypatch.setattr(contents, "CHUNKS_AT_ONCE", 4)
    monkeypatch.setattr(reclaim, "TAKEN_APART_BEFORE_RETURN_S", 0.0)
    with opened(tmp_path) as storage:
        received = await put(storage, random.Random(5).randbytes(3_000_000))
        let_go(storage, received.content_id)
        assert fsck.check(storage).ok
        assert storage.blobs.total_bytes() == 3_000_000
        with storage.database.write() as connection:
            freed, is_left = contents.take_apart(connection)
        assert is_left
        assert 0 < freed.bytes < 3_000_000
        assert fsck.check(storage, verify=True).ok
    monkeypatch.setattr(reclaim, "TAKEN_APART_BEFORE_RETURN_S", 2.0)
    with opened(tmp_path) as storage:
        while storage.reclaimer.work():
            pass
        assert storage.blobs.total_bytes() == 0
        assert fsck.check(storage).ok
