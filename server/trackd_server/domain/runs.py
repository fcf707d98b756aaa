"""Runs: create and update, resume, stop, alert, delete, and what others read of them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, func, select, update

from trackd_proto.wandb_http import CONSOLE_FILE, EVENTS_FILE, HISTORY_FILE, RUN_STATES
from trackd_server.domain import chunks, forks, merge, names, run_records, run_removal
from trackd_server.domain.errors import InvalidRequest, NotFound
from trackd_server.domain.run_records import Client, RunPath
from trackd_server.store.tables import (
    alerts,
    projects,
    runs,
    streams,
    writers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from trackd_server.domain.storage import Storage

#: Fields of an upsert that are stored as they come; null leaves them as they are.
PLAIN_FIELDS = {
    "displayName": "display_name",
    "description": "description",
    "notes": "notes",
    "groupName": "group_name",
    "jobType": "job_type",
    "commit": "commit_hash",
    "host": "host",
    "jobProgram": "program",
    "jobRepo": "repo",
    "sweep": "sweep",
}
TERMINAL_STATES = frozenset({"finished", "failed", "crashed", "killed", "preempted"})
#: Runs that one query looks up.
VIEWS_AT_ONCE = 500


@dataclass(frozen=True)
class Upserted:
    """The run after an upsert, and whether it was made by it."""

    run: RunView
    inserted: bool


@dataclass(frozen=True)
class RunView:
    """One run as others read it: its row and what its writers say."""

    row: Row[Any]
    state: str
    writers: Sequence[Row[Any]]
    history_lines: int

    @property
    def path(self) -> RunPath:
        """Return where the run lies."""
        return RunPath(self.row.entity, self.row.project, self.row.name)

    @property
    def config(self) -> dict[str, Any]:
        """Return the merged config in its wrapped form."""
        return merge.configs(self.writers)

    @property
    def summary(self) -> dict[str, Any]:
        """Return the merged summary."""
        return merge.summaries(self.writers)

    @property
    def tags(self) -> list[str]:
        """Return the run's tags."""
        return run_records.tags_of(self.row)


