"""A folder of blobs: whole ones are read through obstore, new ones written by worker threads."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError
from obstore.store import LocalStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

#: Bytes handed to the network at once.
PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Stored:
    """What became of an upload: its key, length and hex MD5."""

    key: str
    bytes: int
    md5: str


class BlobFolder:
    """All blobs of one server."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._store = LocalStore(folder)

    @staticmethod
    def new_key() -> str:
        """Return a key that was never used; its first characters spread over 256 folders."""
        name = secrets.token_hex(16)
        return f"{name[:2]}/{name[2:]}"

    async def stream(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes `start` to `end` (exclusive) of a blob; FileNotFoundError without it."""
        while start < end:
            piece = await self._store.get_range_async(
                key, start=start, end=min(start + PIECE_BYTES, end)
            )
            yield bytes(piece)
            start += len(piece)

    def read(self, key: str) -> bytes:
        """Return a whole (small) blob.

        Raises:
            OSError: It is not there (any more), or cannot be read.
        """
        try:
            return bytes(self._store.get(key).bytes())
        except BaseError as error:
            raise OSError(f"{type(error).__name__}: {error}") from error

    def delete(self, key: str) -> None:
        """Remove a blob; absent is fine."""
        path = self._folder / key
        try:
            path.unlink()
        except FileNotFoundError:
            # Servers before schema 0002 wrote to `key#1` first; one of them may have been killed.
            for leftover in path.parent.glob(f"{path.name}#*"):
                leftover.unlink(missing_ok=True)

    def create(self, key: str) -> int:
        """Return the descriptor of a new blob that is written in pieces; for worker threads.

        Raises:
            OSError: It is there already, or cannot be made.
        """
        path = self._folder / key
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return os.open(path, flags, 0o600)
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            return os.open(path, flags, 0o600)

    def take(self, source: Path, key: str) -> None:
        """Make a file of the same disk a blob, by renaming it.

        Raises:
            OSError: It is gone, or on another disk.
        """
        path = self._folder / key
        path.parent.mkdir(mode=0o700, exist_ok=True)
        source.rename(path)

    def open(self, key: str) -> int:
        """Return a descriptor to read a blob with; FileNotFoundError without it.

        What somebody put in its place, such as a pipe, is not waited for: it ends at once.
        """
        return os.open(self._folder / key, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    @property
    def folder(self) -> Path:
        """Return where the blobs lie."""
        return self._folder

    def free_bytes(self) -> int:
        """Return what the disk has left."""
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize

    def size(self, key: str) -> int:
        """Return the bytes of a blob; 0 without it."""
        try:
            return (self._folder / key).stat().st_size
        except FileNotFoundError:
            return 0

    def listing(self) -> Iterator[tuple[str, int]]:
        """Yield each blob on disk (whole or not) with its bytes."""
        for shelf in os.scandir(self._folder):
            if not shelf.is_dir(follow_symlinks=False):
                yield shelf.name, shelf.stat(follow_symlinks=False).st_size
                continue
            for entry in os.scandir(shelf):
                try:
                    yield f"{shelf.name}/{entry.name}", entry.stat(follow_symlinks=False).st_size
                except FileNotFoundError:
                    continue  # deleted meanwhile

    def total_bytes(self) -> int:
        """Return what lies on disk, by looking; for comparing with what is known of."""
        return sum(size for _, size in self.listing())
