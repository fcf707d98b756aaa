"""A disk that is soon full: a file system in memory, of a few MiB."""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_MNT_DETACH = 2


@contextmanager
def disk_of(size_bytes: int, folder: Path) -> Generator[Path]:
    """Mount a new disk on a folder that is made for it; skip the test where that is forbidden."""
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    target = os.fsencode(folder)
    if libc.mount(b"none", target, b"tmpfs", 0, f"size={size_bytes}".encode()):
        pytest.skip(f"cannot mount a tmpfs here: {os.strerror(ctypes.get_errno())}")
    try:
        yield folder
    finally:
        libc.umount2(target, _MNT_DETACH)
