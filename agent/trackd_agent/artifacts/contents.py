"""Contents of files: their digests, copies of them, and which files are known to hold what.

Everything here blocks: it belongs into worker threads.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    Bytes = bytes | bytearray | memoryview

MD5, XXH128 = "MD5", "XXH128"
_BLOCK_BYTES = 1024 * 1024
#: `ioctl` that lets a file share the blocks of another one (btrfs, XFS).
_FICLONE = 0x40049409
_NO_CLONE = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM)
#: A file that was written to later than this before it was hashed may change without a trace:
#: clocks of file systems have ticks.
_TICK_NS = 50_000_000


class Hasher(Protocol):
    """Takes bytes, gives a digest."""

    def update(self, data: Bytes, /) -> None:
        """Take the next bytes."""
        ...

    def digest(self) -> bytes:
        """Return the digest of all bytes so far."""
        ...


def hasher(algorithm: str) -> Hasher:
    """Return what computes digests of an algorithm (`MD5` or `XXH128`)."""
    if algorithm == XXH128:
        import xxhash  # few artifacts use it

        return xxhash.xxh3_128()
    return hashlib.md5(usedforsecurity=False)


def never() -> None:
    """Stop nothing."""


def digest_of(descriptor: int, algorithm: str, check: Callable[[], None] = never) -> bytes:
    """Return the digest of an open file from its beginning; its position stays.

    Args:
        descriptor: the file.
        algorithm: `MD5` or `XXH128`.
        check: called for each piece; raises to stop.
    """
    state = hasher(algorithm)
    offset = 0
    while block := os.pread(descriptor, _BLOCK_BYTES, offset):
        check()
        state.update(block)
        offset += len(block)
    return state.digest()


def write_all(descriptor: int, data: Bytes, offset: int) -> None:
    """Write all bytes at a place of a file.

    Raises:
        OSError: the disk is full, or fails.
    """
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def copy(source: int, target: int) -> None:
    """Fill an empty file with the content of another: shared blocks where the disk can do that.

    Raises:
        OSError: the disk is full, or fails.
    """
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno not in _NO_CLONE:
            raise
    else:
        return
    size_bytes, offset = os.fstat(source).st_size, 0
    while offset < size_bytes:
        try:
            copied = os.copy_file_range(source, target, size_bytes - offset, offset, offset)
        except OSError as error:
            if error.errno not in _NO_CLONE:
                raise
            copied = 0
        if not copied:  # another file system: by hand
            block = os.pread(source, _BLOCK_BYTES, offset)
            if not block:
                return  # it got shorter: the digest will tell
            write_all(target, block, offset)
            copied = len(block)
        offset += copied


class _Stamp(NamedTuple):
    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int


class KnownFiles:
    """Digests of files that were hashed before and did not change since, the latest ones.

    The change time of a file moves with each write, whoever sets its other times; a file that
    changed within the last tick of the clock is hashed again next time.

    Args:
        limit: files to remember (about 300 bytes each).
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: OrderedDict[tuple[_Stamp, str], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def digest_of(
        self, descriptor: int, algorithm: str, check: Callable[[], None] = never
    ) -> bytes:
        """Return the digest of an open file, computed only if it may have changed."""
        key = (_stamp(descriptor), algorithm)
        with self._lock:
            if (known := self._known.get(key)) is not None:
                self._known.move_to_end(key)
                return known
        began_ns = time.time_ns()
        digest = digest_of(descriptor, algorithm, check)
        self._note(key, digest, began_ns, _stamp(descriptor))
        return digest

    def _note(self, key: tuple[_Stamp, str], digest: bytes, began_ns: int, after: _Stamp) -> None:
        if key[0] != after or after.ctime_ns > began_ns - _TICK_NS:
            return
        with self._lock:
            self._known[key] = digest
            while len(self._known) > self._limit:
                self._known.popitem(last=False)


def _stamp(descriptor: int) -> _Stamp:
    facts = os.fstat(descriptor)
    return _Stamp(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def close_quietly(descriptor: int) -> None:
    """Close a file whose content does not matter any more."""
    with contextlib.suppress(OSError):
        os.close(descriptor)
