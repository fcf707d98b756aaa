"""No space, I/O errors, short writes: nothing is lost silently, and work goes on afterwards."""

from __future__ import annotations

import errno
import os
import resource
from typing import TYPE_CHECKING

import pytest
from tests.support.disks import disk_of
from tests.unit.journal.support import (
    KIND,
    PRODUCER,
    SMALL,
    Shim,
    blob_of,
    check_rows,
    open_journal,
    payload_of,
    read_all,
    shimmed,
)

from trackd_agent.core.errors import JournalFull
from trackd_agent.journal import Checkpoints, Journal, JournalConfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def insist(call: Callable[[], object]) -> int:
    """Repeat a call as rank and pump do, until it works; return how often it was refused."""
    for refused in range(10):
        try:
            call()
        except JournalFull as error:
            assert error.retryable
        else:
            return refused
    raise AssertionError("refused for ever")


def work(folder: Path) -> tuple[Journal, int]:
    """Fill a journal against all odds; return it and how often something was refused."""
    opened: list[Journal] = []
    refused = insist(lambda: opened.append(open_journal(folder)))
    (journal,) = opened
    checkpoints = Checkpoints(folder, "upstream")
    for turn in range(10):
        first = journal.last_seq + 1

        def receive(first: int = first) -> None:
            journal.receive(*blob_of(first, 12))

        refused += insist(receive)
        refused += insist(journal.sync)
        refused += insist(lambda: journal.append(KIND, payload_of(journal.last_seq + 1)))
        if turn % 3 == 2:
            refused += insist(lambda: checkpoints.store(b"%d" % journal.last_seq))
            refused += insist(lambda: journal.release(30))
    return journal, refused


@pytest.mark.parametrize("action", ["ENOSPC", "EIO", "EDQUOT", "EINTR", "short"])
def test_an_error_at_any_call_is_said_and_then_forgotten(tmp_path: Path, action: str) -> None:
    at = 0
    while True:
        at += 1
        folder = tmp_path / f"{at}"
        shim = Shim(at, action)
        with shimmed(shim):
            journal, refused = work(folder)
        if not shim.fired:
            break
        assert refused <= 1  # exactly the call that met the error; none after it
        assert action != "short" or not refused
        reader = journal.reader(30)
        check_rows(read_all(reader), range(31, 131))
        assert not reader.damages
        journal.close()
        journal = open_journal(folder)
        assert (journal.last_seq, journal.torn_bytes) == (130, 0)
        check_rows(read_all(journal.reader(30)), range(31, 131))
        assert Checkpoints(folder, "upstream").load() == b"117"
        journal.close()
    assert at > 60


def test_a_write_that_fails_half_way_leaves_no_trace(tmp_path: Path) -> None:
    """Short write, then no space; and even the cut fails: the next call cuts first."""
    journal = open_journal(tmp_path / "j", JournalConfig())
    journal.receive(*blob_of(1, 10))
    shim = Shim(1, "short")
    with shimmed(shim):
        original = shim.originals["write"]

        def write(descriptor: int, data: bytes) -> int:
            if shim.fired:
                raise OSError(errno.ENOSPC, "No space left on device")
            shim.fired = True
            return original(descriptor, bytes(data)[:333])

        def ftruncate(descriptor: int, length: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        os.write, os.ftruncate = write, ftruncate
        for _ in range(3):
            with pytest.raises(JournalFull):
                journal.receive(*blob_of(11, 10))
    (segment,) = journal.segments
    assert segment.path.stat().st_size == segment.size_bytes + 333
    check_rows(read_all(journal.reader(0)), range(1, 11))  # readers never see the half
    journal.receive(*blob_of(11, 10))
    assert segment.path.stat().st_size == segment.size_bytes
    check_rows(read_all(journal.reader(0)), range(1, 21))


def test_failing_syncs_do_not_use_up_descriptors(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j", SMALL)
    journal.receive(*blob_of(1, 100))
    journal.receive(*blob_of(101, 100))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with shimmed(Shim(1, "EIO")), pytest.raises(JournalFull):
            journal.sync()
        assert journal.is_dirty
    assert len(os.listdir("/proc/self/fd")) == before
    journal.sync()
    assert not journal.is_dirty
    assert journal.synced_seq == 200
    journal.close()


def test_a_really_full_disk_refuses_and_takes_up_again_when_there_is_space(tmp_path: Path) -> None:
    with disk_of(1024 * 1024, tmp_path / "disk") as disk:
        config = JournalConfig(segment_max_bytes=128 * 1024)
        journal = Journal.open(disk / "j", PRODUCER, 1, config)
        checkpoints = Checkpoints(disk / "j", "upstream")
        checkpoints.store(b"state" * 100)
        with pytest.raises(JournalFull) as caught:
            while True:
                journal.receive(*blob_of(journal.last_seq + 1, 64))
        assert caught.value.details["errno"] == str(errno.ENOSPC)
        held = journal.last_seq
        for _ in range(5):
            with pytest.raises(JournalFull):
                journal.receive(*blob_of(held + 1, 64))
        check_rows(read_all(journal.reader(0)), range(1, held + 1))
        checkpoints.store(b"later" * 100)  # on a full disk: what lets segments go
        journal.sync()
        assert journal.release(held // 2) > 0
        journal.receive(*blob_of(held + 1, 64))  # at once, without being told
        journal.close()
        journal = Journal.open(disk / "j", PRODUCER, 1, config)
        assert journal.last_seq == held + 64
        check_rows(read_all(journal.reader(held // 2)), range(held // 2 + 1, held + 65))
        assert checkpoints.load() == b"later" * 100
        journal.close()


def test_a_file_size_limit_is_such_an_error_too(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j", JournalConfig())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        with pytest.raises(JournalFull) as caught:
            while True:
                journal.receive(*blob_of(journal.last_seq + 1, 64))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.details["errno"] == str(errno.EFBIG)
    held = journal.last_seq
    journal.receive(*blob_of(held + 1, 64))
    journal.close()
    assert open_journal(tmp_path / "j").last_seq == held + 64


def test_an_unwritable_folder_is_said_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(JournalFull, match="file/j"):
        open_journal(tmp_path / "file" / "j")
