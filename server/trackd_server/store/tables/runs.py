"""Tables of runs: projects, runs, who writes them, their streams of lines, files and alerts.

`writers` is who sends a run's data: the unlabelled client of a plain run has client id `""`, each
process of shared mode its own. A `stream` is one file of one writer; its lines lie in `chunks`:
disjoint ranges of line numbers, joined by newlines.

Clients hold ids of projects, runs and files: they are never used again, so that a deletion that is
asked for again (its answer was lost) does not hit what came later.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from trackd_server.store.tables.schema import metadata

projects = Table(
    "projects",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("entity", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("entity", "name", name="one_project_per_name"),
    sqlite_autoincrement=True,
)

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", Integer, ForeignKey("projects.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("description", Text),
    Column("notes", Text),
    Column("group_name", Text),
    Column("job_type", Text),
    Column("tags", Text, nullable=False, server_default="[]"),
    Column("commit_hash", Text),
    Column("host", Text),
    Column("program", Text),
    Column("repo", Text),
    Column("sweep", Text),
    Column("state", Text, nullable=False),
    Column("exit_code", Integer),
    Column("stop_requested", Integer, nullable=False, server_default="0"),
    Column("preempted", Integer, nullable=False, server_default="0"),
    Column("created_at", Float, nullable=False),
    Column("heartbeat_at", Float, nullable=False),
    Column("finished_at", Float),
    UniqueConstraint("project_id", "name", name="one_run_per_name"),
    sqlite_autoincrement=True,
)

writers = Table(
    "writers",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", Integer, ForeignKey("runs.id"), nullable=False),
    Column("client_id", Text, nullable=False),
    Column("label", Text, nullable=False, server_default=""),
    Column("config", Text),
    Column("config_at", Float, nullable=False, server_default="0"),
    Column("summary", Text),
    Column("summary_at", Float, nullable=False, server_default="0"),
    UniqueConstraint("run_id", "client_id", name="one_writer_per_client"),
)

streams = Table(
    "streams",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("writer_id", Integer, ForeignKey("writers.id"), nullable=False),
    Column("file", Text, nullable=False),
    Column("next_line", Integer, nullable=False, server_default="0"),
    Column("bytes", Integer, nullable=False, server_default="0"),
    UniqueConstraint("writer_id", "file", name="one_stream_per_file"),
)

chunks = Table(
    "chunks",
    metadata,
    Column("stream_id", Integer, ForeignKey("streams.id"), primary_key=True),
    Column("first_line", Integer, primary_key=True, autoincrement=False),
    Column("line_count", Integer, nullable=False),
    Column("first_step", Integer),
    Column("last_step", Integer),
    Column("content", LargeBinary, nullable=False),
)

files = Table(
    "files",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", Integer, ForeignKey("runs.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("blob_key", Text, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("md5", Text, nullable=False),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("run_id", "name", name="one_file_per_name"),
    sqlite_autoincrement=True,
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", Integer, ForeignKey("runs.id"), nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("wait_ms", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
)

Index("runs_by_project", runs.c.project_id, runs.c.created_at)
Index("alerts_by_run", alerts.c.run_id)
