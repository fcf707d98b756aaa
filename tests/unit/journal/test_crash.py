"""Death at every call that changes the disk, and power cuts, against a model.

One scripted workload uses everything: receive with repeats and overlaps, the agent's own records,
rolls, sync, release, checkpoints, close and reopen. It is run once for each call that it makes,
and stopped right before that call (or half-way through it, where it is a write). Then the journal
is opened again as after a crash, and compared with what the workload had been promised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.unit.journal.support import (
    KIND,
    Crash,
    PowerDisk,
    Shim,
    blob_of,
    check_rows,
    open_journal,
    payload_of,
    read_all,
    shimmed,
)

from trackd_agent.journal import Checkpoints

if TYPE_CHECKING:
    from pathlib import Path

UPSTREAM = "http://127.0.0.1:8080"


@dataclass
class Promise:
    """What the workload knows: everything here must hold after any death."""

    acked: int = 0  # a receipt was returned
    tried: int = 0  # was on its way
    synced: int = 0  # a sync returned
    released: int = 0  # a release was asked for
    stored: int = 0  # checkpoint that was stored
    storing: int = 0  # checkpoint that was on its way


def work(folder: Path, promise: Promise) -> None:
    """Use everything that a journal can do."""
    journal = open_journal(folder)
    checkpoints = Checkpoints(folder, UPSTREAM)
    for turn in range(12):
        first = max(1, promise.acked + 1 - turn % 4 * 3)  # some of it is known already
        count = 12 + turn
        promise.tried = max(promise.tried, first + count - 1)
        promise.acked = journal.receive(*blob_of(first, count)).acked_seq
        if turn % 3 == 1:
            promise.tried += 1
            promise.acked = journal.append(KIND, payload_of(journal.last_seq + 1))
        if turn % 3 == 2:
            journal.sync()
            promise.synced = promise.acked
        if turn % 4 == 3:
            promise.storing = max(1, promise.acked - 10)
            checkpoints.store(b"%d" % promise.storing * 50)
            promise.stored = promise.storing
            promise.released = promise.stored
            journal.release(promise.released)
        if turn == 7:
            journal.close()
            journal = open_journal(folder)
    journal.close()


def check(folder: Path, promise: Promise, sure: int, *, power_cut: bool = False) -> None:
    """Recover and compare: everything up to `sure` is there, nothing is wrong, work goes on."""
    for attempt in range(2):  # recovery of a recovered journal changes nothing
        journal = open_journal(folder)
        assert sure <= journal.last_seq <= promise.tried
        reader = journal.reader(promise.released)
        frames = read_all(reader)
        for frame in frames:
            assert bytes(frame.payload) == payload_of(frame.seq)
        found = [frame.seq for frame in frames]
        assert found == sorted(set(found))
        assert set(range(promise.released + 1, sure + 1)) <= set(found)
        gone = {seq for first, last in reader.missing for seq in range(first, last + 1)}
        assert set(found) | gone == set(range(promise.released + 1, journal.last_seq + 1))
        if not power_cut:
            assert not gone
            assert not reader.damages
        journal.close()
        stored = Checkpoints(folder, UPSTREAM).load()
        assert stored in ([None] if not promise.stored else []) + [
            b"%d" % seq * 50 for seq in (promise.stored, promise.storing)
        ]
        assert attempt == 0 or journal.torn_bytes == 0
    journal = open_journal(folder)
    after = journal.last_seq
    journal.receive(*blob_of(max(1, after - 3), 10))
    check_rows(read_all(journal.reader(after)), range(after + 1, max(1, after - 3) + 10))
    Checkpoints(folder, UPSTREAM).store(b"fresh")
    assert Checkpoints(folder, UPSTREAM).load() == b"fresh"
    journal.close()


@pytest.mark.parametrize("action", ["crash", "torn"])
def test_death_at_any_call_loses_nothing_that_was_acknowledged(tmp_path: Path, action: str) -> None:
    at = 0
    while True:
        at += 1
        folder = tmp_path / f"{at}"
        promise = Promise()
        shim = Shim(at, action)
        try:
            with shimmed(shim):
                work(folder, promise)
        except Crash:
            check(folder, promise, sure=promise.acked)
            continue
        break
    assert at > 60  # the workload makes so many calls; each was the last one once


def test_death_during_recovery_at_any_call_loses_nothing(tmp_path: Path) -> None:
    """A second crash, while the damage of the first is being repaired."""
    crashes = 0
    for first in range(5, 60, 6):
        for second in range(1, 20):
            folder = tmp_path / f"{first}-{second}"
            promise = Promise()
            with pytest.raises(Crash), shimmed(Shim(first, "torn")):
                work(folder, promise)
            shim = Shim(second, "torn")
            try:
                with shimmed(shim):
                    open_journal(folder)
            except Crash:
                crashes += 1
                check(folder, promise, sure=promise.acked)
                continue
            break
    assert crashes >= 5


def test_death_while_a_journal_is_destroyed_leaves_no_older_checkpoint(tmp_path: Path) -> None:
    at = 0
    while True:
        at += 1
        folder = tmp_path / f"{at}"
        journal = open_journal(folder)
        journal.receive(*blob_of(1, 100))
        checkpoints = Checkpoints(folder, UPSTREAM)
        for state in (b"older", b"newer"):
            checkpoints.store(state)
        try:
            with shimmed(Shim(at, "crash")):
                journal.destroy()
        except Crash:
            assert Checkpoints(folder, UPSTREAM).load() in (b"newer", None)
            open_journal(folder).destroy()
            assert not folder.exists()
            continue
        break
    assert at == 5  # one segment, two checkpoints, the folder, and once without a crash
    assert not folder.exists()


@pytest.mark.parametrize("variant", range(6))
def test_a_power_cut_at_any_call_keeps_what_was_synced(tmp_path: Path, variant: int) -> None:
    at = 0
    while True:
        at += 1
        folder = tmp_path / f"{at}"
        folder.mkdir()
        disk = PowerDisk(folder)
        promise = Promise()
        try:
            with disk.watched(Shim(at, "crash")):
                work(folder, promise)
        except Crash:
            after = tmp_path / f"{at}-after"
            disk.cut_power(after, seed=at * 100 + variant)
            check(after, promise, sure=promise.synced, power_cut=True)
            continue
        break
    assert at > 60
