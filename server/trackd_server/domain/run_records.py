"""Rows of runs, projects and writers inside a transaction: find, create, touch.

The small steps that the services share; each works in the caller's transaction.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sqlalchemy import Row, bindparam, func, select, update

from trackd_proto.wandb_http import LATE_FILE_PREFIX
from trackd_server.domain import names
from trackd_server.domain.errors import NotFound
from trackd_server.store.tables import projects, runs, streams, writers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Select

#: A running run that was silent for so long counts as crashed (clients beat every 30 s).
SILENCE_S = 300.0
#: What identifies a writer is cut to this.
MAX_CLIENT_CHARS = 256
MAX_LABEL_CHARS = 256
LIVE_STATES = frozenset({"running", "preempting"})


@dataclass(frozen=True)
class RunPath:
    """Where a run lies; the names were checked."""

    entity: str
    project: str
    run: str

    @classmethod
    def of(cls, entity: str | None, project: str | None, run: str) -> RunPath:
        """Check the names of a request and fill in what it left out."""
        return cls(names.entity(entity), names.project(project), names.checked("run id", run))

    def __str__(self) -> str:
        return f"{self.entity}/{self.project}/{self.run}"


@dataclass(frozen=True)
class Client:
    """Which process a request comes from: `""` is the one client of a plain run."""

    id: str = ""
    label: str = ""

    @classmethod
    def of(cls, client_id: str, quoted_label: str) -> Client:
        """Return who the headers of a request say it is from; labels travel percent-encoded."""
        return cls(client_id[:MAX_CLIENT_CHARS], unquote(quoted_label)[:MAX_LABEL_CHARS])


_run_columns = (*runs.c, projects.c.entity, projects.c.name.label("project"))


def select_runs() -> Select[Any]:
    """Return the query of runs with their project's names."""
    return select(*_run_columns).join(projects, projects.c.id == runs.c.project_id)


# Statements of the intake are made once: making them takes as long as running them.
_run_by_path = select_runs().where(
    projects.c.entity == bindparam("in_entity"),
    projects.c.name == bindparam("in_project"),
    runs.c.name == bindparam("called"),
)
_project_by_name = select(projects.c.id).where(
    projects.c.entity == bindparam("entity"), projects.c.name == bindparam("called")
)
_writer_by_client = select(writers.c.id, writers.c.label).where(
    writers.c.run_id == bindparam("of_run"), writers.c.client_id == bindparam("client")
)


def find(connection: Connection, path: RunPath) -> Row[Any] | None:
    """Return a run by its path."""
    where = {"in_entity": path.entity, "in_project": path.project, "called": path.run}
    return connection.execute(_run_by_path, where).one_or_none()


def by_number(connection: Connection, number: int) -> Row[Any]:
    """Return a run by its row number."""
    row = connection.execute(select_runs().where(runs.c.id == number)).one_or_none()
    if row is None:
        raise NotFound("The run does not exist (any more).")
    return row


def by_path(connection: Connection, path: RunPath) -> Row[Any]:
    """Return a run by its path, or say that it does not exist."""
    row = find(connection, path)
    if row is None:
        raise NotFound(f"Run {path} does not exist.")
    return row


def ensure_project(connection: Connection, entity: str, name: str, now: float) -> int:
    """Return the number of a project, made if need be."""
    found = connection.execute(_project_by_name, {"entity": entity, "called": name}).scalar()
    if found is not None:
        return found
    return _new_id(connection, projects, {"entity": entity, "name": name, "created_at": now})


def create(
    connection: Connection, path: RunPath, now: float, values: dict[str, Any] | None = None
) -> Row[Any]:
    """Insert a run; what `values` leaves out gets its default."""
    project_id = ensure_project(connection, path.entity, path.project, now)
    row = {"state": "running", "tags": "[]", "created_at": now, "heartbeat_at": now}
    row |= values or {}
    row |= {"project_id": project_id, "name": path.run}
    if not row.get("display_name"):
        count = connection.execute(
            select(func.count()).select_from(runs).where(runs.c.project_id == project_id)
        ).scalar()
        row["display_name"] = names.display_name((count or 0) + 1)
    return by_number(connection, _new_id(connection, runs, row))


