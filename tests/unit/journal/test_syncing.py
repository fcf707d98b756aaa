"""Durability: in the background while the owner goes on, and what it must not disturb."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from tests.unit.journal.support import blob_of, check_rows, open_journal, read_all

if TYPE_CHECKING:
    from pathlib import Path


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