class Runs:
    """All runs of the server."""

    def __init__(self, storage: Storage, *, clock: Callable[[], float] = time.time) -> None:
        self._database = storage.database
        self._storage = storage
        self._clock = clock
        self._serving_since = clock()

    # -- reading

    def view(self, connection: Connection, row: Row[Any], client: Client | None = None) -> RunView:
        """Return a run's row with its writers; counts are of `client` if one is given."""
        return RunView(
            row,
            self._state(row),
            run_records.writers_of(connection, row.id),
            run_records.line_count(
                connection, row.id, HISTORY_FILE, None if client is None else client.id
            ),
        )

    def find(self, connection: Connection, path: RunPath) -> RunView | None:
        """Return a run by its path, or None."""
        row = run_records.find(connection, path)
        return None if row is None else self.view(connection, row)

    def in_project(self, connection: Connection, project_id: int) -> list[RunView]:
        """Return all runs of a project, oldest first."""
        query = run_records.select_runs().where(runs.c.project_id == project_id)
        return self._views(
            connection, connection.execute(query.order_by(runs.c.created_at, runs.c.id)).all()
        )

    def page(
        self, connection: Connection, project_id: int, start: int, count: int, *, newest_first: bool
    ) -> list[RunView]:
        """Return some runs of a project by age."""
        columns = (runs.c.created_at, runs.c.id)
        order = [column.desc() for column in columns] if newest_first else columns
        query = run_records.select_runs().where(runs.c.project_id == project_id)
        rows = connection.execute(query.order_by(*order).offset(start).limit(count)).all()
        return self._views(connection, rows)

    def newest(self, connection: Connection, limit: int) -> list[RunView]:
        """Return the newest runs of all projects."""
        query = run_records.select_runs().order_by(runs.c.created_at.desc(), runs.c.id.desc())
        return self._views(connection, connection.execute(query.limit(limit)).all())

    def views(self, connection: Connection, numbers: Sequence[int]) -> list[RunView]:
        """Return runs by the numbers of their rows, in this order; those gone are left out."""
        query = run_records.select_runs().where(runs.c.id.in_(numbers))
        rows = {row.id: row for row in connection.execute(query)}
        return self._views(connection, [rows[number] for number in numbers if number in rows])

    def _views(self, connection: Connection, rows: Sequence[Row[Any]]) -> list[RunView]:
        """Return many runs with few queries."""
        found: list[RunView] = []
        for start in range(0, len(rows), VIEWS_AT_ONCE):
            some = rows[start : start + VIEWS_AT_ONCE]
            ids = [row.id for row in some]
            speakers = run_records.writers_by_run(connection, ids)
            lines = run_records.line_counts(connection, ids, HISTORY_FILE)
            found += [
                RunView(row, self._state(row), speakers.get(row.id, ()), lines.get(row.id, 0))
                for row in some
            ]
        return found

    def _state(self, row: Row[Any]) -> str:
        return run_records.observed_state(row, self._clock(), self._serving_since)

    # -- writing

    def upsert(self, fields: dict[str, Any], client: Client) -> Upserted:
        """Create or change a run, named by path or by storage id; null fields stay as they are."""
        now = self._clock()
        values = _changed_columns(fields)
        with self._database.write() as connection:
            run, inserted = self._locate(connection, fields, values, now)
            if inserted:
                forks.inherit(connection, run, fields.get("config"))
            writer_id, is_new = run_records.ensure_writer(connection, run.id, client)
            if not inserted and run.state in TERMINAL_STATES and "state" not in values:
                # Only the first upsert of a process names its host or program: the id is used
                # again. A later one (late config of a shared writer) must not reopen the run.
                begins = fields.get("host") is not None or fields.get("jobProgram") is not None
                if begins and (is_new or not client.id):
                    values |= {"state": "running", "exit_code": None, "finished_at": None}
                    values["stop_requested"] = 0
            if "state" in values or client.id or not fields.get("id"):
                values["heartbeat_at"] = now
            if values:
                connection.execute(update(runs).where(runs.c.id == run.id).values(**values))
            by_id = bool(fields.get("id")) and not client.id
            self._set_text(connection, run.id, writer_id, "config", fields.get("config"), by_id)
            summary = fields.get("summaryMetrics")
            self._set_text(connection, run.id, writer_id, "summary", summary, by_id)
            row = run_records.by_number(connection, run.id)
            return Upserted(self.view(connection, row, client), inserted)

    def set_state(self, opaque_id: str, state: str) -> None:
        """Set a run's state by hand."""
        number = names.row_number("Run", opaque_id)
        values = {"state": _checked_state(state)}
        with self._database.write() as connection:
            run_records.by_number(connection, number)
            connection.execute(update(runs).where(runs.c.id == number).values(**values))

    def request_stop(self, opaque_id: str) -> None:
        """Ask a run's clients to stop; they learn it with their next request."""
        number = names.row_number("Run", opaque_id)
        with self._database.write() as connection:
            run_records.by_number(connection, number)
            connection.execute(update(runs).where(runs.c.id == number).values(stop_requested=1))

    def alert(self, path: RunPath, title: str, text: str, level: str, wait_ms: int) -> None:
        """Remember an alert of a run."""
        with self._database.write() as connection:
            run = run_records.by_path(connection, path)
            connection.execute(
                alerts.insert(),
                {
                    "run_id": run.id,
                    "title": title,
                    "text": text,
                    "level": level,
                    "wait_ms": wait_ms,
                    "created_at": self._clock(),
                },
            )

    def rewind(self, path: RunPath, step: int, client: Client) -> RunView:
        """Drop the history after `step`, for a client that goes on from there."""
        with self._database.write() as connection:
            run = run_records.by_path(connection, path)
            for stream in run_records.streams_of(connection, run.id, HISTORY_FILE):
                self._rewind_stream(connection, stream, step)
            values = {"state": "running", "heartbeat_at": self._clock(), "exit_code": None}
            values |= {"finished_at": None, "stop_requested": 0}  # what was asked of it is past
            connection.execute(update(runs).where(runs.c.id == run.id).values(**values))
            row = run_records.by_number(connection, run.id)
            return self.view(connection, row, client)

    def delete(self, opaque_id: str) -> None:
        """Delete a run with its rows, its files and its bytes."""
        number = names.row_number("Run", opaque_id)
        with self._database.freeing() as connection:
            freed = run_removal.remove(connection, number)
        self._storage.finish(freed)

    # -- steps of the above

    def _locate(
        self, connection: Connection, fields: dict[str, Any], values: dict[str, Any], now: float
    ) -> tuple[Row[Any], bool]:
        if opaque := fields.get("id"):
            return run_records.by_number(connection, names.row_number("Run", opaque)), False
        name = fields.get("name")
        if not name:
            raise InvalidRequest("A run needs a name or an id; give it one of them.")
        path = RunPath.of(fields.get("entityName"), fields.get("modelName"), name)
        found = run_records.find(connection, path)
        if found is not None:
            return found, False
        return run_records.create(connection, path, now, values), True

    def _set_text(
        self,
        connection: Connection,
        run_id: int,
        writer_id: int,
        column: str,
        text: str | None,
        alone: bool,
    ) -> None:
        """Replace what a writer says; `alone` = it speaks for all, so the others fall silent."""
        if text is None:
            return
        if not isinstance(_decoded(column, text), dict):
            raise InvalidRequest(f"Invalid {column}: it must be the JSON text of an object.")
        if alone:
            silent = {column: None, f"{column}_at": 0.0}
            connection.execute(update(writers).where(writers.c.run_id == run_id).values(**silent))
        said = {column: text, f"{column}_at": self._clock()}
        connection.execute(update(writers).where(writers.c.id == writer_id).values(**said))

    @staticmethod
    def _rewind_stream(connection: Connection, stream: Row[Any], step: int) -> None:
        keep = 0
        for chunk in chunks.read_chunks(connection, stream.id):
            for number, line in enumerate(chunk.lines, chunk.first_line):
                if chunks.step_of(line, number) > step:
                    break
                keep = number + 1
            else:
                continue
            break
        freed = chunks.truncate(connection, stream.id, keep, has_steps=True)
        size = stream.bytes - freed
        connection.execute(
            update(streams).where(streams.c.id == stream.id).values(next_line=keep, bytes=size)
        )


