"""Where a file of an artifact ends: below the root, verified, and in the cache for the next time.

All methods block; any number of threads may use them.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from trackd_agent.artifacts.contents import (
    Stamp,
    close_quietly,
    copy,
    copy_range,
    digest_of,
    hasher,
    write_all,
)
from trackd_agent.artifacts.downloads import partial
from trackd_agent.artifacts.downloads.root import (
    NewFile,
    Unwritable,
    Walker,
    open_existing,
    unwritable,
)
from trackd_agent.core.errors import QueueFull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Executor, Future

    from trackd_agent.artifacts.cache import FileCache
    from trackd_agent.artifacts.contents import Bytes, KnownFiles
    from trackd_agent.artifacts.downloads.entries import Entry
    from trackd_agent.artifacts.downloads.root import Root

#: Contents from this size on cost more to hash than to remember.
LARGE_BYTES = 256 * 1024
#: Handing over a piece costs as much as hashing some ten KiB.
_LARGE_PIECE_BYTES = 256 * 1024
_BLOCK_BYTES = 1024 * 1024
#: Code of a file that a server delivered with another content.
MISMATCH = "DIGEST_MISMATCH"
#: Numbers of errors of a disk without room.
FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskFull(QueueFull):
    """There is no room for the files, also without the cache."""

    retryable_by_default = False


class Stopped(Exception):
    """Nobody waits for the download any more."""


class SourceGone(Exception):
    """A source does not give this file; another one may."""


class Source(Enum):
    """Where a file came from."""

    KEPT = "kept"
    CACHE = "cache"
    STORE = "store"
    NETWORK = "network"


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of an entry."""

    entry: Entry
    source: Source | None = None
    failure: Unwritable | None = None


class Placing:
    """Puts files below one root.

    Args:
        root: where they go.
        cache: where copies of them are; None: nowhere.
        known: digests of files that did not change.
        hashers: threads that hash while others write.
    """

    def __init__(
        self, root: Root, cache: FileCache | None, known: KnownFiles, hashers: Executor
    ) -> None:
        self.root = root
        self.hashers = hashers
        #: Digests that need not be computed.
        self.known = known
        #: Files that are being written, whose bytes count for who watches.
        self.open_files: set[VerifiedFile] = set()
        #: Set when nobody waits any more; threads see it at their next piece.
        self.is_stopped = False
        self._cache = cache

    def check(self) -> None:
        """Raise `Stopped` when nobody waits any more."""
        if self.is_stopped:
            raise Stopped

    # -- without a server --------------------------------------------------------------------

    def settle(self, entries: Sequence[Entry]) -> tuple[list[Placed], list[Entry]]:
        """Place what is there already or in the cache; return that, and what is missing."""
        placed: list[Placed] = []
        missing: list[Entry] = []
        with Walker(self.root) as walker:
            for entry in entries:
                self.check()
                try:
                    source = self._settled(walker, entry)
                except Unwritable as failure:
                    placed.append(Placed(entry, failure=failure))
                else:
                    if source is None:
                        missing.append(entry)
                    else:
                        placed.append(Placed(entry, source))
        return placed, missing

    def _settled(self, walker: Walker, entry: Entry) -> Source | None:
        if not entry.raw_digest:
            raise Unwritable(
                "INVALID_DIGEST", f"{entry.path!r}: the digest {entry.digest[:100]!r} is none"
            )
        if self._is_there(walker, entry):
            self._forget_partial(walker, entry)
            return Source.KEPT
        if entry.size == 0:
            with self._new(walker, entry) as new:
                new.publish_verified(hasher(entry.algorithm).digest())
            return Source.KEPT
        if not self._from_cache(walker, entry):
            return None
        self._forget_partial(walker, entry)
        return Source.CACHE

    def _forget_partial(self, walker: Walker, entry: Entry) -> None:
        """Remove what an agent that was killed had of a file which is whole now."""
        found = walker.folder_of(entry.path, create=False)
        if found is not None and (entry.size or 0) >= LARGE_BYTES:
            partial.remove_from(found[0], partial.name_of(entry))

    def _is_there(self, walker: Walker, entry: Entry) -> bool:
        found = walker.folder_of(entry.path, create=False)
        descriptor = None if found is None else open_existing(*found)
        if descriptor is None:
            return False
        try:
            return self._holds(descriptor, entry)
        finally:
            close_quietly(descriptor)

    def _holds(self, descriptor: int, entry: Entry) -> bool:
        """Whether an open file has the content of an entry."""
        if entry.size is not None and os.fstat(descriptor).st_size != entry.size:
            return False
        try:
            return self.known.digest_of(descriptor, entry.algorithm, self.check) == entry.raw_digest
        except OSError:
            return False

    def _from_cache(self, walker: Walker, entry: Entry) -> bool:
        cache = self._cache
        cached = cache.open(entry.algorithm, entry.raw_digest) if cache else None
        if cache is None or cached is None:
            return False
        try:
            if not self._holds(cached, entry):
                cache.forget(entry.algorithm, entry.raw_digest)
                return False
            with self._new(walker, entry) as new:
                new.copy_from(cached)
                new.publish_verified(entry.raw_digest)
        finally:
            close_quietly(cached)
        return True

    # -- with bytes from elsewhere -----------------------------------------------------------

    def place(
        self, source: Source, contents: Iterable[tuple[Entry, Callable[[VerifiedFile], None]]]
    ) -> list[Placed]:
        """Write whole contents, each by what fills and finishes its file.

        What a source does not give (`SourceGone`) is left out of the result.
        """
        placed: list[Placed] = []
        with Walker(self.root) as walker:
            for entry, fill in contents:
                self.check()
                try:
                    with self._new(walker, entry) as new:
                        fill(new)
                except SourceGone:
                    continue
                except Unwritable as failure:
                    placed.append(Placed(entry, failure=failure))
                else:
                    placed.append(Placed(entry, source))
        return placed

    def begin(self, entry: Entry, *, goes_on: bool) -> VerifiedFile:
        """Return a file to be filled piece by piece; whoever gets it closes it.

        Args:
            entry: what it has to hold.
            goes_on: with what an agent that was killed had of it.

        Raises:
            Unwritable: it cannot be made.
            DiskFull: there is no room.
        """
        with Walker(self.root) as walker:
            return self._new(walker, entry, partial.name_of(entry) if goes_on else "")

    def _new(self, walker: Walker, entry: Entry, partial_name: str = "") -> VerifiedFile:
        new = self.with_room(entry.path, lambda: NewFile(walker, entry.path, partial_name))
        assert isinstance(new, NewFile)
        file = VerifiedFile(self, entry, new)
        self.open_files.add(file)
        return file

    def keep(self, descriptor: int, entry: Entry) -> None:
        """Keep a verified content in the cache, if there is one."""
        if self._cache is not None:
            self._cache.keep(descriptor, entry.algorithm, entry.raw_digest)

    def with_room(self, path: str, write: Callable[[], object]) -> object:
        """Do something that writes; on a full disk the cache makes way, twice.

        Raises:
            DiskFull: there is no room, also without the cache.
            Unwritable: it fails for another reason.
        """
        for everything in (False, True):
            try:
                return write()
            except OSError as error:
                if error.errno not in FULL:
                    raise unwritable(path, error) from error
                if self._cache is not None:
                    self._cache.make_way(self.root.descriptor, everything=everything)
        try:
            return write()
        except OSError as error:
            if error.errno not in FULL:
                raise unwritable(path, error) from error
            raise DiskFull(
                "DISK_FULL",
                f"no room for {path!r} in the download folder ({error.strerror}): free some "
                "space, or download elsewhere; files that are whole stay",
            ) from error


