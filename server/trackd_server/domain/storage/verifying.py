"""Reading contents again to see whether they are what they should be, and marking what is not."""

from __future__ import annotations

import errno
import hashlib
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import xxhash
from blake3 import blake3

from trackd_proto.chunk_encoding import UNCUT, ZSTD
from trackd_server.domain.storage import damage
from trackd_server.domain.storage.reading import EXTENTS_AT_ONCE, Range, extents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from trackd_server.blobs import BlobFolder
    from trackd_server.domain.storage.contents import Content
    from trackd_server.domain.storage.damage import Mark
    from trackd_server.domain.storage.reading import Extent
    from trackd_server.store import Database

#: Bytes read at once.
PIECE_BYTES = 1024 * 1024
#: Chunks may move while they are read: how often a content with problems is read again.
MAX_READINGS = 3
#: The server's trouble, not the file's: it is told, and not marked.
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.EPERM})


class Problem(NamedTuple):
    """What is wrong: with a chunk, or (None) with the content as a whole."""

    extent: Extent | None
    error: str
    is_damage: bool = True


class Verifier:
    """Reads contents and marks what is damaged. Blocks."""

    def __init__(self, database: Database, blobs: BlobFolder) -> None:
        self._database = database
        self._blobs = blobs

    def verify(self, content: Content) -> tuple[list[Mark], list[Problem]]:
        """Compute a content's chunks and digest anew; return its marks, and what has none.

        What cannot be read for the server's own trouble (too many open files) has no mark.
        """
        marks: list[Mark] = []
        problems: list[Problem] = []
        for reading in range(MAX_READINGS):
            problems = self._problems(content)
            if not problems:
                break
            with self._database.write() as connection:
                # A content may get other chunks while it is read: only twice the same counts.
                found = [
                    (
                        each,
                        _marked(connection, content.id, each) if each.extent or reading else None,
                    )
                    for each in problems
                ]
            marks += [mark for _, mark in found if mark is not None]
            problems = [each for each, mark in found if mark is None]
            if not problems or not self._is_there(content.id):
                return marks, []
        return marks, problems

    def mark(self, extent: Extent) -> bool:
        """Mark a chunk if it is damaged where it lies; tell whether it was marked."""
        problem = self._wrong(extent)
        if problem is None:
            return False
        with self._database.write() as connection:
            return _marked(connection, 0, problem) is not None

    def mark_unreadable(self, content_id: int, start: int) -> None:
        """Mark what of a content cannot be read from byte `start` on: some chunks are looked at."""
        with self._database.read() as connection:
            found = extents(connection, content_id, start, EXTENTS_AT_ONCE)
        problems = [problem for each in found if (problem := self._unreadable(each)) is not None]
        with self._database.write() as connection:
            for problem in problems:
                _marked(connection, content_id, problem)

    def _unreadable(self, extent: Extent) -> Problem | None:
        if extent.encoding != UNCUT:
            return self._wrong(extent)
        if self._blobs.size(extent.blob_key) >= extent.offset + extent.stored_bytes:
            return None
        return Problem(None, f"{extent.blob_key} is missing, or ends too early")

    def _is_there(self, content_id: int) -> bool:
        with self._database.read() as connection:
            query = "SELECT 1 FROM contents WHERE id = ? AND algorithm != 'leaving'"
            return connection.exec_driver_sql(query, (content_id,)).first() is not None

    def _problems(self, content: Content) -> list[Problem]:
        is_xxh128 = content.algorithm == "XXH128"
        hashed: Any = xxhash.xxh3_128() if is_xxh128 else hashlib.md5(usedforsecurity=False)
        problems: list[Problem] = []
        start = 0
        while start < content.bytes:
            with self._database.read() as connection:
                found = extents(connection, content.id, start, EXTENTS_AT_ONCE)
            if not found or found[0].start != start:
                return [*problems, Problem(None, f"the bytes from {start} on are missing")]
            for extent in found:
                problem = self._wrong(extent, hashed.update)
                if problem is not None:
                    problems.append(problem)
                start = extent.start + extent.bytes
        if not problems and hashed.digest() != content.digest:
            is_now = f"{content.algorithm} is {hashed.hexdigest()}, not {content.digest.hex()}"
            problems.append(Problem(None, is_now))
        return problems

    def _wrong(
        self, extent: Extent, update: Callable[[bytes], None] = lambda _: None
    ) -> Problem | None:
        """Return what is wrong with a chunk; its bytes go through `update`."""
        of = None if extent.encoding == UNCUT else extent
        name = blake3()
        try:
            for data in self._read(extent):
                name.update(data)
                update(data)
        except OSError as error:
            told = f"{extent.blob_key}: {error.strerror or error}"
            return Problem(of, told, error.errno not in _PASSING)
        if of is not None and name.digest() != extent.blake3:
            error = f"{extent.blob_key}: bytes from {extent.offset} on are not the chunk's"
            return Problem(of, error)
        return None

    def _read(self, extent: Extent) -> Iterator[bytes]:
        """Yield the bytes of a chunk; one that is not cut has any length."""
        descriptor = self._blobs.open(extent.blob_key)
        try:
            # A compressed chunk is read at once; any other has any length.
            step = extent.bytes if extent.encoding == ZSTD else PIECE_BYTES
            for at in range(0, extent.bytes, step):
                yield Range.of(extent, at, min(at + step, extent.bytes)).read(descriptor)
        finally:
            os.close(descriptor)


def _marked(connection: Connection, content_id: int, problem: Problem) -> Mark | None:
    if not problem.is_damage:
        return None
    if problem.extent is None:
        return damage.mark_content(connection, content_id, problem.error)
    place = problem.extent.blob_key, problem.extent.offset
    return damage.mark_chunk(connection, problem.extent.blake3, place, problem.error)
