"""Giving space back: deleting doomed blobs, and rewriting packs that hold dead bytes.

`finish` does it right after the transaction that let go of something, up to a bound; what is
beyond it is left to `work`, which the server runs in the background, and to the next start if the
server dies. `progress` says how much waits.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from trackd_server.domain.storage import chunk_rows, contents
from trackd_server.domain.storage import doomed as notes
from trackd_server.domain.storage.chunk_rows import NOTHING_FREED
from trackd_server.domain.storage.pack_writer import PackWriter
from trackd_server.store import DatabaseBusy, DatabaseFull

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

    from trackd_server.blobs import BlobFolder
    from trackd_server.domain.storage.chunk_rows import Freed
    from trackd_server.domain.storage.doomed import Doomed
    from trackd_server.store import Database

log = logging.getLogger(__name__)

#: What a call does itself before it returns: files deleted, and bytes copied out of packs.
FILES_BEFORE_RETURN = 1_000
COPIED_BEFORE_RETURN = 64 * 1024 * 1024
#: A pack with more live bytes than this gives its chunks to new packs, so many bytes at a time:
#: until the last of them has left, both the old and the new ones lie on the disk.
SLICE_BYTES = 64 * 1024 * 1024
#: How long a call takes chunks from contents that are leaving.
TAKEN_APART_BEFORE_RETURN_S = 2.0
#: Pause between them: whoever waits for the database goes first.
PAUSE_S = 0.002
#: Bytes copied at once.
PIECE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Progress:
    """What waits to be given back."""

    files: int
    packs: int


class _Live(NamedTuple):
    """One chunk that a pack must keep."""

    id: int
    offset: int
    length: int


class Reclaimer:
    """Gives back what rows let go of. For any thread; one of them copies at a time."""

    def __init__(self, database: Database, blobs: BlobFolder, doomed: Doomed) -> None:
        self._database = database
        self._blobs = blobs
        self._doomed = doomed
        self._lock = threading.Lock()
        self._files: list[str] = []
        self._packs: set[int] = set()
        self._copying = threading.Lock()
        self._rows_freed = False
        self._leaving = False

    def finish(self, freed: Freed) -> None:
        """Give back what a committed transaction let go of.

        What the disk refuses now is left to `recover`: the transaction stands.
        """
        if freed.leaving:
            self._leaving = True
            freed += self._take_apart()
        self._doomed.delete(freed.keys[:FILES_BEFORE_RETURN])
        with self._lock:
            self._rows_freed = True
            self._files += freed.keys[FILES_BEFORE_RETURN:]
            self._packs |= freed.wasteful
        if freed.wasteful:
            self._rewrite_some(freed.wasteful, COPIED_BEFORE_RETURN)

    def recover(self) -> None:
        """Take up what a killed server left: call once at the start, before anything uploads."""
        with self._database.write() as connection:
            freed = contents.release(connection, dict.fromkeys(contents.arriving(connection), 1))
        self._doomed.delete(freed.keys)
        self._leaving = True
        self.find_waste()

    def find_waste(self) -> None:
        """Take up all packs that hold dead bytes, also those that could not be rewritten."""
        with self._database.read() as connection:
            query = "SELECT id FROM packs WHERE live_bytes < bytes"
            wasteful = {row.id for row in connection.exec_driver_sql(query)}
        with self._lock:
            self._packs |= wasteful

    def progress(self) -> Progress:
        """Return what waits."""
        with self._lock:
            return Progress(len(self._files), len(self._packs))

    def work(self) -> bool:
        """Do a part of what waits, for about a second; tell whether there is more."""
        if self._leaving:
            self.finish(self._take_apart())
            return True
        with self._lock:
            keys, self._files = (
                self._files[:FILES_BEFORE_RETURN],
                self._files[FILES_BEFORE_RETURN:],
            )
            packs = set(self._packs)
        self._doomed.delete(keys)
        if packs:
            self._rewrite_some(packs, 4 * COPIED_BEFORE_RETURN)
        elif not keys and self._rows_freed:
            self._rows_freed = False
            self._doomed.tidy()
            self._database.reclaim()
        with self._lock:
            return bool(self._files or self._packs)

    def _take_apart(self) -> Freed:
        """Go on with contents that are leaving, for some seconds."""
        freed = NOTHING_FREED
        end_s = time.monotonic() + TAKEN_APART_BEFORE_RETURN_S
        while time.monotonic() < end_s:
            try:
                with self._database.write() as connection:
                    more, is_left = contents.take_apart(connection)
            except (DatabaseBusy, DatabaseFull) as error:
                log.warning("contents_not_dropped", extra={"facts": {"error": str(error)}})
                break
            freed += more
            if not is_left:
                self._leaving = False
                break
            time.sleep(PAUSE_S)
        return freed

    def _rewrite_some(self, pack_ids: Iterable[int], budget: int) -> None:
        """Rewrite packs until so many bytes were copied."""
        with self._copying:
            for pack_id in sorted(pack_ids):
                if budget <= 0:
                    return
                try:
                    budget -= self._rewrite(pack_id, budget)
                except (OSError, DatabaseBusy, DatabaseFull) as error:
                    facts = {"pack": pack_id, "error": str(error)}
                    log.warning("pack_not_rewritten", extra={"facts": facts})
                    self._forget(pack_id)

    def _rewrite(self, pack_id: int, budget: int) -> int:
        """Copy what lives in a pack into a new one; return the bytes copied."""
        with self._database.read() as connection:
            pack = connection.exec_driver_sql(
                "SELECT blob_key, bytes, live_bytes FROM packs WHERE id = ?", (pack_id,)
            ).one_or_none()
            is_uncut = _is_uncut(connection, pack_id)
            is_large = pack is not None and pack.live_bytes > SLICE_BYTES
            live = [] if is_uncut else _live(connection, pack_id, SLICE_BYTES if is_large else None)
        # A pack that is being cut is taken up again after its last cut.
        if pack is None or pack.live_bytes == pack.bytes or is_uncut:
            self._forget(pack_id)
            return 0
        if is_large:
            return self._move(pack_id, pack.blob_key, live)
        if pack.live_bytes > budget:
            return budget  # later, in the background
        key = self._doomed.new_key()
        done = False
        try:
            places = self._copy(pack.blob_key, key, live)
            done = self._swap(pack_id, (pack.blob_key, key), places)
        finally:
            self._doomed.delete([pack.blob_key if done else key])
        return pack.live_bytes

    def _move(self, pack_id: int, former: str, live: list[_Live]) -> int:
        """Copy some chunks of a pack into one of their own; return the bytes copied."""
        key = self._doomed.new_key()
        size = sum(chunk.length for chunk in live)
        done = False
        try:
            places = self._copy(former, key, live)
            with self._database.write() as connection:
                if live == _live(connection, pack_id, SLICE_BYTES):
                    _give(connection, pack_id, (key, size), places)
                    done = True
        finally:
            if not done:
                self._doomed.delete([key])
        return size

    def _copy(self, source: str, target: str, live: list[_Live]) -> dict[int, int]:
        """Copy chunks to a new blob; return their new places."""
        places: dict[int, int] = {}
        reader = self._blobs.open(source)
        try:
            writer = PackWriter(self._blobs, target)
            try:
                for chunk in live:
                    places[chunk.id] = writer.bytes
                    data = os.pread(reader, chunk.length, chunk.offset)
                    if len(data) != chunk.length:
                        raise OSError(f"The pack {source} ends before the chunk {chunk.id}.")
                    writer.add(b"", memoryview(data))
                    if writer.bytes % PIECE_BYTES < chunk.length:
                        writer.flush()
                writer.close()
            finally:
                writer.abandon()
        finally:
            os.close(reader)
        return places

    def _swap(self, pack_id: int, keys: tuple[str, str], places: dict[int, int]) -> bool:
        """Let the rows point to the copy; False if they changed since: then it is done again."""
        former, key = keys
        with self._database.write() as connection:
            pack = connection.exec_driver_sql(
                "SELECT 1 FROM packs WHERE id = ? AND blob_key = ?", (pack_id, former)
            ).first()
            live = _live(connection, pack_id)
            if pack is None or {chunk.id for chunk in live} != places.keys():
                return False
            size = sum(chunk.length for chunk in live)
            connection.exec_driver_sql(
                "UPDATE packs SET blob_key = ?, bytes = ?, live_bytes = ? WHERE id = ?",
                (key, size, size, pack_id),
            )
            connection.exec_driver_sql(
                "UPDATE cdc_chunks SET offset = ? WHERE id = ?",
                [(place, chunk_id) for chunk_id, place in places.items()],
            )
            notes.spare(connection, key)
            notes.doom(connection, [former])
        self._forget(pack_id)
        return True

    def _forget(self, pack_id: int) -> None:
        with self._lock:
            self._packs.discard(pack_id)


def _live(connection: Connection, pack_id: int, max_bytes: int | None = None) -> list[_Live]:
    """Return chunks of a pack in order, about as many as have so many bytes."""
    found = connection.exec_driver_sql(
        "SELECT id, offset, stored_bytes FROM cdc_chunks WHERE pack_id = ? ORDER BY offset",
        (pack_id,),
    )
    live: list[_Live] = []
    size = 0
    for row in found:
        if max_bytes is not None and size >= max_bytes:
            break
        live.append(_Live(*row))
        size += live[-1].length
    found.close()
    return live


def _is_uncut(connection: Connection, pack_id: int) -> bool:
    """Tell whether a pack is being cut: its last chunk is what is left then."""
    query = "SELECT encoding FROM cdc_chunks WHERE pack_id = ? ORDER BY offset DESC LIMIT 1"
    last = connection.exec_driver_sql(query, (pack_id,)).first()
    return last is not None and last.encoding == chunk_rows.UNCUT


def _give(
    connection: Connection, pack_id: int, pack: tuple[str, int], places: Mapping[int, int]
) -> None:
    """Let chunks lie in a new pack of this key and length."""
    row = connection.exec_driver_sql(
        "INSERT INTO packs (blob_key, bytes, live_bytes, upload_version_id, created_at)"
        " SELECT ?, ?, ?, upload_version_id, created_at FROM packs WHERE id = ? RETURNING id",
        (pack[0], pack[1], pack[1], pack_id),
    ).one()
    notes.spare(connection, pack[0])
    connection.exec_driver_sql(
        "UPDATE cdc_chunks SET pack_id = ?, offset = ? WHERE id = ?",
        [(row.id, place, chunk_id) for chunk_id, place in places.items()],
    )
    connection.exec_driver_sql(
        "UPDATE packs SET live_bytes = live_bytes - ? WHERE id = ?", (pack[1], pack_id)
    )
