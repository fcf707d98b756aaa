"""Moving what lives in a pack to a new one, in transactions that leave books and disk in step.

The new pack is noted as doomed until the transaction that lets the rows point to it, which notes
the old one if nothing is left there: whatever a killed server was at, its next start deletes what
no row names. If rows changed while their bytes were copied, the copy is dropped.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from trackd_proto.chunk_encoding import RAW, UNCUT, ZSTD, compressed
from trackd_server.domain.storage import doomed as notes
from trackd_server.domain.storage.pack_writer import PackWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from trackd_server.blobs import BlobFolder
    from trackd_server.domain.storage.chunk_rows import Placed
    from trackd_server.domain.storage.doomed import Doomed
    from trackd_server.store import Database

#: A pack with more live bytes or chunks than this gives them to new packs, so many at a time: until
#: the last of them has left, both the old and the new ones lie on the disk. The transaction of one
#: slice takes 0.2 s.
SLICE_BYTES = 64 * 1024 * 1024
SLICE_CHUNKS = 16_384
#: Bytes copied at once.
PIECE_BYTES = 4 * 1024 * 1024


class Live(NamedTuple):
    """One chunk that a pack must keep: its row, where it lies, and how."""

    id: int
    offset: int
    stored: int
    encoding: str
    bytes: int


class Pack(NamedTuple):
    """A pack and the chunks of it that move next: all, or the first of a large one."""

    id: int
    blob_key: str
    bytes: int
    live_bytes: int
    #: It is being cut: nothing of it may move before that is over.
    is_uncut: bool
    live: list[Live]

    @property
    def is_whole(self) -> bool:
        """Tell whether all that lives in the pack moves."""
        return sum(chunk.stored for chunk in self.live) == self.live_bytes


class Mover:
    """Moves chunks of packs. For any thread; blocks.

    Args:
        compress: chunks that lie as they are become compressed where that pays.
    """

    def __init__(
        self, database: Database, blobs: BlobFolder, doomed: Doomed, *, compress: bool = False
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._doomed = doomed
        self._compress = compress

    def look(self, pack_id: int) -> Pack | None:
        """Return what is to be moved of a pack; None: it is gone."""
        with self._database.read() as connection:
            return _pack(connection, pack_id)

    def move(self, pack: Pack) -> bool:
        """Move what `look` found; False: it changed meanwhile, or is not all: look again.

        Raises:
            OSError: There is no room, or the disk fails; nothing has changed.
        """
        self._require_room(pack)
        key = self._doomed.new_key()
        dead = [key]
        try:
            placed = self._copied(pack, key)
            if placed is None:
                return False
            with self._database.write() as connection:
                # Numbers of chunks are never used again: the same ones here are the same bytes.
                now = _pack(connection, pack.id)
                if now is None or (now.blob_key, now.live) != (pack.blob_key, pack.live):
                    return False
                if now.is_whole:
                    target, unneeded = _swapped(connection, pack, key, placed), [pack.blob_key]
                else:
                    target, unneeded = _given(connection, pack, key, placed), list[str]()
                if self._compress:
                    connection.exec_driver_sql(
                        "UPDATE packs SET to_compress = 0 WHERE id = ?", (target,)
                    )
            dead = unneeded
            return now.is_whole
        finally:
            self._doomed.delete(dead)

    def _require_room(self, pack: Pack) -> None:
        """Refuse to begin what cannot end: until all has moved, it lies on the disk twice.

        Compressing leaves as much room again to others.
        """
        needed = pack.live_bytes * (2 if self._compress else 1)
        free = self._blobs.free_bytes()
        if free < needed:
            problem = f"Moving the pack {pack.id} needs {needed} bytes, the disk has {free}"
            raise OSError(errno.ENOSPC, problem)

    def _copied(self, pack: Pack, target: str) -> list[Placed] | None:
        """Copy chunks to a new blob; return their new places. None: they lie elsewhere by now."""
        try:
            reader = self._blobs.open(pack.blob_key)
        except FileNotFoundError:
            now = self.look(pack.id)
            if now is None or now.blob_key != pack.blob_key:
                return None
            raise
        try:
            writer = PackWriter(self._blobs, target)
            try:
                waiting = 0
                for chunk in pack.live:
                    self._copy(reader, pack, chunk, writer)
                    waiting += chunk.stored
                    if waiting >= PIECE_BYTES:
                        writer.flush()
                        waiting = 0
                writer.close()
            finally:
                writer.abandon()
        finally:
            os.close(reader)
        return writer.placed

    def _copy(self, reader: int, pack: Pack, chunk: Live, writer: PackWriter) -> None:
        data = os.pread(reader, chunk.stored, chunk.offset)
        if len(data) != chunk.stored:
            raise OSError(f"The pack {pack.blob_key} ends before the chunk {chunk.id}.")
        encoding = chunk.encoding
        if self._compress and encoding == RAW and (frame := compressed(memoryview(data))):
            data, encoding = frame, ZSTD
        writer.put(b"", memoryview(data), chunk.bytes, encoding)


def _pack(connection: Connection, pack_id: int) -> Pack | None:
    row = connection.exec_driver_sql(
        "SELECT blob_key, bytes, live_bytes FROM packs WHERE id = ?", (pack_id,)
    ).one_or_none()
    if row is None:
        return None
    # What is left of it is the last chunk.
    query = "SELECT encoding FROM cdc_chunks WHERE pack_id = ? ORDER BY offset DESC LIMIT 1"
    last = connection.exec_driver_sql(query, (pack_id,)).first()
    is_uncut = last is not None and last.encoding == UNCUT
    live = [] if is_uncut else _live(connection, pack_id)
    return Pack(pack_id, row.blob_key, row.bytes, row.live_bytes, is_uncut, live)


def _live(connection: Connection, pack_id: int) -> list[Live]:
    """Return the first chunks of a pack, as many as one slice moves."""
    found = connection.exec_driver_sql(
        "SELECT id, offset, stored_bytes, encoding, bytes FROM cdc_chunks WHERE pack_id = ?"
        " ORDER BY offset LIMIT ?",
        (pack_id, SLICE_CHUNKS),
    )
    live: list[Live] = []
    size = 0
    for row in found:
        if size >= SLICE_BYTES:
            break
        live.append(Live(*row))
        size += live[-1].stored
    found.close()
    return live


def _swapped(connection: Connection, pack: Pack, key: str, placed: Sequence[Placed]) -> int:
    """Let a pack be a new blob, which has all that lives in it."""
    size = sum(chunk.stored for chunk in placed)
    connection.exec_driver_sql(
        "UPDATE packs SET blob_key = ?, bytes = ?, live_bytes = ? WHERE id = ?",
        (key, size, size, pack.id),
    )
    _place(connection, pack, pack.id, placed)
    notes.spare(connection, key)
    notes.doom(connection, [pack.blob_key])
    return pack.id


def _given(connection: Connection, pack: Pack, key: str, placed: Sequence[Placed]) -> int:
    """Let chunks lie in a new pack; return its number."""
    size = sum(chunk.stored for chunk in placed)
    row = connection.exec_driver_sql(
        "INSERT INTO packs"
        " (blob_key, bytes, live_bytes, upload_version_id, to_compress, created_at)"
        " SELECT ?, ?, ?, upload_version_id, to_compress, created_at FROM packs"
        " WHERE id = ? RETURNING id",
        (key, size, size, pack.id),
    ).one()
    notes.spare(connection, key)
    _place(connection, pack, row.id, placed)
    connection.exec_driver_sql(
        "UPDATE packs SET live_bytes = live_bytes - ? WHERE id = ?",
        (sum(chunk.stored for chunk in pack.live), pack.id),
    )
    return row.id


def _place(connection: Connection, pack: Pack, target: int, placed: Sequence[Placed]) -> None:
    connection.exec_driver_sql(
        "UPDATE cdc_chunks SET pack_id = ?, offset = ?, stored_bytes = ?, encoding = ?"
        " WHERE id = ?",
        [
            (target, place.offset, place.stored, place.encoding, chunk.id)
            for chunk, place in zip(pack.live, placed, strict=True)
        ],
    )
