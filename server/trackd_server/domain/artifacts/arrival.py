"""Manifests that arrive: read, laid over a base or merged, and stored.

A manifest that arrives is cut into segments in short transactions, so that a million entries keep
no other writer waiting; it counts only when its last transaction set `arrived`. What a killed
server left of one is dropped when it arrives again, or with its version.
"""

from __future__ import annotations

import heapq
import sqlite3
import threading
from collections import OrderedDict
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Row, bindparam, func, select, update

from trackd_server.domain.artifacts import entries, manifests, segments
from trackd_server.domain.artifacts.entries import Entry, LogicalDigest
from trackd_server.domain.errors import Conflict, InvalidRequest, Unavailable
from trackd_server.domain.storage import contents
from trackd_server.store.tables.artifacts import manifests as table
from trackd_server.store.tables.artifacts import versions

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from sqlalchemy import Connection

    from trackd_server.domain.storage import Storage
    from trackd_server.store import Database

#: Segments of one transaction: about 4,000 entries, 0.1 s.
SEGMENTS_AT_ONCE = 64
#: Manifests of which is known what came for them, so that the same need not be read again.
KNOWN_ARRIVALS = 1_000
#: Missing files that an error names.
NAMED_FILES = 3

_NOT_ARRIVED = "UPDATE manifests SET arrived = NULL WHERE id = ?"
# Put together once: that takes several times as long as running it.
_others = table.alias()
_ARRIVED = (
    update(table)
    .where(table.c.id == bindparam("number"))
    .values(
        arrived=select(func.coalesce(func.max(_others.c.arrived), 0) + 1)
        .where(_others.c.version_id == table.c.version_id)
        .scalar_subquery()
    )
)


class OutOfOrder(Exception):
    """Entries are not sorted by path."""


@dataclass
class Totals:
    """What a manifest sums up to while it is read."""

    algorithm: str
    entries: int = 0
    bytes: int = 0
    reference_bytes: int = 0
    segments: int = 0
    _digest: LogicalDigest = field(init=False)

    def __post_init__(self) -> None:
        self._digest = LogicalDigest(self.algorithm)

    def add(self, entry: Entry) -> None:
        """Count one entry."""
        self._digest.add(entry)
        self.entries += 1
        if entry.is_file:
            self.bytes += entry.size or 0
        else:
            self.reference_bytes += entry.size or 0

    def columns(self) -> dict[str, Any]:
        """Return the columns of the manifest's row.

        Raises:
            InvalidRequest: The sizes sum up to more than a column holds.
        """
        if max(self.bytes, self.reference_bytes) > entries.MAX_SIZE:
            raise InvalidRequest(
                f"The sizes of the manifest's entries sum up to more than {entries.MAX_SIZE} bytes."
            )
        return {
            "entries": self.entries,
            "bytes": self.bytes,
            "reference_bytes": self.reference_bytes,
            "digest": self._digest.hex(),
        }


