"""The database: migrations, transactions, and what its errors become."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.exc import OperationalError

from trackd_server.store import Database, DatabaseFull, RehearsalTooLong, SchemaTooNew, tables
from trackd_server.store.migrations.versions import v0001_first
from trackd_server.store.statements import run_text

if TYPE_CHECKING:
    from pathlib import Path


def schema_of(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    return sorted(" ".join(sql.split()) for (sql,) in rows if "alembic_version" not in sql)


def test_migrations_lead_to_the_same_schema_as_a_fresh_start(tmp_path: Path) -> None:
    fresh, migrated = Database(tmp_path / "fresh.sqlite"), Database(tmp_path / "old.sqlite")
    assert fresh.migrate() == "created"
    migrated.upgrade()
    assert schema_of(fresh.path) == schema_of(migrated.path)
    assert migrated.migrate() == fresh.migrate() == "current"
    for database in (fresh, migrated):
        database.close()


def first_schema(path: Path, *more: str) -> Database:
    with sqlite3.connect(path) as connection:
        for statement in v0001_first.STATEMENTS:
            connection.execute(statement)
        connection.execute("CREATE TABLE alembic_version (version_num TEXT PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES ('0001')")
        for statement in more:
            connection.execute(statement)
    connection.close()
    return Database(path)


def test_rows_of_the_first_schema_are_kept_and_their_ids_never_used_again(tmp_path: Path) -> None:
    database = first_schema(
        tmp_path / "old.sqlite",
        "INSERT INTO projects VALUES (3, 'local', 'p', NULL, 1.5)",
        "INSERT INTO runs (id, project_id, name, display_name, state, created_at, heartbeat_at)"
        " VALUES (5, 3, 'first', 'f', 'finished', 1, 2), (7, 3, 'second', 's', 'running', 3, 4)",
        "INSERT INTO writers (id, run_id, client_id, config) VALUES (2, 7, '', '{}')",
        "INSERT INTO files VALUES (9, 5, 'a.txt', 'ab/cd', 4, 'md5', 6.5)",
    )
    queries = ("SELECT * FROM projects", "SELECT * FROM runs", "SELECT * FROM files")
    with database.read() as connection:
        before = [connection.exec_driver_sql(query).all() for query in queries]
    assert database.migrate() == "upgraded"
    with database.write() as connection:
        assert [connection.exec_driver_sql(query).all() for query in queries] == before
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        connection.exec_driver_sql("DELETE FROM writers")
        connection.exec_driver_sql("DELETE FROM runs WHERE name = 'second'")
        number = connection.exec_driver_sql(
            "INSERT INTO runs (project_id, name, display_name, state, created_at, heartbeat_at)"
            " VALUES (3, 'third', 't', 'running', 5, 6) RETURNING id"
        ).scalar()
    assert number == 8
    database.close()


def test_a_migration_that_breaks_off_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    database = first_schema(path, "CREATE TABLE client_ids (in_the_way TEXT)")
    before = schema_of(path)
    with pytest.raises(OperationalError, match="client_ids already exists"):
        database.migrate()
    assert schema_of(path) == before
    with database.write() as transaction:
        transaction.exec_driver_sql("DROP TABLE client_ids")
    assert database.migrate() == "upgraded"
    assert database.migrate() == "current"
    database.close()


def test_the_newest_migration_is_the_one_the_code_expects() -> None:
    config = Config()
    config.set_main_option("script_location", "trackd_server.store:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == tables.HEAD_REVISION


def test_a_database_from_the_future_is_refused(tmp_path: Path) -> None:
    database = Database(tmp_path / "db.sqlite")
    database.migrate()
    with database.write() as connection:
        connection.execute(tables.version.update().values(version_num="9999"))
    with pytest.raises(SchemaTooNew, match="install the newer trackd"):
        database.migrate()
    database.close()


def test_a_failed_write_leaves_nothing_and_the_next_one_works(tmp_path: Path) -> None:
    database = Database(tmp_path / "db.sqlite")
    database.migrate()
    row = {"entity": "local", "name": "p", "created_at": 0.0}
    with pytest.raises(RuntimeError), database.write() as connection:
        connection.execute(tables.projects.insert(), row)
        raise RuntimeError
    with database.write() as connection:
        assert connection.execute(tables.projects.select()).all() == []
        connection.execute(tables.projects.insert(), row)
    with database.read() as connection:
        assert len(connection.execute(tables.projects.select()).all()) == 1
    database.close()


def test_a_reader_keeps_its_snapshot_and_never_waits_for_the_writer(tmp_path: Path) -> None:
    database = Database(tmp_path / "db.sqlite")
    database.migrate()
    row = {"entity": "local", "name": "p", "created_at": 0.0}
    seen: list[int] = []

    def read() -> None:
        with database.read() as connection:
            seen.append(len(connection.execute(tables.projects.select()).all()))

    with database.read() as snapshot:
        assert snapshot.execute(tables.projects.select()).all() == []
        with database.write() as connection:
            connection.execute(tables.projects.insert(), row)
            reader = threading.Thread(target=read)
            reader.start()
            reader.join(120)
        assert snapshot.execute(tables.projects.select()).all() == []
    read()
    assert seen == [0, 1]
    database.close()


def test_errors_of_plain_statements_are_told_apart_as_all_others(tmp_path: Path) -> None:
    """Statements that run past SQLAlchemy raise what the driver raises."""
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    large = "INSERT INTO segments (hash, entries, bytes, first_path, body) VALUES (?, 0, 0, '', ?)"
    database = Database(tmp_path / "trackd.sqlite")
    database.migrate()
    with pytest.raises(RehearsalTooLong), database.rehearse(0.01) as connection:
        run_text(connection, endless, ())
    with pytest.raises(DatabaseFull), database.write() as connection:
        (pages,) = run_text(connection, "PRAGMA page_count", ())[0]
        run_text(connection, f"PRAGMA max_page_count = {pages}", ())
        run_text(connection, large, (b"", bytes(1_000_000)))
    with pytest.raises(sqlite3.OperationalError), database.read() as connection:
        run_text(connection, "no statement", ())
    database.close()