class VerifiedFile:
    """A file below the root that gets its name when its content is what the manifest says.

    Args:
        placing: the download it belongs to.
        entry: what it has to hold.
        new: the file.
    """

    def __init__(self, placing: Placing, entry: Entry, new: NewFile) -> None:
        self.entry = entry
        #: Bytes that were appended, and that were written in any order.
        self.size_bytes = 0
        self.written_bytes = 0
        self._placing = placing
        self._new = new
        self._partial = None
        if new.is_partial:
            self._partial = partial.Partial(new.descriptor, entry.size or 0)
        self._hasher = hasher(entry.algorithm)
        self._hashing: Future[None] | None = None
        self._is_known = False

    def __enter__(self) -> VerifiedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; if it was not published, it is gone."""
        self._placing.open_files.discard(self)
        self._new.close()

    @property
    def was_begun(self) -> bool:
        """Whether an earlier agent left something of it."""
        return self._partial is not None and self._partial.was_begun

    def gaps(self) -> list[tuple[int, int]]:
        """Return the ranges that are missing, in order."""
        if self._partial is None:
            return [(0, self.entry.size or 0)]
        gaps = self._partial.gaps()
        self.written_bytes = (self.entry.size or 0) - sum(end - begin for begin, end in gaps)
        return gaps

    def go_on(self) -> None:
        """Take the beginning that an earlier agent left as appended."""
        gaps = self.gaps()
        prefix_bytes = gaps[0][0] if gaps else self.entry.size or 0
        while self.size_bytes < prefix_bytes:
            self._placing.check()
            wanted = min(_BLOCK_BYTES, prefix_bytes - self.size_bytes)
            block = os.pread(self._new.descriptor, wanted, self.size_bytes)
            if not block:  # somebody cut it off
                return self.begin_anew()
            self._hasher.update(block)
            self.size_bytes += len(block)
        self.written_bytes = self.size_bytes
        return None

    def begin_anew(self) -> None:
        """What an earlier agent left was not right."""
        if self._partial is not None:
            self._partial.forget()
        self._hashed()
        self._hasher = hasher(self.entry.algorithm)
        self.size_bytes = self.written_bytes = 0

    def append_all(self, pieces: Iterable[Bytes]) -> None:
        """Write bytes one after another; raises as `append` does."""
        for piece in pieces:
            self._placing.check()
            self.append(piece)

    def append(self, piece: Bytes) -> None:
        """Write the next bytes.

        Raises:
            Unwritable: these are more than the manifest says, or cannot be written.
            DiskFull: there is no room.
        """
        size = self.entry.size
        if size is not None and self.size_bytes + len(piece) > size:
            raise self._mismatch(f"more than the {size} bytes that the manifest says")
        self._hash(piece)
        self.write_at(piece, self.size_bytes)
        self.size_bytes += len(piece)

    def _hash(self, piece: Bytes) -> None:
        """Hash the next bytes: large pieces beside the writing of this and the reading of the next.

        A write that failed and is repeated does not come here again: the piece is hashed once.
        """
        self._hashed()
        if len(piece) < _LARGE_PIECE_BYTES:
            self._hasher.update(piece)
        else:
            self._hashing = self._placing.hashers.submit(self._hasher.update, piece)

    def _hashed(self) -> None:
        if self._hashing is not None:
            self._hashing.result()
            self._hashing = None

    def write_at(self, piece: Bytes, offset: int) -> None:
        """Write bytes somewhere, for files that come in ranges; then `finish_ranges`."""
        descriptor = self._new.descriptor
        self._placing.with_room(self.entry.path, lambda: write_all(descriptor, piece, offset))
        self.written_bytes += len(piece)
        if self._partial is not None:
            self._partial.note(offset, offset + len(piece))

    def copy_from(self, source: int) -> None:
        """Write the content of an open file."""
        self._placing.with_room(self.entry.path, lambda: copy(source, self._new.descriptor))

    def copy_known(self, source: int, start: int, end: int) -> None:
        """Append a range of an open file which is known to hold this part of the content.

        Raises:
            SourceGone: the source ends before.
            Unwritable: it cannot be written.
            DiskFull: there is no room.
        """
        self._is_known = True

        def copied() -> int:
            at, check = self.size_bytes, self._placing.check
            return copy_range(source, self._new.descriptor, (start, end), at, check)

        if self._placing.with_room(self.entry.path, copied) != end - start:
            raise SourceGone
        self.size_bytes += end - start
        self.written_bytes = self.size_bytes

    def finish(self, *, keep: bool) -> None:
        """Verify what was appended, publish the file, keep a copy if asked.

        Raises:
            Unwritable: the content is another one, or the name is taken by a folder.
        """
        self._hashed()
        self._seal()
        raw_digest = self.entry.raw_digest
        self.publish_verified(raw_digest if self._is_known else self._hasher.digest())
        if keep:
            self._placing.keep(self._new.descriptor, self.entry)

    def finish_ranges(self, *, keep: bool) -> None:
        """As `finish`, for a file that was written in any order: it is read back."""
        self._seal()
        digest = digest_of(self._new.descriptor, self.entry.algorithm, self._placing.check)
        self.publish_verified(digest)
        if keep:
            self._placing.keep(self._new.descriptor, self.entry)

    def _seal(self) -> None:
        if self._partial is not None:
            self._partial.seal()

    def publish_verified(self, digest: bytes) -> None:
        """Publish the file if this is the right digest.

        Raises:
            Unwritable: it is not, or the name is taken by a folder.
        """
        if digest != self.entry.raw_digest:
            raise self._mismatch(f"digest {digest.hex()}")
        before = Stamp.of(self._new.descriptor)
        self._placing.with_room(self.entry.path, self._new.publish)
        self._remember(before)

    def _remember(self, before: Stamp) -> None:
        """Spare whoever compares a large file with its digest the reading, if that is safe."""
        entry, placing = self.entry, self._placing
        if placing.root.times_each_change and (entry.size or 0) >= LARGE_BYTES:
            stamp = Stamp.of(self._new.descriptor)
            if stamp.has_bytes_of(before):
                placing.known.put((stamp, entry.algorithm), entry.raw_digest)

    def _mismatch(self, found: str) -> Unwritable:
        entry = self.entry
        return Unwritable(
            MISMATCH,
            f"{entry.path!r}: the server delivered another content than the manifest says "
            f"({found}, expected {entry.algorithm} {entry.raw_digest.hex()}, size {entry.size}); "
            "it was not written",
        )