class Manifests:
    """Writes manifests; each is written by one caller at a time."""

    def __init__(self, database: Database, storage: Storage) -> None:
        self._database = database
        self._storage = storage
        self._arriving: set[int] = set()
        #: MD5 of the JSON and the base that it was laid over, by manifest.
        self._arrived: OrderedDict[int, tuple[str, int | None]] = OrderedDict()
        self._lock = threading.Lock()

    def announce(self, version_id: int, kind: str, base_id: int | None) -> int:
        """Make the place for a manifest: see `manifests.announce`."""
        with self._database.write() as connection:
            return manifests.announce(connection, version_id, kind, base_id)

    def rebase(self, manifest_id: int, base_id: int | None) -> Row[Any]:
        """Return an announced manifest, with another base: see `manifests.rebase`."""
        with self._database.write() as connection:
            return manifests.rebase(connection, manifest_id, base_id)

    def arrive(self, manifest_id: int, file: IO[bytes], md5: str) -> None:
        """Take in the JSON of a manifest; whatever came for it before is replaced.

        A million entries take half a minute. A client that did not wait so long sends them again:
        what has come already is not read anew, else it would never get an answer.

        Raises:
            InvalidRequest: It is none, or names an entry that cannot be.
            Conflict: The version is committed, or the bytes of a file did not come.
            Unavailable: It is arriving by another request, whose client may have gone.
        """
        with self._alone(manifest_id):
            self._arrive(manifest_id, file, md5)

    @contextmanager
    def _alone(self, manifest_id: int) -> Generator[None]:
        with self._lock:
            if manifest_id in self._arriving:
                raise Unavailable("The manifest is arriving by another request; try again later.")
            self._arriving.add(manifest_id)
        try:
            yield
        finally:
            self._arriving.discard(manifest_id)

    def _arrive(self, manifest_id: int, file: IO[bytes], md5: str) -> None:
        with self._database.read() as connection:
            slot = manifests.find(connection, manifest_id)
            algorithm = manifests.require_pending(connection, slot.version_id).digest_algorithm
        came = md5, slot.base_version_id
        if slot.arrived is not None and self._arrived.get(manifest_id) == came:
            return
        try:
            self._write(slot, self._over_base(slot, _in_order(_read(file))), algorithm)
        except OutOfOrder:
            with closing(_Sorter()) as sorter:
                sorter.add(_read(file), unique=True)
                self._write(slot, self._over_base(slot, sorter.sorted()), algorithm)
        with self._lock:
            self._arrived[manifest_id] = came
            if len(self._arrived) > KNOWN_ARRIVALS:
                self._arrived.popitem(last=False)

    def merge(self, version_id: int, parts: Sequence[Row[Any]], algorithm: str) -> int:
        """Make one manifest of several; of equal paths the last part's entry counts."""
        with self._database.write() as connection:
            number = manifests.announce(connection, version_id, manifests.FULL, None)
            slot = manifests.find(connection, number)
        with closing(_Sorter()) as sorter:
            for part in parts:
                sorter.add(self.entries(part.id))
            self._write(slot, sorter.sorted(), algorithm)
        return number

    def entries(self, manifest_id: int) -> Iterator[Entry]:
        """Yield a stored manifest's entries by path, a few segments at a time."""
        position = 0
        while True:
            with self._database.read() as connection:
                manifests.find(connection, manifest_id)
                some = segments.read(connection, manifest_id, position, SEGMENTS_AT_ONCE)
            for segment in some:
                yield from segment
            position += len(some)
            if len(some) < SEGMENTS_AT_ONCE:
                return

    def _over_base(self, slot: Row[Any], given: Iterator[Entry]) -> Iterator[Entry]:
        """Return the entries of an incremental manifest over those of its base."""
        if slot.kind != manifests.INCREMENTAL or slot.base_version_id is None:
            return given
        with self._database.read() as connection:
            base = connection.execute(
                select(versions.c.manifest_id).where(versions.c.id == slot.base_version_id)
            ).scalar()
        return given if base is None else _overlaid(self.entries(base), given)

    def _write(self, slot: Row[Any], given: Iterator[Entry], algorithm: str) -> None:
        self._clear(slot)
        totals = Totals(algorithm)
        cuts = segments.cut(given)
        some = list(islice(cuts, SEGMENTS_AT_ONCE))
        is_whole = False
        while not is_whole:
            for segment in some:
                for entry in segment.entries:
                    totals.add(entry)
            following = list(islice(cuts, SEGMENTS_AT_ONCE))
            is_whole = not following
            with self._database.write() as connection:
                manifests.require_pending(connection, slot.version_id)
                resolved = _resolved(connection, some)
                segments.append(connection, slot.id, slot.version_id, totals.segments, resolved)
                if is_whole:  # in its last transaction: of most manifests the only one
                    connection.execute(_ARRIVED, {"number": slot.id, **totals.columns()})
            totals.segments += len(some)
            some = following

    def _clear(self, slot: Row[Any]) -> None:
        """Take out what came before, a few segments at a time."""
        with self._database.read() as connection:  # most often there is nothing
            former = manifests.find(connection, slot.id)
            is_empty = former.arrived is None and not segments.places(connection, slot.id, 1)
        while not is_empty:
            with self._database.write() as connection:
                manifests.require_pending(connection, slot.version_id)
                connection.exec_driver_sql(_NOT_ARRIVED, (slot.id,))
                places = segments.places(connection, slot.id, SEGMENTS_AT_ONCE)
                freed = segments.let_go(connection, places)
            self._storage.finish(freed)
            is_empty = len(places) < SEGMENTS_AT_ONCE


def _read(file: IO[bytes]) -> Iterator[Entry]:
    file.seek(0)
    return entries.read_manifest(file)


def _in_order(given: Iterable[Entry]) -> Iterator[Entry]:
    last = ""
    for entry in given:
        if entry.path <= last:
            if entry.path == last:
                raise InvalidRequest(f"The manifest has two entries {last[:200]!r}.")
            raise OutOfOrder
        last = entry.path
        yield entry


def _overlaid(base: Iterator[Entry], given: Iterator[Entry]) -> Iterator[Entry]:
    """Yield the entries of both by path; of equal paths the given one."""
    last = None
    # `merge` is stable: of equal paths the first argument's comes first.
    for entry in heapq.merge(given, base, key=lambda entry: entry.path):
        if entry.path != last:
            yield entry
        last = entry.path


def _resolved(connection: Connection, some: Sequence[segments.Segment]) -> list[segments.Segment]:
    """Return segments whose files know their contents."""
    files = [entry for segment in some for entry in segment.entries if entry.is_file]
    found = contents.find_many(connection, list({entry.content_name for entry in files}))
    missing = [entry.path for entry in files if entry.content_name not in found]
    if missing:
        named = ", ".join(repr(path[:200]) for path in missing[:NAMED_FILES])
        raise Conflict(
            f"The manifest names {len(missing)} files whose bytes did not arrive, first {named}: "
            "upload them before the manifest."
        )
    replace = msgspec.structs.replace
    return [
        segments.Segment(
            [
                replace(entry, content=found[entry.content_name]) if entry.is_file else entry
                for entry in segment.entries
            ]
        )
        for segment in some
    ]


class _Sorter:
    """Entries of any number by path: a private database on disk, which has no name."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute(
            "CREATE TABLE entries (path TEXT PRIMARY KEY, body BLOB) WITHOUT ROWID"
        )
        self._encode = msgspec.msgpack.Encoder().encode

    def add(self, given: Iterable[Entry], *, unique: bool = False) -> None:
        """Take entries in; a later one takes the place of its path's former one."""
        verb = "INSERT" if unique else "INSERT OR REPLACE"
        rows = ((entry.path, self._encode(entry)) for entry in given)
        try:
            self._database.execute("BEGIN")
            self._database.executemany(f"{verb} INTO entries VALUES (?, ?)", rows)
            self._database.execute("COMMIT")
        except sqlite3.IntegrityError as error:
            raise InvalidRequest("The manifest has two entries of one path.") from error

    def sorted(self) -> Iterator[Entry]:
        """Yield the entries in the order of their paths."""
        decode = msgspec.msgpack.Decoder(Entry).decode
        for (body,) in self._database.execute("SELECT body FROM entries ORDER BY path"):
            yield decode(body)

    def close(self) -> None:
        """Drop the database."""
        self._database.close()
