"""Blobs that must not exist: reserved for an upload that has not ended, or let go of.

A blob's key is noted before its file is made and in the transaction that lets go of it. A server
that is killed deletes at its next start what its notes name. Keys are reserved many at a time, and
notes of deleted files are taken back many at a time, so that an upload or a deletion needs no
transaction of its own for them.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from sqlalchemy import select

from trackd_server.store import DatabaseBusy, DatabaseFull
from trackd_server.store.statements import as_json, run_text
from trackd_server.store.tables import doomed_blobs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from trackd_server.blobs import BlobFolder
    from trackd_server.store import Database

log = logging.getLogger(__name__)

#: Keys noted by one transaction.
RESERVED_AT_ONCE = 64
#: Notes of files that are gone; they cost a start a look each, nothing else.
MAX_STALE_NOTES = 1_000

_DELETE = "DELETE FROM doomed_blobs WHERE blob_key IN (SELECT value FROM json_each(?))"


def doom(connection: Connection, keys: Iterable[str]) -> None:
    """Note blobs that must not exist, in the transaction that lets go of them."""
    run_text(
        connection,
        "INSERT OR IGNORE INTO doomed_blobs SELECT value FROM json_each(?)",
        (as_json(list(keys)),),
    )


def spare(connection: Connection, key: str) -> None:
    """Take back the note on a blob that a row now owns."""
    connection.exec_driver_sql("DELETE FROM doomed_blobs WHERE blob_key = ?", (key,))


def is_noted(connection: Connection, key: str) -> bool:
    """Tell whether a blob must not exist: no row owns it."""
    query = "SELECT 1 FROM doomed_blobs WHERE blob_key = ?"
    return connection.exec_driver_sql(query, (key,)).first() is not None


def all_keys(connection: Connection) -> list[str]:
    """Return the keys of all notes."""
    return list(connection.execute(select(doomed_blobs.c.blob_key)).scalars())


class Doomed:
    """The notes of one server: keys to write to, and files to delete. For any thread."""

    def __init__(self, database: Database, blobs: BlobFolder) -> None:
        self._database = database
        self._blobs = blobs
        self._lock = threading.Lock()
        self._reserved: list[str] = []
        self._gone: list[str] = []

    def new_key(self) -> str:
        """Return a key whose blob does not outlive the server unless `spare` is called."""
        with self._lock:
            if not self._reserved:
                keys = [self._blobs.new_key() for _ in range(RESERVED_AT_ONCE)]
                with self._database.write() as connection:
                    doom(connection, keys)
                self._reserved = keys
            return self._reserved.pop()

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files whose keys are noted, at once; the notes go later.

        A file that cannot be deleted now keeps its note: the next start tries again. Notes that
        the database does not take back now are left to a later call.
        """
        for key in keys:
            try:
                self._blobs.delete(key)
            except OSError as error:
                log.warning("blob_not_deleted", extra={"facts": {"key": key, "error": str(error)}})
                continue
            with self._lock:
                self._gone.append(key)
        if len(self._gone) >= MAX_STALE_NOTES:
            try:
                self.tidy()
            except (DatabaseBusy, DatabaseFull) as error:
                log.warning("notes_not_deleted", extra={"facts": {"error": str(error)}})

    def tidy(self) -> int:
        """Take back the notes of deleted files; return how many."""
        with self._lock:
            gone, self._gone = self._gone, []
        if not gone:
            return 0
        try:
            with self._database.freeing() as connection:
                run_text(connection, _DELETE, (as_json(gone),))
        except BaseException:
            with self._lock:
                self._gone += gone
            raise
        return len(gone)

    def sweep(self) -> int:
        """Delete what a killed server left half-done. Only at start: uploads are noted, too."""
        with self._database.read() as connection:
            keys = all_keys(connection)
        self.delete(keys)
        self.tidy()
        return len(keys)
