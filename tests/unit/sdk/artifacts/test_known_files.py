"""When the facts of a file tell that it is still the same."""

from __future__ import annotations

import mmap
import os
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from trackd.artifacts import hashing
from trackd.artifacts.hashing import digest_file
from trackd.artifacts.known.file_systems import is_on_own_disk, mapped_files
from trackd.artifacts.known.known_files import KnownFiles, Source, identity_of
from trackd.remote.connection import Remote
from trackd.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("place")


@pytest.fixture
def set_age(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, float], None]:
    """Let it be so many seconds after the last change of a file."""

    def let_be(file: Path, age_s: float) -> None:
        now_s = file.stat().st_ctime + age_s
        monkeypatch.setattr(hashing, "time", SimpleNamespace(time=lambda: now_s))

    return let_be


def test_a_file_that_was_just_written_is_not_noted(
    tmp_path: Path, set_age: Callable[[Path, float], None]
) -> None:
    file = tmp_path / "x"
    file.write_text("first")
    set_age(file, 0.01)
    assert digest_file(file).facts is None  # a change now could leave the same time
    set_age(file, 0.06)
    assert digest_file(file).facts is not None


def test_a_time_that_was_set_back_does_not_hide_that_a_file_is_new(
    tmp_path: Path, set_age: Callable[[Path, float], None]
) -> None:
    file = tmp_path / "x"
    file.write_text("first")
    os.utime(file, (1_700_000_000, 1_700_000_000))
    set_age(file, 0.01)
    assert digest_file(file).facts is None


def test_a_file_that_is_mapped_for_writing_is_not_noted(tmp_path: Path) -> None:
    """Its bytes change without a change of its times, as the first lines prove."""
    for name in ("mapped", "read", "plain"):
        (tmp_path / name).write_bytes(b"a" * 8192)
    with (tmp_path / "mapped").open("r+b") as file, (tmp_path / "read").open("rb") as other:
        written = mmap.mmap(file.fileno(), 8192)
        only_read = mmap.mmap(other.fileno(), 8192, access=mmap.ACCESS_READ)
        written[0:1] = b"b"
        time.sleep(0.06)
        for byte in b"cdefghijkl":  # the disk may take the page between two of them
            before = identity_of((tmp_path / "mapped").stat())
            written[0] = byte
            if identity_of((tmp_path / "mapped").stat()) == before:
                break
        else:
            pytest.fail("the times of a mapped file follow its bytes here")
        assert mapped_files() == {before[:2]} | (mapped_files() or set())

        source = Source(str(tmp_path), "MD5")
        known = KnownFiles(source, Remote(Settings()))
        for name in ("mapped", "read", "plain"):
            known.learn(name, digest_file(tmp_path / name))
        known.write("client")
        written.close()
        only_read.close()
    later = KnownFiles(source, None)
    facts = {name: (tmp_path / name).stat() for name in ("mapped", "read", "plain")}
    assert [name for name, each in facts.items() if later.find(name, each)] == ["read", "plain"]


def test_file_systems_of_other_machines_are_not_trusted(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "2 1 0:5 / /net rw master:2 shared:3 - nfs4 host:/x rw\n"
        "3 1 8:2 / /with\\040blank rw - xfs /dev/sdb rw\n"
        "4 1 0:6 / /over rw - ext4 /dev/sdc rw\n"
        "5 4 0:7 / /over rw - fuse.sshfs host: rw\n"
    )
    known = {p: is_on_own_disk(p, mounts) for p in ("/home", "/net/a", "/with blank/a", "/over/a")}
    assert known == {"/home": True, "/net/a": False, "/with blank/a": True, "/over/a": False}
    assert is_on_own_disk("/network", mounts)
    assert not is_on_own_disk("/home", tmp_path / "nothing")


def test_a_time_in_whole_seconds_tells_less(
    tmp_path: Path, set_age: Callable[[Path, float], None]
) -> None:
    file = tmp_path / "x"
    file.write_text("first")
    at = int(file.stat().st_ctime) - 1
    os.utime(file, (at, at))
    set_age(file, 0.06)
    facts = file.stat()
    is_whole = facts.st_ctime_ns % 1_000_000_000 == 0  # as on file systems that tell no more
    assert (digest_file(file).facts is None) == is_whole


def test_other_bytes_with_the_old_time_are_another_file(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text("first")
    os.utime(file, (1_700_000_000, 1_700_000_000))
    before = identity_of(file.stat())
    time.sleep(0.02)
    file.write_text("FIRST")
    os.utime(file, (1_700_000_000, 1_700_000_000))
    assert identity_of(file.stat()) != before
