"""fsck finds every sort of damage; collecting garbage takes what it may."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest
from tests.unit.server.storage.place import new_version, opened, pieces

from trackd_server.domain.artifacts import Artifacts
from trackd_server.domain.storage import Storage, contents
from trackd_server.domain.usage import collecting, fsck

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection

DATA = random.Random(3).randbytes(700_000)
WEEK_S = 7 * 86_400.0


async def filled(storage: Storage) -> int:
    """Store two files for a pending version; return it."""
    version = new_version(storage)

    def keep(connection: Connection, content_id: int) -> None:
        contents.hold(connection, version, [content_id])

    for data in (DATA, DATA[:300_000] + b"other"):
        await storage.receive(pieces(data), None, keep)
    assert fsck.check(storage, verify=True).ok
    return version


def a_pack(storage: Storage) -> Path:
    with storage.database.read() as connection:
        key = connection.exec_driver_sql("SELECT blob_key FROM packs ORDER BY id").first()
    assert key is not None
    return storage.blobs.folder / key.blob_key


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def remove(path: Path) -> None:
    path.unlink()


def turn_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def replace_by_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("harm", [cut_short, remove, replace_by_a_pipe])
async def test_a_pack_that_is_gone_or_short_is_found(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    with opened(tmp_path) as storage:
        await filled(storage)
        harm(a_pack(storage))
        report = fsck.check(storage)
        assert not report.ok
        (finding,) = report.rows_without_object.listed
        assert finding["table"] == "packs"
        assert fsck.check(storage, verify=True).damaged.found


async def test_a_bit_that_turned_is_found_by_verifying(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        await filled(storage)
        turn_a_bit(a_pack(storage))
        assert fsck.check(storage).ok
        report = fsck.check(storage, verify=True)
        assert report.damaged.found and "not the chunk's" in report.damaged.listed[0]["error"]


@pytest.mark.parametrize(
    ("harm", "table", "what"),
    [
        ("UPDATE contents SET refs = refs + 1", "contents", "refs"),
        ("UPDATE contents SET bytes = bytes + 1", "contents", "bytes"),
        ("UPDATE cdc_chunks SET refs = refs + 1 WHERE id = 1", "cdc_chunks", "refs"),
        ("UPDATE packs SET live_bytes = live_bytes - 1", "packs", "live_bytes"),
        ("DELETE FROM cdc_chunks WHERE id = 1", "content_chunks", "chunks"),
        ("DELETE FROM held_contents", "contents", "refs"),
    ],
)
async def test_counts_that_are_wrong_are_found(
    tmp_path: Path, harm: str, table: str, what: str
) -> None:
    with opened(tmp_path) as storage:
        await filled(storage)
        with storage.database.write() as connection:
            connection.exec_driver_sql(harm)
        findings = fsck.check(storage).wrong_counts.listed
        assert (table, what) in {(each["table"], each["what"]) for each in findings}


async def test_a_stray_file_is_found_and_collected(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        await filled(storage)
        stray = storage.blobs.folder / "ab" / "stray"
        stray.parent.mkdir(exist_ok=True)
        stray.write_bytes(b"123")
        (finding,) = fsck.check(storage).objects_without_row.listed
        assert finding == {"key": "ab/stray", "bytes": 3}
        artifacts = Artifacts(storage.database, storage)
        asked = collecting.collect(storage, artifacts, WEEK_S, dry_run=True)
        assert (asked.objects_without_row, asked.bytes) == (1, 3) and stray.exists()
        done = collecting.collect(storage, artifacts, WEEK_S, dry_run=False)
        assert (done.objects_without_row, done.bytes) == (1, 3) and not stray.exists()
        assert fsck.check(storage, verify=True).ok


async def test_abandoned_uploads_are_collected_when_asked_for(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        await filled(storage)
        artifacts = Artifacts(storage.database, storage)
        assert collecting.collect(storage, artifacts, WEEK_S, dry_run=False).expired_pending == 0
        assert storage.blobs.total_bytes() > len(DATA)
        assert collecting.collect(storage, artifacts, 0.0, dry_run=True).expired_pending == 1
        assert collecting.collect(storage, artifacts, 0.0, dry_run=False).expired_pending == 1
        assert storage.blobs.total_bytes() == 0
        assert fsck.check(storage).ok
