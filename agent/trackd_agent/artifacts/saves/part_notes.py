"""Uploads in parts that outlive the agent: where the parts go, and which of them arrived.

One file each: a line of JSON with the addresses, then a line for each part that arrived. A line
that is missing or torn after a crash costs one part more. The addresses are as good as a key, so
the files are the user's alone. All of this blocks.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from trackd_agent.artifacts.saves.answers import FileAddress  # noqa: TC001 - msgspec resolves it

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: Servers keep parts, and addresses hold, no longer than this, in seconds.
_MAX_AGE_S = 7 * 24 * 3600.0


class _Head(msgspec.Struct, array_like=True):
    #: MD5 of each part, in hex.
    digests: list[str]
    address: FileAddress


class _Arrived(msgspec.Struct, array_like=True):
    number: int
    tag: str


_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class PartNotes:
    """The notes of one upload.

    Attributes:
        address: of the file and its parts.
        tags: what the server said to each part that arrived, by number.
    """

    address: FileAddress
    tags: dict[int, str]
    _path: Path

    def note(self, number: int, tag: str) -> None:
        """A part arrived; a disk that is full does not keep the others from it."""
        self.tags[number] = tag
        with contextlib.suppress(OSError):
            _append(self._path, _encode(_Arrived(number, tag)) + b"\n")

    def forget(self) -> None:
        """The upload has ended, or its addresses do not hold any more."""
        _remove(self._path)


def path_of(folder: Path, save: tuple[str, str], *names: str) -> Path:
    """Return where the notes of an upload are.

    Args:
        folder: with all of them.
        save: address of the server, and client id of the artifact.
        names: tell it from others of the save.
    """
    return folder / f"{_hashed(*save)}-{_hashed(*names)}"


def forget_all(folder: Path, save: tuple[str, str]) -> None:
    """Nobody goes on with the uploads of a save."""
    for path in folder.glob(f"{_hashed(*save)}-*"):
        _remove(path)


def _hashed(*names: str) -> str:
    return hashlib.sha256("\0".join(names).encode()).hexdigest()[:32]


def found(path: Path, digests: Sequence[str]) -> PartNotes | None:
    """Return what an earlier agent noted of an upload of these parts; None: nothing."""
    try:
        head, *lines = path.read_bytes().split(b"\n")
        noted = msgspec.json.decode(head, type=_Head)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if noted.digests != list(digests):
        return None
    notes = PartNotes(noted.address, {}, path)
    for line in lines:
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            arrived = msgspec.json.decode(line, type=_Arrived)
            notes.tags[arrived.number] = arrived.tag
    return notes


def begun(path: Path, digests: Sequence[str], address: FileAddress) -> PartNotes:
    """Begin the notes of an upload; those of uploads that nobody finishes any more go."""
    with contextlib.suppress(OSError):  # without notes a killed agent begins anew
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        _remove_old(path.parent)
        _append(path, _encode(_Head(list(digests), address)) + b"\n")
    return PartNotes(address, {}, path)


def _append(path: Path, line: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(line)


def _remove_old(folder: Path) -> None:
    oldest_s = time.time() - _MAX_AGE_S
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another upload just ended
            if path.stat().st_mtime < oldest_s:
                _remove(path)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # what stays is found useless, and goes when it is old
        path.unlink()