@dataclass(frozen=True)
class ResumePoint:
    """Where a client that resumes a run goes on."""

    history_lines: int
    events_lines: int
    console_lines: int
    history_tail: str
    events_tail: str


def resume_point(connection: Connection, run: RunView) -> ResumePoint:
    """Return counts and last lines for the plain client of a run."""
    run_id = run.row.id

    def count(file: str) -> int:
        # A run that only shared-mode processes wrote goes on behind all of their lines.
        own = run_records.line_count(connection, run_id, file, "")
        return own or run_records.line_count(connection, run_id, file, None)

    return ResumePoint(
        count(HISTORY_FILE),
        count(EVENTS_FILE),
        count(CONSOLE_FILE),
        _tail(connection, run_id, HISTORY_FILE),
        _tail(connection, run_id, EVENTS_FILE),
    )


def _tail(connection: Connection, run_id: int, file: str) -> str:
    """Return the furthest last line of a file's streams, as JSON text of a list of texts."""
    best: tuple[int, str] | None = None
    for stream in run_records.streams_of(connection, run_id, file):
        last = chunks.last_lines(connection, stream.id, 1)
        for line in last.lines:
            rank = chunks.step_of(line, last.first_line)
            if best is None or rank > best[0]:
                best = rank, line.decode()
    return json.dumps([] if best is None else [best[1]])


def project_row(connection: Connection, entity: str, name: str) -> Row[Any] | None:
    """Return a project, or None."""
    return connection.execute(
        select(projects).where(projects.c.entity == entity, projects.c.name == name)
    ).one_or_none()


def projects_of(connection: Connection, entity: str) -> Sequence[Row[Any]]:
    """Return an entity's projects, newest first."""
    query = select(projects).where(projects.c.entity == entity)
    return connection.execute(query.order_by(projects.c.created_at.desc())).all()


def count_runs(connection: Connection, project_id: int) -> int:
    """Return how many runs a project has."""
    query = select(func.count()).select_from(runs).where(runs.c.project_id == project_id)
    return int(connection.execute(query).scalar() or 0)


def alerts_of(connection: Connection, run_id: int) -> Sequence[Row[Any]]:
    """Return a run's alerts in the order sent."""
    return connection.execute(
        select(alerts).where(alerts.c.run_id == run_id).order_by(alerts.c.id)
    ).all()


def require_project(connection: Connection, entity: str, name: str) -> Row[Any]:
    """Return a project or say that it does not exist."""
    row = project_row(connection, entity, name)
    if row is None:
        raise NotFound(f"Project {entity}/{name} does not exist.")
    return row


def _changed_columns(fields: dict[str, Any]) -> dict[str, Any]:
    values = {
        column: fields[field]
        for field, column in PLAIN_FIELDS.items()
        if fields.get(field) is not None
    }
    if fields.get("tags") is not None:
        values["tags"] = json.dumps(fields["tags"])
    if fields.get("state"):
        values["state"] = _checked_state(fields["state"])
        if values["state"] == "crashed":
            values["exit_code"] = None  # the process died before it could have one
    return values


def _checked_state(state: str) -> str:
    if state not in RUN_STATES:
        raise InvalidRequest(f"Invalid state {state[:50]!r}: use one of {', '.join(RUN_STATES)}.")
    return state


def _decoded(column: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"Invalid {column}: it is no JSON text ({error}).") from error
