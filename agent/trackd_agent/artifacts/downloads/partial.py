"""Large files that are on their way for long: what a killed agent had of them is not fetched again.

Such a file has a name beside its own, `.trackd-download-<hex>`, as long as it is not whole, and
behind its end the ranges that were written: 16 bytes each, begin and end (little-endian). They are
added once the bytes are written, and cut off before the file gets its own name. Whatever became of
it meanwhile, the whole file is compared with its digest. All of this blocks.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
import struct
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trackd_agent.artifacts.downloads.entries import Entry

PREFIX = ".trackd-download-"
#: What nobody went on with for so long goes, in seconds.
_ABANDONED_S = 24 * 3600.0
_RANGE = struct.Struct("<QQ")
#: Ranges that are read again; those that follow one another are one.
_MAX_RANGES = 100_000


def name_of(entry: Entry) -> str:
    """Return the name of an entry's file while it is not whole."""
    key = f"{entry.path}\0{entry.algorithm}\0{entry.digest}".encode()
    return PREFIX + hashlib.sha256(key).hexdigest()[:24]


def open_in(folder: int, name: str) -> int | None:
    """Return a descriptor of an unfinished file, for us alone; None: there cannot be one.

    Somebody else writes it, or the name is that of something else, such as a link.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, 0o666, dir_fd=folder)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mine, named = os.fstat(descriptor), os.stat(name, dir_fd=folder, follow_symlinks=False)
        is_plain = stat.S_ISREG(mine.st_mode) and mine.st_nlink == 1
        if is_plain and mine.st_uid == os.geteuid() and os.path.samestat(mine, named):
            return descriptor
    except OSError:
        pass  # it is locked, or just got its own name
    os.close(descriptor)
    return None


def remove_from(folder: int, name: str) -> None:
    """Remove an unfinished file that is not needed any more, unless somebody writes it."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return
    if (descriptor := open_in(folder, name)) is not None:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=folder)
        os.close(descriptor)


def remove_abandoned(folder: int) -> None:
    """Remove what agents that were killed left in a folder long ago."""
    oldest_s = time.time() - _ABANDONED_S
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for each in found:
            if (
                each.name.startswith(PREFIX)
                and each.stat(follow_symlinks=False).st_mtime < oldest_s
            ):
                remove_from(folder, each.name)


class Partial:
    """An unfinished file: which ranges of it are written. Any number of threads may note some.

    Args:
        descriptor: of the file.
        size_bytes: it will have.
    """

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        self._descriptor = descriptor
        self._size_bytes = size_bytes
        self._lock = threading.Lock()
        self._ranges = self._read()
        #: Which range ends where, to be continued.
        self._by_end: dict[int, int] = {}
        #: Whether an earlier agent left something of it.
        self.was_begun = bool(self._ranges)
        if not self.was_begun:
            os.ftruncate(descriptor, 0)

    def _read(self) -> list[tuple[int, int]]:
        data = os.pread(self._descriptor, _MAX_RANGES * _RANGE.size, self._size_bytes)
        whole = data[: len(data) // _RANGE.size * _RANGE.size]
        ranges: list[tuple[int, int]] = list(_RANGE.iter_unpack(whole))
        is_sane = all(begin < end <= self._size_bytes for begin, end in ranges)
        return ranges if is_sane else []

    def gaps(self) -> list[tuple[int, int]]:
        """Return the ranges that are missing, in order."""
        found: list[tuple[int, int]] = []
        at = 0
        for begin, end in sorted(self._ranges):
            if begin > at:
                found.append((at, begin))
            at = max(at, end)
        return [*found, (at, self._size_bytes)] if at < self._size_bytes else found

    def note(self, begin: int, end: int) -> None:
        """A range is written; where that cannot be noted it is fetched again some day."""
        with self._lock:
            index = self._by_end.pop(begin, len(self._ranges))
            if index < len(self._ranges):
                begin = self._ranges[index][0]
            self._ranges[index : index + 1] = [(begin, end)]
            self._by_end[end] = index
            with contextlib.suppress(OSError):
                place = self._size_bytes + index * _RANGE.size
                os.pwrite(self._descriptor, _RANGE.pack(begin, end), place)

    def forget(self) -> None:
        """The file begins anew."""
        with self._lock:
            self._ranges, self._by_end = [], {}
            self.was_begun = False
            os.ftruncate(self._descriptor, 0)

    def seal(self) -> None:
        """All is written: leave nothing but the content."""
        os.ftruncate(self._descriptor, self._size_bytes)
