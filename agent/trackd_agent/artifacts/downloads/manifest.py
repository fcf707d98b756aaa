"""A manifest of any size as a table on disk: filled from the server's JSON, read in order.

The table is a file of SQLite without a name: it is gone with the process, and small ones never
leave the page cache. So a manifest of a million entries costs a few MiB of memory.
"""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trackd_agent.artifacts.downloads.entries import Entry
from trackd_agent.artifacts.downloads.placing import FULL, DiskFull

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

_COLUMNS = "path, digest, size, ref, birth, extra, algorithm"
_CACHE_KIB = 4096
#: Kinds of entries, as conditions.
ALL, FILES, REFERENCES, MISSING = "", "AND ref = ''", "AND ref != ''", "AND missing"


_TABLE = f"""
PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE;
PRAGMA cache_size=-{_CACHE_KIB}; PRAGMA temp_store=MEMORY;
CREATE TABLE entries (path TEXT PRIMARY KEY, digest TEXT NOT NULL, size INTEGER, ref TEXT NOT NULL,
birth TEXT NOT NULL, extra BLOB NOT NULL, algorithm TEXT NOT NULL,
missing INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
"""


class Manifest:
    """The table. All methods block; one thread at a time may use it.

    Args:
        folder: where its file lies until it is opened.

    Raises:
        DiskFull: there is no room in that folder; so do `add` and `set_missing`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with self._room():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=folder, prefix="manifest-") as handle:
                # SQLite keeps the file open; its name goes with the handle.
                self._table = sqlite3.connect(
                    handle.name, check_same_thread=False, isolation_level=None
                )
                self._table.executescript(_TABLE)
        self.storage_policy = ""
        self.storage_config: dict[str, Any] = {}

    def close(self) -> None:
        """Let go of the table: it is gone."""
        self._table.close()

    @contextmanager
    def _room(self) -> Generator[None]:
        try:
            yield
        except (OSError, sqlite3.OperationalError) as error:
            is_full = isinstance(error, OSError) and error.errno in FULL
            if not is_full and getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_FULL:
                raise
            raise DiskFull(
                "DISK_FULL",
                f"no room for the list of the version's files in {str(self._folder)!r}: free some "
                "space there, which is the agent's folder, and download again",
            ) from error

    # -- filling ---------------------------------------------------------------------------

    def add(self, entries: Iterable[Entry]) -> None:
        """Add entries; one whose path is there already replaces that."""
        rows = (
            (e.path, e.digest, e.size, e.ref, e.birth_artifact_id, e.extra_json, e.algorithm)
            for e in entries
        )
        statement = f"INSERT OR REPLACE INTO entries ({_COLUMNS}) VALUES (?,?,?,?,?,?,?)"  # noqa: S608
        self._write(statement, rows)

    def _write(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        with self._room():
            self._table.execute("BEGIN")
            self._table.executemany(statement, rows)
            self._table.execute("COMMIT")

    # -- reading ---------------------------------------------------------------------------

    def count_files(self) -> tuple[int, int]:
        """Return how many entries are files, and their bytes."""
        row = self._table.execute(
            "SELECT count(*), coalesce(sum(size), 0) FROM entries WHERE ref = ''"
        ).fetchone()
        return int(row[0]), int(row[1])

    def count_references(self) -> int:
        """Return how many entries are references."""
        query = "SELECT count(*) FROM entries WHERE ref != ''"
        return int(self._table.execute(query).fetchone()[0])

    def entries(self, after: str = "", limit: int = 1000, kind: str = ALL) -> list[Entry]:
        """Return the next entries in order of path (as UTF-8).

        Args:
            after: only paths behind this one.
            limit: at most so many.
            kind: `ALL`, `FILES`, `REFERENCES` or `MISSING` (files noted as such).
        """
        found = self._table.execute(
            f"SELECT {_COLUMNS} FROM entries WHERE path > ? {kind}"  # noqa: S608
            " ORDER BY path LIMIT ?",
            (after, limit),
        )
        return [_entry(row) for row in found]

    def missing(self, paths: Iterable[str]) -> list[Entry]:
        """Return those of the paths that are noted as missing."""
        query = f"SELECT {_COLUMNS} FROM entries WHERE path = ? {MISSING}"  # noqa: S608
        rows = (self._table.execute(query, (path,)).fetchone() for path in paths)
        return [_entry(row) for row in rows if row is not None]

    def set_missing(self, entries: Iterable[Entry], *, missing: bool) -> None:
        """Note which files still have to be fetched."""
        rows = ((missing, entry.path) for entry in entries)
        self._write("UPDATE entries SET missing = ? WHERE path = ?", rows)


def _entry(row: tuple[Any, ...]) -> Entry:
    path, digest, size, ref, birth, extra, algorithm = row
    return Entry(path, digest, size, ref, birth, extra, algorithm)