def ensure_writer(connection: Connection, run_id: int, client: Client) -> tuple[int, bool]:
    """Return the number of a run's writer and whether it is new; a label is remembered."""
    found = connection.execute(
        _writer_by_client, {"of_run": run_id, "client": client.id}
    ).one_or_none()
    if found is None:
        row = {"run_id": run_id, "client_id": client.id, "label": client.label}
        return _new_id(connection, writers, row), True
    if client.label and client.label != found.label:
        connection.execute(
            update(writers).where(writers.c.id == found.id).values(label=client.label)
        )
    return found.id, False


def writers_of(connection: Connection, run_id: int) -> Sequence[Row[Any]]:
    """Return a run's writers in the order of their labels."""
    return connection.execute(
        select(writers)
        .where(writers.c.run_id == run_id)
        .order_by(func.length(writers.c.label), writers.c.label, writers.c.id)
    ).all()


def writers_by_run(connection: Connection, run_ids: Sequence[int]) -> dict[int, list[Row[Any]]]:
    """Return the writers of several runs."""
    rows = connection.execute(select(writers).where(writers.c.run_id.in_(run_ids))).all()
    found: dict[int, list[Row[Any]]] = {}
    for row in rows:
        found.setdefault(row.run_id, []).append(row)
    return found


def line_counts(connection: Connection, run_ids: Sequence[int], file: str) -> dict[int, int]:
    """Return how many lines several runs have in a file, over all their writers."""
    rows = connection.execute(
        select(writers.c.run_id, func.sum(streams.c.next_line))
        .join(streams, streams.c.writer_id == writers.c.id)
        .where(writers.c.run_id.in_(run_ids), streams.c.file == file)
        .group_by(writers.c.run_id)
    ).all()
    return {run_id: int(count) for run_id, count in rows}


def streams_of(connection: Connection, run_id: int, file: str) -> Sequence[Row[Any]]:
    """Return one file's streams of all writers, in the order of their labels."""
    return connection.execute(
        select(streams, writers.c.label, writers.c.client_id)
        .join(writers, writers.c.id == streams.c.writer_id)
        .where(writers.c.run_id == run_id, streams.c.file == file)
        .order_by(func.length(writers.c.label), writers.c.label, writers.c.id)
    ).all()


def late_streams_of(connection: Connection, run_id: int) -> Sequence[Row[Any]]:
    """Return the streams of rows whose step went back, in the order of their labels."""
    return connection.execute(
        select(streams, writers.c.label)
        .join(writers, writers.c.id == streams.c.writer_id)
        .where(writers.c.run_id == run_id, streams.c.file.startswith(LATE_FILE_PREFIX))
        .order_by(func.length(writers.c.label), writers.c.label, streams.c.id)
    ).all()


def line_count(connection: Connection, run_id: int, file: str, client_id: str | None) -> int:
    """Return how many lines a writer (None: all writers) has in a file."""
    query = (
        select(func.coalesce(func.sum(streams.c.next_line), 0))
        .join(writers, writers.c.id == streams.c.writer_id)
        .where(writers.c.run_id == run_id, streams.c.file == file)
    )
    if client_id is not None:
        query = query.where(writers.c.client_id == client_id)
    return int(connection.execute(query).scalar() or 0)


def observed_state(run: Row[Any], now: float, serving_since: float) -> str:
    """Return the state to show: a silent running run has crashed.

    Silence counts from the server's start at the earliest: while it was down nobody could beat.
    """
    silent_since = max(run.heartbeat_at, serving_since)
    if run.state in LIVE_STATES and now - silent_since > SILENCE_S:
        return "preempted" if run.state == "preempting" else "crashed"
    return run.state


def tags_of(run: Row[Any]) -> list[str]:
    """Return a run's tags."""
    return json.loads(run.tags)


def _new_id(connection: Connection, table: Any, row: dict[str, Any]) -> int:
    key: Any = connection.execute(table.insert(), row).inserted_primary_key
    return int(key[0])
