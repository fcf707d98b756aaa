"""Files of artifacts as they are read: in threads, in pieces, checked against their entries."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar

import anyio
import anyio.to_thread

from trackd_agent.artifacts.contents import MD5, Hasher, hasher
from trackd_agent.artifacts.saves.failures import SaveFailed
from trackd_agent.artifacts.saves.order import SaveOrder, algorithm_of
from trackd_proto.chunks import Cut, chunk_name, cut_file
from trackd_proto.records import ArtifactEntry  # noqa: TC001 - of a named tuple

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
    from pathlib import Path


_PIECE_BYTES = 1024 * 1024
T = TypeVar("T")


def base64_of(state: Hasher) -> str:
    """Return a digest as entries have it."""
    return base64.b64encode(state.digest()).decode()


def unreadable(order: SaveOrder, entry: ArtifactEntry, error: OSError) -> SaveFailed:
    """Return the failure of a file that cannot be read."""
    return SaveFailed(
        "FILE_UNREADABLE",
        f"artifact {order.record.name!r}: file {str(order.path_of(entry))!r} of entry "
        f"{entry.path!r} cannot be read: {error.strerror or error}; log the artifact again",
    )


def changed(order: SaveOrder, entry: ArtifactEntry, how: str) -> SaveFailed:
    """Return the failure of a file that is another one than was added."""
    return SaveFailed(
        "FILE_CHANGED",
        f"artifact {order.record.name!r}: file {str(order.path_of(entry))!r} of entry "
        f"{entry.path!r} was changed after it was added ({how}): add it again, or with "
        "policy='mutable', which takes a copy",
    )


def digest_in_md5(order: SaveOrder, entry: ArtifactEntry) -> str:
    """Return the MD5 of a file that was added with another digest, in base64.

    Raises:
        SaveFailed: it is gone, or not the file that was added.
    """
    added, md5 = hasher(algorithm_of(entry)), hasher(MD5)
    try:
        with _open(order.path_of(entry)) as file:
            while piece := file.read(_PIECE_BYTES):
                added.update(piece)
                md5.update(piece)
    except OSError as error:
        raise unreadable(order, entry, error) from error
    _check_digest(order, entry, added)
    return base64_of(md5)


def read_whole(order: SaveOrder, entry: ArtifactEntry) -> bytes:
    """Return the bytes of a small file.

    Raises:
        SaveFailed: it is gone, or not the file that was added.
    """
    try:
        with _open(order.path_of(entry)) as file:
            data = file.read((entry.size or 0) + 1)
    except OSError as error:
        raise unreadable(order, entry, error) from error
    _check_size(order, entry, len(data))
    state = hasher(algorithm_of(entry))
    state.update(data)
    _check_digest(order, entry, state)
    return data


class CutFile:
    """A file that is cut in order; chunks that are sent are read again, mostly from memory.

    So what a save holds in memory does not depend on what it sends. All methods block.

    Args:
        order: of which it is.
        entry: its entry.
        checks_digest: whether its digest is compared at the end; otherwise only its size.
    """

    def __init__(self, order: SaveOrder, entry: ArtifactEntry, *, checks_digest: bool) -> None:
        self._order = order
        self._entry = entry
        self._hasher = hasher(algorithm_of(entry)) if checks_digest else None
        self._file: IO[bytes] | None = None
        self._at = 0

    def cut(self, limit_bytes: int) -> list[Cut]:
        """Return the next chunks, about so many bytes of them; none at the end.

        Raises:
            SaveFailed: the file is gone, or not the one that was added.
        """
        size_bytes = self._entry.size or 0
        look = self._hasher.update if self._hasher is not None else None
        try:
            if self._file is None:
                self._file = _open(self._order.path_of(self._entry))
            descriptor, at = self._file.fileno(), self._at
            cuts = cut_file(descriptor, at, size_bytes, limit_bytes, is_inside=at > 0, look=look)
            now_bytes = os.fstat(descriptor).st_size
        except (OSError, EOFError) as error:
            raise self._problem(error) from error
        self._at = cuts[-1].start + cuts[-1].length if cuts else size_bytes
        if self._at == size_bytes:
            _check_size(self._order, self._entry, now_bytes)
            if self._hasher is not None:
                _check_digest(self._order, self._entry, self._hasher)
        return cuts

    def read(self, cuts: Sequence[Cut]) -> bytes:
        """Return the bytes of chunks, one after another.

        Raises:
            SaveFailed: the file changed since they were cut.
        """
        assert self._file is not None
        descriptor = self._file.fileno()
        try:
            data = [os.pread(descriptor, cut.length, cut.start) for cut in cuts]
        except OSError as error:
            raise self._problem(error) from error
        for cut, chunk in zip(cuts, data, strict=True):
            if chunk_name(chunk) != cut.name:
                raise changed(self._order, self._entry, "while it was sent")
        return b"".join(data)

    def _problem(self, error: OSError | EOFError) -> SaveFailed:
        if isinstance(error, EOFError):
            return changed(self._order, self._entry, f"it had {self._entry.size} bytes")
        return unreadable(self._order, self._entry, error)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


class FilePart(NamedTuple):
    """A part of a file, or all of it."""

    order: SaveOrder
    entry: ArtifactEntry
    start: int
    size_bytes: int

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the file."""
        return self.size_bytes == (self.entry.size or 0)


