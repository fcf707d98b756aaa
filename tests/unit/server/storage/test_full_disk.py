"""A disk that takes no more: uploads fail whole, and what was there stays right."""

from __future__ import annotations

import hashlib
import random
import resource
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.unit.server.storage.place import (
    get,
    keep,
    let_go,
    new_version,
    opened,
    pack_bytes,
    pieces,
    put,
)

from trackd_proto import chunks
from trackd_proto.chunks import Cutter, PackEntry
from trackd_server.domain.storage import MD5, Expected, contents, doomed, reclaim
from trackd_server.domain.usage import fsck
from trackd_server.store import DatabaseFull

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

DATA = random.Random(9).randbytes(12_000_000)
ROOM_BYTES = 3_000_000


@contextmanager
def files_end_at(limit: int) -> Generator[None]:
    """Let writing fail beyond so many bytes of a file, as it does where the disk is full."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


async def test_an_upload_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    cutter = Cutter()
    cut = [*cutter.feed(DATA), *cutter.finish()]
    header = chunks.pack_header([PackEntry(chunk.name, len(chunk.data)) for chunk in cut])
    with opened(tmp_path) as storage:
        version = new_version(storage)
        first = await put(storage, DATA[:1_000_000])
        with files_end_at(ROOM_BYTES):
            for data in (DATA[500_000:], DATA[500_000:4_500_000]):  # by blocks, and as a whole
                with pytest.raises(OSError, match="too large"):
                    await storage.receive(pieces(data), None, keep)
            with pytest.raises(OSError, match="too large"):
                await storage.packs.receive(version, pieces(header + DATA))
        assert storage.blobs.total_bytes() == 1_000_000
        assert fsck.check(storage).wrong_counts.listed == [
            {
                "table": "contents",
                "id": first.content_id,
                "what": "refs",
                "is": 1,
                "should_be": 0,  # `keep` keeps it for nobody
            }
        ]
        expected = Expected(MD5, hashlib.md5(DATA).digest(), len(DATA))
        again = await storage.receive(pieces(DATA), expected, keep)
        assert await get(storage, again.content_id, 0, len(DATA)) == DATA


async def test_a_deletion_stands_where_its_pack_cannot_be_rewritten_and_that_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reclaim, "RETRY_AFTER_S", 0.0)
    with opened(tmp_path) as storage:
        first = await put(storage, DATA)
        await put(storage, DATA[200_000:])
        with files_end_at(ROOM_BYTES):  # the copy of what lives does not fit
            assert let_go(storage, first.content_id) > 100_000
        assert storage.blobs.total_bytes() > len(DATA)
        while storage.reclaimer.work():
            pass
        assert storage.blobs.total_bytes() == pack_bytes(storage) == len(DATA) - 200_000


async def test_contents_that_leave_wait_for_a_database_that_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "DROPPED_BYTES_AT_ONCE", 1_000)
    monkeypatch.setattr(doomed, "MAX_STALE_NOTES", 1)
    with opened(tmp_path) as storage:
        first = await put(storage, DATA)
        with storage.database.write() as connection:
            freed = contents.release(connection, {first.content_id: 1})
        with files_end_at(1):
            storage.finish(freed)
            storage.doomed.delete([storage.doomed.new_key()])  # its note stays
            with pytest.raises(DatabaseFull):  # so that the duty pauses
                storage.reclaimer.work()
        while storage.reclaimer.work():
            pass
        assert storage.blobs.total_bytes() == 0
        assert storage.doomed.tidy() == 0
