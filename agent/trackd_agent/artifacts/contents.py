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
    from collections.abc import Callable, Hashable

    Bytes = bytes | bytearray | memoryview

MD5, XXH128 = "MD5", "XXH128"
_BLOCK_BYTES = 1024 * 1024
#: Bytes that the kernel copies between two looks whether anybody still waits.
_COPIED_AT_ONCE = 64 * 1024 * 1024
#: `ioctl` that lets a file share the blocks of another one (btrfs, XFS).
_FICLONE = 0x40049409
_NO_CLONE = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM)
#: A file that was written to later than this before it was hashed may change without a trace:
#: clocks of file systems have ticks.
_TICK_NS = 50_000_000
#: Changes in a row that tell how finely a file system times them.
_PROBES = 4


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
    copy_range(source, target, (0, os.fstat(source).st_size), 0)


def copy_range(
    source: int,
    target: int,
    span: tuple[int, int],
    at: int,
    check: Callable[[], None] = never,
) -> int:
    """Copy a range of a file into another one, in the kernel where it can; return the bytes copied.

    They are fewer where the source ends before. The disk shares the blocks where it can do that.

    Args:
        source: file to read.
        target: file to write.
        span: where the range begins and ends in the source.
        at: where it begins in the target.
        check: called now and then; raises to stop.

    Raises:
        OSError: the disk is full, or fails.
    """
    offset, end = span
    shift = at - offset
    while offset < end:
        check()
        wanted = min(_COPIED_AT_ONCE, end - offset)
        try:
            copied = os.copy_file_range(source, target, wanted, offset, offset + shift)
        except OSError as error:
            if error.errno not in _NO_CLONE:
                raise
            copied = 0
        if not copied:  # another file system: by hand
            block = os.pread(source, min(_BLOCK_BYTES, wanted), offset)
            if not block:
                break
            write_all(target, block, offset + shift)
            copied = len(block)
        offset += copied
    return offset - span[0]


class Stamp(NamedTuple):
    """What moves with each change of a file: its change time, whoever sets its other times."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, descriptor: int) -> Stamp:
        """Return the stamp of an open file."""
        facts = os.fstat(descriptor)
        return cls(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)

    def has_bytes_of(self, earlier: Stamp) -> bool:
        """Whether nobody wrote since an earlier stamp; the file may have got another name."""
        return earlier[:4] == self[:4]

    def tells_changes_since(self, moment_ns: int) -> bool:
        """Whether a change at a moment or later leaves another stamp: clocks have ticks."""
        return self.ctime_ns <= moment_ns - _TICK_NS


class KnownFiles:
    """Files that were hashed before and did not change since, the latest ones.

    A file that changed within the last tick of the clock is hashed again next time, unless its
    file system gives each change a time of its own.

    Args:
        limit: files to remember (about 300 bytes each).
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def digest_of(
        self, descriptor: int, algorithm: str, check: Callable[[], None] = never
    ) -> bytes:
        """Return the digest of an open file, computed only if it may have changed."""
        stamp = Stamp.of(descriptor)
        known = self.get((stamp, algorithm))
        if known is not None:
            return known
        began_ns = time.time_ns()
        digest = digest_of(descriptor, algorithm, check)
        if Stamp.of(descriptor) == stamp and stamp.tells_changes_since(began_ns):
            self.put((stamp, algorithm), digest)
        return digest

    def get(self, key: Hashable) -> bytes | None:
        """Return the digest of what a key names, if it is known."""
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
        return known

    def put(self, key: Hashable, digest: bytes) -> None:
        """Note the digest of what a key names; the key has to tell every change."""
        with self._lock:
            self._known[key] = digest
            while len(self._known) > self._limit:
                self._known.popitem(last=False)


def times_each_change(descriptor: int) -> bool:
    """Whether a file system gives two changes in a row different times if somebody looked between.

    Args:
        descriptor: a file of that file system without a name, which is written to.
    """
    seen: set[int] = set()
    for _ in range(_PROBES):
        write_all(descriptor, b"?", 0)
        seen.add(os.fstat(descriptor).st_ctime_ns)
    return len(seen) == _PROBES


def close_quietly(descriptor: int) -> None:
    """Close a file whose content does not matter any more."""
    with contextlib.suppress(OSError):
        os.close(descriptor)
