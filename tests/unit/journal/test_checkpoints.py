"""Checkpoints: the former or the new state after any death, never anything else."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
from tests.unit.journal.support import Crash, PowerDisk, Shim, shimmed

from trackd_agent.core.errors import JournalFull
from trackd_agent.journal import Checkpoints

if TYPE_CHECKING:
    from pathlib import Path

STATES = [b"first", b"second" * 200, b"", b"fourth" * 2000, b"fifth"]


def test_the_last_stored_state_is_loaded_by_a_new_owner(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path, "http://host:1/").load() is None
    for state in STATES:
        Checkpoints(tmp_path, "http://host:1/").store(state)
        assert Checkpoints(tmp_path, "http://host:1/").load() == state
    one = Checkpoints(tmp_path, "http://host:1/")
    for state in STATES:
        one.store(state)
        assert one.load() == Checkpoints(tmp_path, "http://host:1/").load() == state


def test_names_do_not_mix(tmp_path: Path) -> None:
    Checkpoints(tmp_path, "a").store(b"of a")
    Checkpoints(tmp_path, "b").store(b"of b")
    assert Checkpoints(tmp_path, "a").load() == b"of a"
    assert Checkpoints(tmp_path, "b").load() == b"of b"
    assert Checkpoints(tmp_path, "c").load() is None


def test_a_file_torn_or_flipped_at_any_byte_leaves_the_former_state(tmp_path: Path) -> None:
    former, latest = b"former" * 20, b"latest" * 25
    Checkpoints(tmp_path, "u").store(former)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    Checkpoints(tmp_path, "u").store(latest)
    (newest,) = [path for path in tmp_path.iterdir() if before[path] != path.read_bytes()]
    whole = newest.read_bytes()
    used_bytes = 24 + len(latest)
    for at in range(used_bytes):
        for content in (
            whole[:at] + before[newest][at:],  # a write that stopped here
            whole[:at],  # a file that ends here
            whole[:at] + bytes((whole[at] ^ 0xFF,)) + whole[at + 1 :],
        ):
            newest.write_bytes(content)
            expected = latest if content[:used_bytes] == whole[:used_bytes] else former
            assert Checkpoints(tmp_path, "u").load() == expected
            if at % 16 == 0:
                Checkpoints(tmp_path, "u").store(b"next")
                assert Checkpoints(tmp_path, "u").load() == b"next"
                for path, raw in before.items():
                    path.write_bytes(raw)


@pytest.mark.parametrize("action", ["crash", "torn"])
@pytest.mark.parametrize("power_cut", [False, True])
def test_death_at_any_call_leaves_the_former_or_the_new_state(
    tmp_path: Path, action: str, power_cut: bool
) -> None:
    at = 0
    while True:
        at += 1
        folder = tmp_path / f"{at}"
        folder.mkdir()
        disk = PowerDisk(folder)
        stored: bytes | None = None
        storing = b""
        try:
            with disk.watched(Shim(at, action)):
                checkpoints = Checkpoints(folder, "u")
                for storing in STATES:
                    checkpoints.store(storing)
                    stored = storing
        except Crash:
            if power_cut:
                disk.cut_power(tmp_path / f"{at}-after", seed=at)
                folder = tmp_path / f"{at}-after"
            assert Checkpoints(folder, "u").load() in (stored, storing)
            Checkpoints(folder, "u").store(b"fresh")
            assert Checkpoints(folder, "u").load() == b"fresh"
            continue
        break
    assert at > len(STATES) * 2


@pytest.mark.parametrize("action", ["ENOSPC", "EIO", "short", "EINTR"])
def test_an_error_at_any_call_keeps_the_former_state_and_the_next_store_works(
    tmp_path: Path, action: str
) -> None:
    at = 0
    while True:
        at += 1
        folder = tmp_path / f"{at}"
        folder.mkdir()
        checkpoints = Checkpoints(folder, "u")
        shim = Shim(at, action)
        former: bytes | None = None
        with shimmed(shim):
            for state in STATES:
                try:
                    checkpoints.store(state)
                except JournalFull as error:
                    assert error.details["errno"] == str(getattr(errno, action))
                    assert Checkpoints(folder, "u").load() in (former, state)
                    checkpoints.store(state)
                former = state
        assert Checkpoints(folder, "u").load() == STATES[-1]
        if not shim.fired:
            break
    assert at > len(STATES) * 2