async def stream(
    part: FilePart, threads: anyio.CapacityLimiter, note: Callable[[int], None] = lambda _: None
) -> AsyncGenerator[bytes]:
    """Yield a part of a file; a whole file that is not a copy of ours is checked on the way.

    Args:
        part: which.
        threads: which read it.
        note: is told how many bytes more were taken.

    Raises:
        SaveFailed: it is gone, or not the one that was added.
    """
    checks = part.is_whole and not part.order.is_staged(part.entry)
    state = hasher(algorithm_of(part.entry)) if checks else None
    left_bytes = part.size_bytes

    def read(file: IO[bytes]) -> bytes:
        piece = file.read(min(left_bytes, _PIECE_BYTES))
        if state is not None:
            state.update(piece)
            if len(piece) == left_bytes:  # before the server has all of it
                _check_digest(part.order, part.entry, state)
        return piece

    def run(call: Callable[..., T], *args: Any) -> Awaitable[T]:
        return anyio.to_thread.run_sync(call, *args, limiter=threads)

    try:
        file = await run(_open, part.order.path_of(part.entry))
        try:
            await run(file.seek, part.start)
            while left_bytes:
                piece = await run(read, file)
                left_bytes -= len(piece)
                if not piece:
                    raise changed(part.order, part.entry, f"it had {part.entry.size} bytes")
                yield piece
                note(len(piece))
        finally:
            file.close()  # at once: the reader may have been cancelled
    except OSError as error:
        raise unreadable(part.order, part.entry, error) from error


def part_digests(order: SaveOrder, entry: ArtifactEntry, part_bytes: int) -> list[str]:
    """Return the MD5 of each part of a file, in hex.

    Raises:
        SaveFailed: it is gone, or not the one that was added.
    """
    whole = hasher(algorithm_of(entry))
    digests: list[str] = []
    left_bytes = entry.size or 0
    try:
        with _open(order.path_of(entry)) as file:
            while left_bytes > 0:
                digest = hashlib.md5(usedforsecurity=False)
                wanted = min(part_bytes, left_bytes)
                while wanted and (piece := file.read(min(wanted, _PIECE_BYTES))):
                    digest.update(piece)
                    whole.update(piece)
                    wanted -= len(piece)
                    left_bytes -= len(piece)
                if wanted:
                    raise changed(order, entry, f"it had {entry.size} bytes")
                digests.append(digest.hexdigest())
    except OSError as error:
        raise unreadable(order, entry, error) from error
    _check_digest(order, entry, whole)
    return digests


def base64_of_hex(digest: str) -> str:
    """Return a hex digest in base64."""
    return base64.b64encode(bytes.fromhex(digest)).decode()


def _open(path: Path) -> IO[bytes]:
    """Open a regular file; nothing else is ever waited for.

    Raises:
        OSError: there is none.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is no regular file")
    return os.fdopen(descriptor, "rb", buffering=0)


def _check_size(order: SaveOrder, entry: ArtifactEntry, size_bytes: int) -> None:
    if entry.size is not None and size_bytes != entry.size:
        raise changed(order, entry, f"it had {entry.size} bytes")


def _check_digest(order: SaveOrder, entry: ArtifactEntry, state: Hasher) -> None:
    digest = base64_of(state)
    if digest != entry.digest:
        raise changed(order, entry, f"its {algorithm_of(entry)} was {entry.digest}, is {digest}")
