"""Digests of files, taken while they are copied."""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import os
import stat
import time
from contextlib import closing
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from trackd import libraries
from trackd.copying import blocks_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: How files and manifest are digested.
DigestAlgorithm = Literal["MD5", "XXH128"]
DIGEST_ALGORITHMS: tuple[DigestAlgorithm, ...] = ("MD5", "XXH128")
#: Within what time file systems give two changes the same time, with room: those that tell whole
#: seconds or two, and all others, whose clock ticks each 10 ms at least.
_COARSE_S, _FINE_S = 2.0, 0.05
_SECOND_NS = 1_000_000_000
_FULL = (errno.ENOSPC, errno.EDQUOT)
_MAKE_ROOM = "free some space, set TRACKD_DATA_DIR to another disk, or add with policy='immutable'"


class Hasher(Protocol):
    """A running digest."""

    def update(self, data: bytes | memoryview, /) -> object:
        """Add bytes."""
        ...

    def digest(self) -> bytes:
        """Return the digest."""
        ...

    def hexdigest(self) -> str:
        """Return the digest as hex digits."""
        ...


class FileDigest(NamedTuple):
    """What identifies the bytes of a file."""

    #: In base64.
    digest: str
    size: int
    #: What the file system said of it; None: it was not read, or that does not tell a later change.
    facts: os.stat_result | None = None


def new_hasher(algorithm: DigestAlgorithm) -> Hasher:
    """Return an empty digest.

    Raises:
        Error: the library for the algorithm is missing.
    """
    if algorithm == "MD5":
        return hashlib.md5(usedforsecurity=False)
    what = 'Artifact(digest_algorithm="XXH128")'
    return libraries.load("xxhash", what, "xxhash").xxh3_128()


def hex_digest(data: bytes, algorithm: DigestAlgorithm = "MD5") -> str:
    """Return the digest of bytes as hex digits.

    Raises:
        Error: see `new_hasher`.
    """
    hasher = new_hasher(algorithm)
    hasher.update(data)
    return hasher.hexdigest()


def _ignore(_count_bytes: int) -> None:
    """Nobody wants to know."""


def digest_file(
    path: Path, algorithm: DigestAlgorithm = "MD5", take: Callable[[int], object] = _ignore
) -> FileDigest:
    """Return the digest of a file.

    Args:
        path: of the file.
        algorithm: of the digest.
        take: is told of each block how large it is; raises to stop.

    Raises:
        OSError: it cannot be read.
    """
    return _run(path, None, algorithm, take)


def copy_and_digest(
    source: Path,
    target: Path,
    algorithm: DigestAlgorithm,
    take: Callable[[int], object] = _ignore,
) -> FileDigest:
    """Copy a file and return the digest of what was written, in one pass.

    Args:
        source: of the bytes.
        target: a new file; where this fails, or is stopped, there is none.
        algorithm: of the digest.
        take: see `digest_file`.

    Raises:
        OSError: one of them cannot be read or written; the target exists.
    """
    try:
        return _run(source, target, algorithm, take)
    except FileExistsError:
        raise
    except BaseException as error:  # Ctrl-C, too
        target.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in _FULL:
            error.strerror = f"{error.strerror} for a copy of {str(source)!r}: {_MAKE_ROOM}"
            error.filename = str(target)
        raise


def base64_md5(text: str) -> str:
    """Return the digest of a text in the form of a file's."""
    digest = hashlib.md5(text.encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def hex_of(digest: str) -> str:
    """Return a base64 digest as hex digits.

    Raises:
        ValueError: it is not base64.
    """
    return base64.b64decode(digest, validate=True).hex()


def _run(
    source: Path,
    target: Path | None,
    algorithm: DigestAlgorithm,
    take: Callable[[int], object],
) -> FileDigest:
    hasher = new_hasher(algorithm)
    size = 0
    with open_regular(source) as file:
        before, began_s = os.fstat(file.fileno()), time.time()
        output = target.open("xb", buffering=0) if target is not None else None
        try:
            with closing(blocks_of(file, output, before.st_size)) as blocks:
                for block in blocks:
                    hasher.update(block)
                    size += len(block)
                    take(len(block))
            after = os.fstat(file.fileno())
        finally:
            if output is not None:
                output.close()
    is_still = (_times(before), before.st_size) == (_times(after), size)
    # The time of the facts moves with each change, also where the other one was set back.
    is_told = is_still and began_s - max(before.st_mtime, before.st_ctime) > _granularity_s(before)
    digest = base64.b64encode(hasher.digest()).decode()
    return FileDigest(digest, size, after if is_told else None)


def _times(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_mtime_ns, facts.st_ctime_ns


def _granularity_s(facts: os.stat_result) -> float:
    """Return within which time two changes may leave a file with one time."""
    is_coarse = facts.st_mtime_ns % _SECOND_NS == facts.st_ctime_ns % _SECOND_NS == 0
    return _COARSE_S if is_coarse else _FINE_S


def open_regular(path: Path) -> io.FileIO:
    """Open a file for reading; never waits for somebody who writes to a pipe.

    Raises:
        ValueError: it is a pipe, a device or the like.
        OSError: it cannot be opened.
    """
    what = f"{str(path)!r} is a pipe, a device or the like: only files can be held"
    try:
        file = io.FileIO(
            path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)
        )
    except OSError as error:
        if error.errno != errno.ENXIO:  # which sockets say
            raise
        raise ValueError(what) from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError(what)
    return file
