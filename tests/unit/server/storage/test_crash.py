"""Killed at any moment, with uploads and deletions going on: the books are right at the start."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.support.storage_load import drop, work
from tests.unit.server.storage.place import opened

from trackd_server.domain.usage import Accounts, fsck

if TYPE_CHECKING:
    from pathlib import Path

    from trackd_server.domain.storage import Storage

ROUNDS = 5


def assert_exact(storage: Storage) -> None:
    """Check books against disk: no difference, and the sum of the parts is what lies there."""
    report = fsck.check(storage, verify=True)
    assert report.ok, report
    with storage.database.read() as connection:
        usage = Accounts(connection).server(storage)
    assert usage.physical == usage.disk
    assert usage.in_transit == 0
    parts = sum(part.exclusive for part in usage.projects) + usage.shared + usage.index
    assert parts == usage.disk


def settle(storage: Storage) -> None:
    """Do all that a server does when nobody asks it for anything."""
    while storage.indexer.work() or storage.compressor.work() or storage.reclaimer.work():
        pass


def test_books_and_disk_agree_after_every_kill(tmp_path: Path) -> None:
    dice = random.Random(7)
    grown = 0
    for number in range(ROUNDS):
        command = [sys.executable, "-m", "tests.support.storage_load", str(tmp_path), str(number)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            for _ in range(dice.randrange(10, 60)):
                assert process.stdout.readline() == b"done\n"
            time.sleep(dice.uniform(0.0, 0.02))
            assert process.poll() is None
            process.kill()
        with opened(tmp_path) as storage:
            assert not any(storage.adoption.inbox.folder.iterdir())
            assert fsck.check(storage, verify=True).ok
            settle(storage)
            assert_exact(storage)
            grown = max(grown, storage.blobs.total_bytes())
    assert grown > 1_000_000, "the load did something"


async def test_a_load_that_is_not_killed_ends_exact(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        try:
            async with asyncio.timeout(2), asyncio.TaskGroup() as tasks:
                for number in range(6):
                    tasks.create_task(work(storage, random.Random(number)))
        except TimeoutError:
            pass
        settle(storage)
        assert_exact(storage)
        with storage.database.read() as connection:
            versions = [row.id for row in connection.exec_driver_sql("SELECT id FROM versions")]
        for version in versions:
            drop(storage, version)
        settle(storage)
        assert_exact(storage)
        assert storage.blobs.total_bytes() == 0
