"""Files are copied whole while they are hashed, and what goes wrong is told."""

from __future__ import annotations

import errno
import hashlib
import random
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from trackd.artifacts.hashing import copy_and_digest, digest_file
from trackd.copying import blocks_of

if TYPE_CHECKING:
    from pathlib import Path

DATA = random.Random(1).randbytes(9_000_001)


def copiers() -> int:
    return sum(thread.name == "trackd-copy" for thread in threading.enumerate())


@pytest.mark.parametrize("size", [0, 1, 262_144, 4 * 1024 * 1024, len(DATA)])
def test_the_copy_is_the_file(tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(DATA[:size])
    copied = copy_and_digest(tmp_path / "file", tmp_path / "copy", "MD5")
    assert (tmp_path / "copy").read_bytes() == DATA[:size]
    assert copied.size == size
    assert copied.digest == digest_file(tmp_path / "file").digest
    assert copiers() == 0


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    with (
        (tmp_path / "file").open("rb", buffering=0) as source,
        open("/dev/full", "wb", buffering=0) as full,
        pytest.raises(OSError, match="space") as caught,
    ):
        list(blocks_of(source, full, len(DATA)))
    assert caught.value.errno == errno.ENOSPC
    assert copiers() == 0


def test_who_stops_early_leaves_no_thread(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    with (
        (tmp_path / "file").open("rb", buffering=0) as source,
        (tmp_path / "copy").open("wb", buffering=0) as target,
        closing(blocks_of(source, target, len(DATA))) as blocks,
    ):
        assert next(blocks) == DATA[:262_144]
        assert copiers() == 1
        blocks.close()
        assert copiers() == 0


def test_without_threads_it_is_copied_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    (tmp_path / "file").write_bytes(DATA)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    copied = copy_and_digest(tmp_path / "file", tmp_path / "copy", "MD5")
    assert hashlib.md5((tmp_path / "copy").read_bytes()).digest() == hashlib.md5(DATA).digest()
    assert copied.size == len(DATA)
