"""Durability: in the background while the owner goes on, and what it must not disturb."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import anyio
from tests.unit.journal.support import Shim, blob_of, check_rows, open_journal, read_all, shimmed

from trackd_agent.journal import keep_synced, sync_all

if TYPE_CHECKING:
    from pathlib import Path


async def test_dirty_journals_reach_the_disk_within_the_interval(tmp_path: Path) -> None:
    journals = [open_journal(tmp_path / f"{n}") for n in range(3)]
    async with anyio.create_task_group() as group:
        group.start_soon(keep_synced, lambda: journals, 0.01)
        for turn in range(1, 4):
            for journal in journals[:2]:
                journal.receive(*blob_of(journal.last_seq + 1, 5))
            with anyio.fail_after(5):
                while any(journal.is_dirty for journal in journals):
                    await anyio.sleep(0.005)
            assert [journal.synced_seq for journal in journals] == [5 * turn, 5 * turn, 0]
        group.cancel_scope.cancel()


async def test_a_refused_sync_is_tried_again(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j")
    journal.receive(*blob_of(1, 5))
    with shimmed(Shim(1, "EIO")):
        assert not await sync_all([journal])
    assert journal.is_dirty
    assert await sync_all([journal])
    assert await sync_all([])
    assert journal.synced_seq == 5


def test_syncing_in_a_thread_disturbs_no_append_roll_release_or_close(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j")
    descriptors = len(os.listdir("/proc/self/fd"))
    stop = threading.Event()
    failures: list[Exception] = []

    def sync_on_and_on() -> None:
        while not stop.is_set():
            try:
                journal.sync()
            except Exception as error:  # noqa: BLE001 - reported below
                failures.append(error)

    threads = [threading.Thread(target=sync_on_and_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    reader = journal.reader(0)
    for first in range(1, 6001, 10):
        journal.receive(*blob_of(first, 10))
        check_rows(read_all(reader), range(first, first + 10))
        journal.release(journal.last_seq)
    journal.close()
    stop.set()
    for thread in threads:
        thread.join()
    reader.close()
    assert not failures
    assert len(os.listdir("/proc/self/fd")) <= descriptors
    assert open_journal(tmp_path / "j").last_seq == 6000
