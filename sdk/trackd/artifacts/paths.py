"""Paths inside an artifact: POSIX, relative, normalised."""

from __future__ import annotations

import os
import re
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any

#: Already in its one form, as most are: names that begin with a letter, digit or `_`.
_PLAIN = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.\-]*(/[a-zA-Z0-9_][a-zA-Z0-9_.\-]*)*")


class LogicalPath(str):
    """A path inside an artifact: a text that has what a `PurePosixPath` has, too.

    What gives paths there, such as `parent`, `with_suffix` or `/`, gives paths of this class here.
    """

    __slots__ = ()

    def to_path(self) -> PurePosixPath:
        """Return it as a path of `pathlib`."""
        return PurePosixPath(self)

    def __getattr__(self, name: str) -> Any:
        found: Any = getattr(self.to_path(), name)
        if not callable(found):
            return _as_logical(found)

        def call(*args: Any, **options: Any) -> Any:
            return _as_logical(found(*args, **options))

        return call

    def __truediv__(self, other: str | os.PathLike[str]) -> LogicalPath:
        return LogicalPath(self.to_path() / other)


def _as_logical(found: Any) -> Any:
    return LogicalPath(found) if isinstance(found, PurePosixPath) else found


def logical_path(path: str | bytes | os.PathLike[str]) -> LogicalPath:
    """Return a path inside an artifact in its one form: `a//b/./c/` is `a/b/c`.

    Raises:
        ValueError: it is empty, absolute (POSIX or Windows), leads out with `..`, is no UTF-8, or
            has a zero byte.
    """
    text = path if isinstance(path, str) else _text_of(path)
    if _PLAIN.fullmatch(text):
        return text if type(text) is LogicalPath else LogicalPath(text)
    posix, windows = PurePosixPath(text), PureWindowsPath(text)
    if not posix.parts or posix.anchor or windows.anchor or ".." in (*posix.parts, *windows.parts):
        raise ValueError(
            f"path {text!r} is no place inside an artifact: give a relative path without '..'"
        )
    if "\0" in text:
        raise ValueError(f"path {text!r} has a zero byte, which no file system takes: remove it")
    try:
        str(posix).encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"path {text!r} is not valid UTF-8, as paths inside an artifact have to be: rename "
            "the file, or add it under another name"
        ) from None
    return LogicalPath(posix)


def member_path(name: str | os.PathLike[str], suffix: str) -> LogicalPath:
    """Return the path of the JSON file of a table or media inside an artifact.

    Args:
        name: as the user gave it; `.` and `..` are names here, since something follows them.
        suffix: kind of value, such as `table`.

    Raises:
        ValueError: see `logical_path`.
    """
    ending = f".{suffix}.json"
    text = str(PurePosixPath(_text_of(name)))
    return logical_path(text if text.endswith(ending) else text + ending)


def _text_of(path: str | bytes | os.PathLike[str]) -> str:
    return path.as_posix() if isinstance(path, PurePath) else os.fsdecode(path)
