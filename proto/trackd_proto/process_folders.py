"""Folders that belong to a process: whoever finds one whose process is gone may remove it.

The process holds a lock on its folder (`flock`), which ends with it however it ends, and which its
forked children hold as well. Where a disk has no locks nothing is removed. All of this blocks.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import stat
import weakref
from typing import TYPE_CHECKING

from trackd_proto import layout

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_NAME = re.compile(r"process-[0-9a-f]{16}")
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class ProcessFolder:
    """A new folder of this process; it goes with this object, if it is empty then.

    Args:
        root: where it lies, made if need be. What dead processes left there is removed.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, root: Path) -> None:
        remove_abandoned(root)
        self.path, descriptor = _made(root)
        weakref.finalize(self, _leave, self.path, descriptor, os.getpid())


def keep(folder: Path) -> None:
    """Let a folder within one of a process outlive it."""
    with contextlib.suppress(OSError):
        folder.chmod(0o1700)  # also a full disk takes this mark


def remove_abandoned(root: Path) -> None:
    """Remove what the folders of dead processes hold, but for what is kept."""
    with contextlib.suppress(OSError):
        for path in list(root.iterdir()):
            if _NAME.fullmatch(path.name):
                with contextlib.suppress(OSError), _locked(path):
                    _clear(path)


def _clear(path: Path) -> None:
    for each in list(path.iterdir()):
        if not each.stat(follow_symlinks=False).st_mode & stat.S_ISVTX:
            shutil.rmtree(each, ignore_errors=True)
    path.rmdir()


@contextlib.contextmanager
def _locked(path: Path) -> Generator[None]:
    descriptor = os.open(path, _FLAGS)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _made(root: Path) -> tuple[Path, int]:
    while True:
        path = root / f"process-{secrets.token_hex(8)}"
        layout.make_private(path)
        try:
            descriptor = os.open(path, _FLAGS)
        except FileNotFoundError:  # somebody took it for abandoned before it was locked
            continue
        if _lock(descriptor) and path.exists():
            return path, descriptor
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a folder, where the disk can; False: somebody is just removing it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _leave(path: Path, descriptor: int, pid: int) -> None:
    if os.getpid() == pid:  # not in a forked child
        with contextlib.suppress(OSError):
            path.rmdir()
    os.close(descriptor)
