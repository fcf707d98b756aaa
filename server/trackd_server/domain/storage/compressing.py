"""Compressing packs in the background, where that makes them much smaller.

Everything is stored as it comes, so no client waits for a compressor (a real one sent text at 40 %
of its rate where chunks were compressed on arrival), and downloads on the same disk copy files
without reading them: that is worth more than some per cent. So a pack stays as it is unless a
sample of its chunks shrinks by a third, as tables, texts and logs do, and weights and images do
not. It also waits until it has some age: what is deleted soon is not worth the work, and figures
that were just read stand.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from itertools import islice
from typing import TYPE_CHECKING

from trackd_proto.chunk_encoding import RAW, compressed
from trackd_server.domain.storage.chunk_rows import Freed
from trackd_server.domain.storage.moving import Live, Mover
from trackd_server.store.statements import run_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from trackd_server.domain.storage.receive import Tools

log = logging.getLogger(__name__)

#: Age at which a pack is looked at, and how many are at once.
WAIT_S = 60.0
AT_ONCE = 64
#: Part of it that must be saved, by a sample of so many chunks (2 MiB, some 5 ms).
MIN_SAVED = 1 / 3
SAMPLED_CHUNKS = 32
#: When packs that could not be compressed (no room, a damaged disk) are looked at again.
RETRY_AFTER_S = 3_600.0

_LEAVE = (
    "UPDATE packs SET to_compress = 0 WHERE id IN (SELECT value FROM json_each(?))"
    " RETURNING id, live_bytes < bytes"
)


class Compressor:
    """Makes packs smaller. For any thread; one of them works at a time."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._mover = Mover(tools.database, tools.blobs, tools.doomed, compress=True)
        self._working = threading.Lock()
        self._refused: set[int] = set()
        self._retry_s = 0.0

    def work(self) -> bool:
        """Compress a part of what waits; tell whether there may be more.

        Raises:
            DatabaseBusy: Try again later.
            DatabaseFull: Try again later.
        """
        with self._working:
            waiting = self._waiting()
            left: list[int] = []
            for pack_id in waiting:
                try:
                    if self._compressed(pack_id):
                        break
                except OSError as error:  # until it is tried again, it is read as it is
                    facts = {"pack": pack_id, "error": str(error)}
                    log.warning("pack_not_compressed", extra={"facts": facts})
                    self._refused.add(pack_id)
                    self._retry_s = time.monotonic() + RETRY_AFTER_S
                else:
                    left.append(pack_id)
            if left:
                self._leave(left)
            return bool(waiting)

    def _waiting(self) -> list[int]:
        if time.monotonic() >= self._retry_s:
            self._refused.clear()
        with self._tools.database.read() as connection:
            rows = connection.exec_driver_sql(
                "SELECT id FROM packs WHERE to_compress = 1 AND created_at <= ? ORDER BY id",
                (time.time() - WAIT_S,),
            )
            return list(islice((row.id for row in rows if row.id not in self._refused), AT_ONCE))

    def _compressed(self, pack_id: int) -> bool:
        """Compress a pack, or the first part of a large one; False: that is not worth it."""
        with self._tools.database.read() as connection:
            key, chunks = _sample(connection, pack_id)
        try:
            if key is None or not self._is_worth_it(key, chunks):
                return False
            pack = self._mover.look(pack_id)
            if pack is not None:
                self._mover.move(pack)
        except FileNotFoundError:
            with self._tools.database.read() as connection:
                if _sample(connection, pack_id)[0] == key:
                    raise
            # It was rewritten meanwhile: it is looked at again.
        return True

    def _leave(self, pack_ids: Sequence[int]) -> None:
        """Let packs be as they are; what was compressed of one may have left it by now."""
        with self._tools.database.write() as connection:
            found = run_text(connection, _LEAVE, (json.dumps(pack_ids),))
        wasteful = frozenset(pack_id for pack_id, has_waste in found if has_waste)
        if wasteful:
            self._tools.reclaimer.finish(Freed(wasteful=wasteful))

    def _is_worth_it(self, key: str, chunks: Sequence[Live]) -> bool:
        plain = stored = 0
        descriptor = self._tools.blobs.open(key)
        try:
            for chunk in chunks:
                data = os.pread(descriptor, chunk.stored, chunk.offset)
                frame = compressed(memoryview(data))
                plain += len(data)
                stored += len(data if frame is None else frame)
        finally:
            os.close(descriptor)
        return stored < (1 - MIN_SAVED) * plain


def _sample(connection: Connection, pack_id: int) -> tuple[str | None, list[Live]]:
    """Return the key of a pack, and chunks that lie in it as they are, from all over it."""
    query = "SELECT blob_key FROM packs WHERE id = ?"
    key: str | None = connection.exec_driver_sql(query, (pack_id,)).scalar()
    query = (
        "SELECT coalesce(min(offset), 0), coalesce(max(offset), 0) FROM cdc_chunks"
        " WHERE pack_id = ?"
    )
    first, end = connection.exec_driver_sql(query, (pack_id,)).one()
    found: dict[int, Live] = {}
    for number in range(SAMPLED_CHUNKS):
        row = connection.exec_driver_sql(
            "SELECT id, offset, stored_bytes, encoding, bytes FROM cdc_chunks"
            " WHERE pack_id = ? AND offset >= ? ORDER BY offset LIMIT 1",
            (pack_id, first + (end - first) * number // SAMPLED_CHUNKS),
        ).one_or_none()
        if row is not None and row.encoding == RAW:
            found[row.id] = Live(*row)
    return key, list(found.values())
