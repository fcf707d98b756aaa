"""A disk that is full to the last byte: deletions and a start have the reserve, all else waits."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.disks import disk_of
from tests.unit.server.artifact_client import Logger
from tests.unit.server.serving import Serving, serving

from trackd_server.domain.usage import Accounts, fsck
from trackd_server.store import reserve

if TYPE_CHECKING:
    from collections.abc import Generator

MIB = 1024 * 1024
DISK_BYTES = 48 * MIB
FILES = [random.Random(n).randbytes(3 * MIB) for n in range(2)]


def make_small() -> None:
    """Let reserves be of 2 MiB."""
    reserve.BYTES, reserve.ROOM_BYTES = 2 * MIB, 8 * MIB


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reserve, "BYTES", reserve.BYTES)
    monkeypatch.setattr(reserve, "ROOM_BYTES", reserve.ROOM_BYTES)
    make_small()


@pytest.fixture
def disk(tmp_path: Path) -> Generator[Path]:
    with disk_of(DISK_BYTES, tmp_path / "disk") as folder:
        yield folder


def fill(disk: Path) -> None:
    """Leave no byte on the disk."""
    with (disk / "ballast").open("ab", buffering=0) as file:
        for size in (MIB, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def log_and_fill(server: Serving, disk: Path) -> list[str]:
    """Log two versions, and fill the disk; return their ids."""
    ids = [Logger(server, f"c{n}").log({"file": data}) for n, data in enumerate(FILES)]
    fill(disk)
    return ids


def assert_exact(server: Serving) -> None:
    storage = server.services.storage
    with storage.database.read() as connection:
        usage = Accounts(connection).server(storage)
    assert usage.physical == usage.disk
    on_disk = sum(p.stat().st_size for p in storage.blobs.folder.parent.glob("trackd.sqlite*"))
    assert usage.disk - usage.disk_blobs == on_disk
    assert fsck.check(storage, verify=True).ok


def test_a_deletion_has_room_where_nothing_else_has(disk: Path) -> None:
    with serving(disk / "server") as server:
        kept = server.services.database.reserve
        ids = log_and_fill(server, disk)
        assert Logger(server).delete(ids[0]).status_code == 503, "there is no reserve yet"
        (disk / "ballast").unlink()
        kept.refill()
        assert kept.size_bytes() == reserve.BYTES
        assert_exact(server)
        fill(disk)
        query = "mutation M($i: UpsertBucketInput!) { upsertBucket(input: $i) { inserted } }"
        for _ in range(2):
            named = {"i": {"modelName": "p", "name": "r"}}
            assert server.post_graphql(query, named).status_code == 503
        assert kept.size_bytes() == reserve.BYTES, "it is for deletions"
        assert Logger(server).delete(ids[0]).status_code == 200
        assert kept.size_bytes() == 0
        assert_exact(server)
        fill(disk)
        answer = server.post_graphql(query, {"i": {"modelName": "p", "name": "r"}})
        assert answer.status_code == 503
        os.truncate(disk / "ballast", (disk / "ballast").stat().st_size - MIB)
        answer = server.post_graphql(query, {"i": {"modelName": "p", "name": "r"}})
        assert answer.status_code == 503 and "for deletions" in answer.text
        kept.refill()
        assert kept.size_bytes() == 0, "there is not enough room"
        assert Logger(server).delete(ids[1]).status_code == 200
        (disk / "ballast").unlink()
        kept.refill()
        assert kept.size_bytes() == reserve.BYTES
        server.upsert()
        assert_exact(server)


def test_a_disk_with_room_needs_no_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path / "server") as server:
        kept = server.services.database.reserve
        monkeypatch.setattr(reserve, "TIGHT_BYTES", reserve.ROOM_BYTES)
        kept.refill()
        assert not kept.path.exists()
        monkeypatch.setattr(reserve, "TIGHT_BYTES", 2**60)
        kept.refill()
        assert kept.size_bytes() == reserve.BYTES
        assert_exact(server)


def killed(disk: Path) -> None:
    """Log to a server on a disk that is full then, and die."""
    make_small()
    with serving(disk / "server") as server:
        server.services.database.reserve.refill()
        print(*log_and_fill(server, disk), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_server_that_was_killed_on_a_full_disk_starts(disk: Path) -> None:
    command = [sys.executable, "-m", "tests.unit.server.storage.test_reserve", str(disk)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    first, second = done.stdout.split()
    fill(disk)
    with serving(disk / "server") as server:
        assert Logger(server).read(second, "state")["state"] == "COMMITTED"
        assert Logger(server).delete(first).status_code == 200
        assert_exact(server)
    with serving(disk / "server") as server:
        assert Logger(server).read(first, "state") is None
        assert server.services.database.reserve.size_bytes() == 0
        (disk / "ballast").unlink()
        server.services.database.reserve.refill()
        assert_exact(server)


if __name__ == "__main__":
    killed(Path(sys.argv[1]))
