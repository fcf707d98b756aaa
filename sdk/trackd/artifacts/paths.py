"""Paths inside an artifact: POSIX, relative, normalised."""

from __future__ import annotations

import os
from pathlib import PurePath, PurePosixPath, PureWindowsPath


def logical_path(path: str | bytes | os.PathLike[str]) -> str:
    """Return a path inside an artifact in its one form: `a//b/./c/` is `a/b/c`.

    Raises:
        ValueError: it is empty, absolute (for POSIX or Windows) or leads out with `..`.
    """
    text = path.as_posix() if isinstance(path, PurePath) else os.fsdecode(path)
    posix, windows = PurePosixPath(text), PureWindowsPath(text)
    if not posix.parts or posix.anchor or windows.anchor or ".." in (*posix.parts, *windows.parts):
        raise ValueError(
            f"path {text!r} is no place inside an artifact: give a relative path without '..'"
        )
    return str(posix)
