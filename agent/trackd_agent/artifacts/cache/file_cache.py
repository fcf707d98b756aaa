"""The cache: `obj/<algorithm>/<2 hex>/<30 hex>`, unfinished files in `tmp/`.

The layout is that of the reference, so that its folder can be used as it is. A file is trusted
by its content only: whoever reads it compares digests. All methods block.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from trackd_agent.artifacts.contents import close_quietly, copy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackd_agent.artifacts.config import ArtifactsConfig

#: What stays of the limit when room has to be made: looking for the oldest files costs.
_AFTER_EVICTION = 0.9
#: A file that would take more than this part of the cache is not kept.
_LARGEST_PART = 0.5
#: How old the note of the last use may be, in nanoseconds, before it is renewed.
_USE_GRAIN_NS = 3_600_000_000_000
#: Unfinished files that nobody touched for so long are left over from a crash, in seconds.
_ABANDONED_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class CacheState:
    """What the cache holds (fields as in `trackd.v1.GetCacheResponse`)."""

    path: Path
    files: int
    bytes: int
    temporary_files: int
    temporary_bytes: int
    max_bytes: int
    #: Files that were not kept since the start.
    not_kept: int = 0
    kinds: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What a cleaning did."""

    files_removed: int
    bytes_removed: int
    bytes_left: int


class _Kept(NamedTuple):
    used_ns: int
    size_bytes: int
    path: str


