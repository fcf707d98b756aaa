"""Folders of the data directory."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from trackd_proto import layout

if TYPE_CHECKING:
    from pathlib import Path


def test_a_data_directory_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        layout.make_private(tmp_path / "data" / "agent" / "spool")
        layout.make_private(tmp_path / "data" / "agent" / "spool")
    finally:
        os.umask(before)
    for folder in ("data", "data/agent", "data/agent/spool"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700


def test_a_file_in_the_way_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(OSError, match="data"):
        layout.make_private(tmp_path / "data" / "agent")
