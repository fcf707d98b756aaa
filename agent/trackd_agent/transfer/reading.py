"""A file as it is uploaded: its stamp, its bytes in pieces, its digest."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


class Stamp(NamedTuple):
    """What tells one state of a file from another without reading it."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int


class FileChanged(Exception):
    """The file got shorter while it was read, or another took its name before."""


def stamp_of(path: Path) -> Stamp | None:
    """Return the stamp of a regular file (links followed), or None where there is none."""
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(facts.st_mode):
        return None
    return Stamp(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)


class Reading:
    """One pass over a file; the digest is known when all pieces were read.

    Args:
        path: where it is.
        stamp: which file, and how much of it.
        chunk_bytes: size of a piece.
    """

    def __init__(self, path: Path, stamp: Stamp, chunk_bytes: int) -> None:
        self._path = path
        self._stamp = stamp
        self._chunk_bytes = chunk_bytes
        self._digest = hashlib.md5(usedforsecurity=False)

    @property
    def md5(self) -> str:
        """Digest of what was read so far, in hex."""
        return self._digest.hexdigest()

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Yield exactly the promised number of bytes; whoever stops early closes this.

        Raises:
            OSError: the file cannot be read.
            FileChanged: it ended too early, or is another file by now.
        """
        left = self._stamp.size_bytes
        run = anyio.to_thread.run_sync
        file = await run(lambda: self._path.open("rb", buffering=0))
        try:
            facts = os.fstat(file.fileno())
            if (facts.st_dev, facts.st_ino) != self._stamp[:2]:
                raise FileChanged(f"{self._path} was replaced")
            while left:
                chunk = await run(file.read, min(left, self._chunk_bytes))
                if not chunk:
                    raise FileChanged(str(self._path))
                left -= len(chunk)
                await self._hash(chunk)
                yield chunk
        finally:
            file.close()  # at once, without a turn of others: the reader may have been cancelled

    async def exhaust(self) -> str:
        """Read everything for its digest only."""
        async for _ in self.chunks():
            pass
        return self.md5

    async def _hash(self, chunk: bytes) -> None:
        if len(chunk) > 64 * 1024:
            await anyio.to_thread.run_sync(self._digest.update, chunk)
        else:
            self._digest.update(chunk)