class FileCache:
    """A bounded folder of file contents.

    Args:
        root: its folder; made at the first use.
        max_bytes: most bytes that it holds; 0: nothing is kept.
        least_free_bytes: free space of the disk that it leaves alone.
    """

    def __init__(self, root: Path, max_bytes: int, least_free_bytes: int) -> None:
        self.root = root
        #: What was not kept since the start: too large, no room.
        self.not_kept = 0
        self._max_bytes = max_bytes
        self._least_free_bytes = least_free_bytes
        self._objects, self._temporary = root / "obj", root / "tmp"
        self._bytes: int | None = None
        self._lock = threading.Lock()

    # -- one content -----------------------------------------------------------------------

    def open(self, algorithm: str, digest: bytes) -> int | None:
        """Return a descriptor of the file for a content; None: there is none.

        The caller compares digests, and calls `forget` for a file that holds something else.
        """
        try:
            descriptor = os.open(
                self._path(algorithm, digest), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            )
        except OSError:
            return None
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            close_quietly(descriptor)
            return None
        now_ns = time.time_ns()
        if now_ns - facts.st_atime_ns > _USE_GRAIN_NS:
            with contextlib.suppress(OSError):  # a cache that others own can be read as well
                os.utime(descriptor, ns=(now_ns, facts.st_mtime_ns))
        return descriptor

    def forget(self, algorithm: str, digest: bytes) -> None:
        """Remove the file for a content."""
        path = self._path(algorithm, digest)
        with self._lock, contextlib.suppress(OSError):
            size_bytes = path.stat().st_size
            path.unlink()
            self._count(-size_bytes)

    def keep(self, source: int, algorithm: str, digest: bytes) -> bool:
        """Keep a verified content, read from an open file; return whether that was possible.

        A cache that is full or broken never fails a download.
        """
        size_bytes = os.fstat(source).st_size
        path = self._path(algorithm, digest)
        if size_bytes > self._max_bytes * _LARGEST_PART or not self._make_room(size_bytes):
            self.not_kept += 1
            return False
        temporary = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._temporary.mkdir(parents=True, exist_ok=True, mode=0o700)
            target, temporary = tempfile.mkstemp(dir=self._temporary)
            try:
                copy(source, target)
                os.fchmod(target, 0o400)
            finally:
                os.close(target)
            is_new = not path.exists()
            Path(temporary).replace(path)
        except OSError:
            self.not_kept += 1
            if temporary:
                Path(temporary).unlink(missing_ok=True)
            return False
        with self._lock:
            self._count(size_bytes if is_new else 0)
        return True

    def _path(self, algorithm: str, digest: bytes) -> Path:
        name = digest.hex()
        return self._objects / algorithm.lower() / name[:2] / name[2:]

    # -- its size --------------------------------------------------------------------------

    def state(self) -> CacheState:
        """Return what there is, counted now."""
        kinds: dict[str, tuple[int, int]] = {}
        with self._lock:
            for folder in _folders(self._objects):
                sizes = [kept.size_bytes for kept in _files(folder)]
                kinds[Path(folder).name] = (len(sizes), sum(sizes))
            self._bytes = sum(size for _, size in kinds.values())
            unfinished = [kept.size_bytes for kept in _files(str(self._temporary))]
        return CacheState(
            path=self.root,
            files=sum(count for count, _ in kinds.values()),
            bytes=self._bytes,
            temporary_files=len(unfinished),
            temporary_bytes=sum(unfinished),
            max_bytes=self._max_bytes,
            not_kept=self.not_kept,
            kinds=kinds,
        )

    def clean(self, target_bytes: int, *, remove_temporary: bool = False) -> Cleaned:
        """Remove the least recently used files until no more than so many bytes are left.

        Args:
            target_bytes: what may stay.
            remove_temporary: remove unfinished files as well, those in use included; else only
                those left over from a crash.
        """
        with self._lock:
            kept = sorted(_files(str(self._objects)))
            left_bytes = sum(each.size_bytes for each in kept)
            removed: list[int] = []
            for each in kept:
                if left_bytes <= target_bytes:
                    break
                if _remove(each.path):
                    left_bytes -= each.size_bytes
                    removed.append(each.size_bytes)
            self._bytes = left_bytes
            abandoned_ns = time.time_ns() - int(_ABANDONED_S * 1e9)
            removed.extend(
                each.size_bytes
                for each in list(_files(str(self._temporary)))
                if (remove_temporary or each.used_ns < abandoned_ns) and _remove(each.path)
            )
        return Cleaned(len(removed), sum(removed), left_bytes)

    def make_way(self, descriptor: int, *, everything: bool) -> None:
        """The disk of an open file is full: give half of the cache back, or all of it.

        A cache on another disk stays.
        """
        try:
            is_same = self.root.stat().st_dev == os.fstat(descriptor).st_dev
        except OSError:
            return
        if is_same:
            self.clean(0 if everything else self.state().bytes // 2)

    def _make_room(self, size_bytes: int) -> bool:
        """Return whether a file of this size may come in; the oldest ones go for it."""
        if self._bytes is None:
            self.state()
        if (self._bytes or 0) + size_bytes > self._max_bytes:
            self.clean(int(self._max_bytes * _AFTER_EVICTION) - size_bytes)
        return self._free_bytes() - size_bytes >= self._least_free_bytes

    def _free_bytes(self) -> int:
        folder = next(each for each in (self.root, *self.root.parents) if each.exists())
        facts = os.statvfs(folder)
        return facts.f_bavail * facts.f_frsize

    def _count(self, change_bytes: int) -> None:
        if self._bytes is not None:
            self._bytes = max(0, self._bytes + change_bytes)


def _folders(path: Path) -> list[str]:
    try:
        with os.scandir(path) as found:
            return sorted(each.path for each in found if each.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _files(folder: str) -> Iterator[_Kept]:
    """Yield the files below a folder, with when they were used last."""
    try:
        found = os.scandir(folder)
    except OSError:
        return
    with found:
        for each in found:
            if each.is_dir(follow_symlinks=False):
                yield from _files(each.path)
                continue
            with contextlib.suppress(OSError):  # somebody was faster
                facts = each.stat(follow_symlinks=False)
                if stat.S_ISREG(facts.st_mode):
                    yield _Kept(facts.st_atime_ns, facts.st_size, each.path)


def _remove(path: str) -> bool:
    try:
        Path(path).unlink()
    except OSError:
        return False
    return True


def cache_of(data: Path, config: ArtifactsConfig) -> FileCache:
    """Return the cache of a data directory."""
    root = config.cache_dir or data / "cache" / "artifacts"
    return FileCache(root.expanduser(), config.cache_max_bytes, config.cache_least_free_bytes)
