"""When the facts of a file tell that it is still the same."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from trackd.artifacts.hashing import digest_file
from trackd.artifacts.known_files import identity_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("place")


def test_a_file_that_was_just_written_is_not_noted(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text("first")
    assert digest_file(file).facts is None  # a change now could leave the same time
    time.sleep(0.06)
    assert digest_file(file).facts is not None


def test_a_time_in_whole_seconds_tells_less(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text("first")
    at = int(time.time()) - 1
    os.utime(file, (at, at))
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
