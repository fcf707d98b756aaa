"""The first schema: projects, runs, writers, streams of lines, files, alerts, the ledger."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

#: As they were then: a migration never follows later changes of `tables`.
STATEMENTS = (
    """
    CREATE TABLE doomed_blobs (
        blob_key TEXT NOT NULL,
        PRIMARY KEY (blob_key)
    )
    """,
    """
    CREATE TABLE projects (
        id INTEGER NOT NULL,
        entity TEXT NOT NULL,
        name TEXT NOT NULL,
        description TEXT,
        created_at FLOAT NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT one_project_per_name UNIQUE (entity, name)
    )
    """,
    """
    CREATE TABLE runs (
        id INTEGER NOT NULL,
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
        PRIMARY KEY (id),
        CONSTRAINT one_run_per_name UNIQUE (project_id, name),
        FOREIGN KEY(project_id) REFERENCES projects (id)
    )
    """,
    """
    CREATE INDEX runs_by_project ON runs (project_id, created_at)
    """,
    """
    CREATE TABLE alerts (
        id INTEGER NOT NULL,
        run_id INTEGER NOT NULL,
        title TEXT NOT NULL,
        text TEXT NOT NULL,
        level TEXT NOT NULL,
        wait_ms INTEGER NOT NULL,
        created_at FLOAT NOT NULL,
        PRIMARY KEY (id),
        FOREIGN KEY(run_id) REFERENCES runs (id)
    )
    """,
    """
    CREATE INDEX alerts_by_run ON alerts (run_id)
    """,
    """
    CREATE TABLE files (
        id INTEGER NOT NULL,
        run_id INTEGER NOT NULL,
        name TEXT NOT NULL,
        blob_key TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        md5 TEXT NOT NULL,
        updated_at FLOAT NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT one_file_per_name UNIQUE (run_id, name),
        FOREIGN KEY(run_id) REFERENCES runs (id)
    )
    """,
    """
    CREATE TABLE objects (
        kind TEXT NOT NULL,
        owner_run INTEGER NOT NULL,
        name TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        PRIMARY KEY (kind, owner_run, name),
        FOREIGN KEY(owner_run) REFERENCES runs (id)
    )
    """,
    """
    CREATE INDEX objects_by_run ON objects (owner_run)
    """,
    """
    CREATE TABLE writers (
        id INTEGER NOT NULL,
        run_id INTEGER NOT NULL,
        client_id TEXT NOT NULL,
        label TEXT DEFAULT '' NOT NULL,
        config TEXT,
        config_at FLOAT DEFAULT '0' NOT NULL,
        summary TEXT,
        summary_at FLOAT DEFAULT '0' NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT one_writer_per_client UNIQUE (run_id, client_id),
        FOREIGN KEY(run_id) REFERENCES runs (id)
    )
    """,
    """
    CREATE TABLE streams (
        id INTEGER NOT NULL,
        writer_id INTEGER NOT NULL,
        file TEXT NOT NULL,
        next_line INTEGER DEFAULT '0' NOT NULL,
        bytes INTEGER DEFAULT '0' NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT one_stream_per_file UNIQUE (writer_id, file),
        FOREIGN KEY(writer_id) REFERENCES writers (id)
    )
    """,
    """
    CREATE TABLE chunks (
        stream_id INTEGER NOT NULL,
        first_line INTEGER NOT NULL,
        line_count INTEGER NOT NULL,
        first_step INTEGER,
        last_step INTEGER,
        content BLOB NOT NULL,
        PRIMARY KEY (stream_id, first_line),
        FOREIGN KEY(stream_id) REFERENCES streams (id)
    )
    """,
)


def upgrade() -> None:
    """Create everything."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop nothing: going back is not supported; install the newer trackd again."""
    raise NotImplementedError
