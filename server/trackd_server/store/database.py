"""Connections and transactions of the SQLite database.

All calls block and belong into worker threads. `read()` gives a snapshot that does not wait for
the writer; `write()` gives the one writing transaction at a time and commits it on leaving.
WAL with `synchronous=NORMAL`: a committed transaction survives the death of the process (not
necessarily a power cut), and a commit costs no fsync.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import QueuePool

from trackd_server.store import patterns, tables
from trackd_server.store.reserve import Reserve
from trackd_server.store.statements import run_text

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

#: Connections that stay open, and how many more a burst of long readers may open.
READERS = 4
MORE_READERS = 60
BUSY_TIMEOUT_S = 10
#: What the name of a copy for a rehearsal has behind the database's name.
_COPY = "-rehearsal-"
#: The log is folded into the database when it is so long: each time costs three fsyncs and a write
#: of every page in it. Four times what SQLite does: a deletion of a small version writes 30 pages.
_LOG_BYTES = 16 * 1024 * 1024
#: Steps of SQLite's machine between two looks at the clock: some 0.1 ms.
_STEPS_BETWEEN_LOOKS = 10_000


class DatabaseBusy(Exception):
    """Another process holds the database; try again."""


class DatabaseFull(Exception):
    """The disk has no room left; try again when there is."""


class RehearsalTooLong(Exception):
    """A rehearsal would keep others waiting: do it in a copy."""


class DatabaseDamaged(Exception):
    """The file is no database, or parts of it cannot be read."""


class SearchTooSlow(Exception):
    """A regular expression takes longer than `patterns.SEARCH_TIMEOUT_S`."""


class SchemaTooNew(Exception):
    """The database was written by a newer trackd than this one."""


class Database:
    """The database file of one server directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reserve = Reserve(path.with_name(f"{path.name}-reserve"))
        self._engine = _make_engine(path)
        self._writing = threading.Lock()

    def migrate(self) -> str:
        """Bring the schema up to date; return what was done: created, upgraded or current."""
        self._delete_copies(f"{self.path.name}{_COPY}")  # of a server that was killed
        with self._writing, _typed_errors(), self._engine.connect() as connection:
            revision = _current_revision(connection)
            if revision == tables.HEAD_REVISION:
                return "current"
            if revision is None:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                tables.metadata.create_all(connection)
                connection.execute(tables.version.insert(), {"version_num": tables.HEAD_REVISION})
                connection.commit()
                return "created"
        if revision > tables.HEAD_REVISION:
            raise SchemaTooNew(
                f"{self.path} has schema {revision}, this trackd knows up to "
                f"{tables.HEAD_REVISION}: install the newer trackd again"
            )
        self.upgrade()
        return "upgraded"

    def upgrade(self) -> None:
        """Run the migrations shipped in this package. Alembic is loaded only here: 0.6 s."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", "trackd_server.store:migrations")
        config.attributes["engine"] = self._engine
        with self._writing:
            command.upgrade(config, "head")

    @contextmanager
    def read(self) -> Generator[Connection]:
        """Open a snapshot of the database; nothing is written in it."""
        with _typed_errors(), self._engine.connect() as connection:
            _begin(connection, "BEGIN")
            yield connection

    @contextmanager
    def write(self) -> Generator[Connection]:
        """Open the writing transaction; it commits on leaving, or rolls back on an exception.

        Raises:
            DatabaseFull: The disk is full, or what it has left is for deletions.
        """
        if self.reserve.is_needed:
            raise DatabaseFull("what the disk has left is for deletions (free some space on it)")
        with self._transaction() as connection:
            yield connection

    @contextmanager
    def freeing(self) -> Generator[Connection]:
        """Open the writing transaction of what frees space: on a full disk it has the reserve."""
        self.reserve.give_up()
        with self._transaction() as connection:
            yield connection

    @contextmanager
    def _transaction(self) -> Generator[Connection]:
        with self._writing, _typed_errors(), self._engine.connect() as connection:
            _begin(connection, "BEGIN IMMEDIATE")
            yield connection
            connection.commit()

    @contextmanager
    def rehearse(self, limit_s: float) -> Generator[Connection]:
        """Open a writing transaction that is rolled back on leaving.

        Raises:
            RehearsalTooLong: It took longer than `limit_s`.
        """
        end_s = time.monotonic() + limit_s
        with self._writing, _typed_errors(), self._engine.connect() as connection:
            raw: Any = connection.connection
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            raw.set_progress_handler(lambda: time.monotonic() > end_s, _STEPS_BETWEEN_LOOKS)
            try:
                yield connection
            except (OperationalError, sqlite3.OperationalError) as error:
                if "interrupted" in _words(error):
                    raise RehearsalTooLong from error
                raise
            finally:
                raw.set_progress_handler(None, 0)
                connection.rollback()

    @contextmanager
    def copied(self) -> Generator[Connection]:
        """Open a writing transaction in a copy of the database, which is deleted on leaving."""
        path = self.path.with_name(f"{self.path.name}{_COPY}{secrets.token_hex(8)}")
        try:
            with closing(sqlite3.connect(path)) as target, self._engine.connect() as source:
                raw: Any = source.connection.driver_connection
                raw.backup(target)
            engine = _make_engine(path)
            try:
                with _typed_errors(), engine.connect() as connection:
                    for pragma in (
                        "journal_mode = OFF",
                        "synchronous = OFF",
                        "cache_size = -32000",
                    ):
                        connection.exec_driver_sql(f"PRAGMA {pragma}")
                    connection.exec_driver_sql("BEGIN")
                    yield connection
                    connection.commit()
            finally:
                engine.dispose()
        finally:
            self._delete_copies(path.name)

    def _delete_copies(self, name: str) -> None:
        for path in self.path.parent.glob(f"{name}*"):
            path.unlink(missing_ok=True)

    def reclaim(self, slice_pages: int = 4_000) -> None:
        """Give the free pages back to the file system, in slices so that no writer waits long."""
        while True:
            with self.freeing() as connection:
                cursor: Any = connection.connection.cursor()  # it frees a page a row fetched
                free = cursor.execute("PRAGMA freelist_count").fetchone()[0]
                cursor.execute(f"PRAGMA incremental_vacuum({slice_pages})").fetchall()
                cursor.close()
            if free <= slice_pages:
                return

    def fold(self) -> None:
        """Fold the log into the database and cut it off, if nobody reads an older state."""
        with self._writing, _typed_errors(), self._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()

    def size_bytes(self) -> int:
        """Return the bytes of the database, its log and its reserve on disk."""
        names = (self.path, *(self.path.with_name(self.path.name + s) for s in ("-wal", "-shm")))
        in_use = sum(name.stat().st_size for name in names if name.exists())
        return in_use + self.reserve.size_bytes()

    def close(self) -> None:
        """Close all connections; the last one folds the log into the database."""
        with self._writing:
            self._engine.dispose()


def _begin(connection: Connection, statement: str) -> None:
    connection.begin()  # as SQLAlchemy sees it; SQLite hears only the statement
    run_text(connection, statement, ())


def _make_engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=READERS,
        max_overflow=MORE_READERS,
        pool_use_lifo=True,  # what the last writer has in its cache is right: another's is not
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
        hide_parameters=True,  # errors go to the log: rows and configs do not belong there
    )
    event.listen(engine, "connect", _prepare)
    return engine


def _prepare(connection: Any, record: object) -> None:
    """Set up one new connection; transactions begin and end only where we say so."""
    del record
    connection.isolation_level = None
    if connection.execute("PRAGMA page_count").fetchone() == (0,):
        # So that deleting gives space back. Only for a new file: it would wait for the writer.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    for pragma in (
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
        "cache_size = -4000",
        f"wal_autocheckpoint = {_LOG_BYTES // 4096}",
        f"journal_size_limit = {_LOG_BYTES}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    connection.create_function("regexp", 2, patterns.is_found, deterministic=True)


def _current_revision(connection: Connection) -> str | None:
    try:
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except OperationalError as error:
        if "no such table" in str(error):
            return None
        raise


def _words(error: DatabaseError | sqlite3.DatabaseError) -> str:
    """Return what SQLite said; SQLAlchemy puts more around it."""
    return str(error.orig if isinstance(error, DatabaseError) else error)


@contextmanager
def _typed_errors() -> Generator[None]:
    try:
        yield
    except (OperationalError, sqlite3.OperationalError) as error:
        words = _words(error)
        if "disk is full" in words or "disk I/O" in words:
            raise DatabaseFull(f"{words} (free some space on the server's disk)") from error
        if "locked" in words or "busy" in words:
            raise DatabaseBusy(words) from error
        if "user-defined function" in words:
            raise SearchTooSlow(
                "The regular expression takes too long: make it simpler."
            ) from error
        raise
    except (DatabaseError, sqlite3.DatabaseError) as error:
        words = _words(error)
        if "not a database" in words or "malformed" in words:
            raise DatabaseDamaged(words) from error
        raise
