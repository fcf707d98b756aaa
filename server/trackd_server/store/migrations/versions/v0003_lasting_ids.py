"""Ids of projects, runs and files are never used again: a late repeat of a deletion hits nothing.

SQLite cannot add that to a table, so the tables are made anew.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

#: As they were then.
REBUILT = {
    "projects": """
    CREATE TABLE projects (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        entity TEXT NOT NULL,
        name TEXT NOT NULL,
        description TEXT,
        created_at FLOAT NOT NULL,
        CONSTRAINT one_project_per_name UNIQUE (entity, name)
    )
    """,
    "runs": """
    CREATE TABLE runs (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        project_id INTEGER NOT NULL,
        name TEXT NOT NULL,
        display_name TEXT NOT NULL,
        description TEXT,
        notes TEXT,
        group_name TEXT,
        job_type TEXT,
        tags TEXT DEFAULT '[]' NOT NULL,
        commit_hash TEXT,
        host TEXT,
        program TEXT,
        repo TEXT,
        sweep TEXT,
        state TEXT NOT NULL,
        exit_code INTEGER,
        stop_requested INTEGER DEFAULT '0' NOT NULL,
        preempted INTEGER DEFAULT '0' NOT NULL,
        created_at FLOAT NOT NULL,
        heartbeat_at FLOAT NOT NULL,
        finished_at FLOAT,
        CONSTRAINT one_run_per_name UNIQUE (project_id, name),
        FOREIGN KEY(project_id) REFERENCES projects (id)
    )
    """,
    "files": """
    CREATE TABLE files (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        run_id INTEGER NOT NULL,
        name TEXT NOT NULL,
        blob_key TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        md5 TEXT NOT NULL,
        updated_at FLOAT NOT NULL,
        CONSTRAINT one_file_per_name UNIQUE (run_id, name),
        FOREIGN KEY(run_id) REFERENCES runs (id)
    )
    """,
}
INDEXES = ("CREATE INDEX runs_by_project ON runs (project_id, created_at)",)


def upgrade() -> None:
    """Make the tables anew, with all their rows."""
    for table, statement in REBUILT.items():
        op.execute(f"ALTER TABLE {table} RENAME TO former_{table}")
        op.execute(statement)
        columns = ", ".join(_columns(table))
        op.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM former_{table}")  # noqa: S608
        op.execute(f"DROP TABLE former_{table}")
    for statement in INDEXES:
        op.execute(statement)


def _columns(table: str) -> list[str]:
    return [row.name for row in op.get_bind().exec_driver_sql(f"PRAGMA table_info({table})")]


def downgrade() -> None:
    """Drop nothing: going back is not supported; install the newer trackd again."""
    raise NotImplementedError
