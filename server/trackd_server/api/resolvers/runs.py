"""Fields of a run. The parent of every resolver here is a `RunView`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from ariadne import ObjectType

from trackd_proto.wandb_http import CONSOLE_FILE, EVENTS_FILE, HISTORY_FILE
from trackd_server.api.resolvers import projects
from trackd_server.api.resolvers.context import context_of, iso
from trackd_server.api.resolvers.viewer import user
from trackd_server.domain import console, history, merge, names, run_records, runs
from trackd_server.domain.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd_server.api.resolvers.context import Info
    from trackd_server.domain.console import ConsoleLine
    from trackd_server.domain.runs import RunView

run_type = ObjectType("Run")

#: Fields that need no further look into the database.
_PLAIN_FIELDS: dict[str, Callable[[RunView], Any]] = {
    "id": lambda run: names.storage_id("Run", run.row.id),
    "name": lambda run: run.row.name,
    "displayName": lambda run: run.row.display_name,
    "description": lambda run: run.row.description,
    "notes": lambda run: run.row.notes,
    "tags": lambda run: run.tags,
    "group": lambda run: run.row.group_name,
    "jobType": lambda run: run.row.job_type,
    "commit": lambda run: run.row.commit_hash,
    "host": lambda run: run.row.host,
    "sweepName": lambda run: run.row.sweep,
    "state": lambda run: run.state,
    "stopped": lambda run: bool(run.row.stop_requested),
    "readOnly": lambda _: False,
    "createdAt": lambda run: iso(run.row.created_at),
    "heartbeatAt": lambda run: iso(run.row.heartbeat_at),
    "projectId": lambda run: run.row.project_id,
    "user": lambda _: user(),
    "config": lambda run: history.dumps(run.config),
    "summaryMetrics": lambda run: history.dumps(run.summary),
    "historyLineCount": lambda run: run.history_lines,
}


def _bind_plain(field: str, read: Callable[[RunView], Any]) -> None:
    def resolve(run: RunView, info: Info) -> Any:
        del info
        return read(run)

    run_type.field(field)(resolve)


for _field, _read in _PLAIN_FIELDS.items():
    _bind_plain(_field, _read)


@run_type.field("project")
def resolve_project(run: RunView, info: Info) -> dict[str, Any]:
    """Return the run's project."""
    connection = context_of(info).connection
    return projects.show(runs.require_project(connection, run.row.entity, run.row.project))


@run_type.field("wandbConfig")
def resolve_wandb_config(run: RunView, info: Info, keys: list[str] | None = None) -> str | None:
    """Return what clients themselves noted in the config: they tell by it if a run began."""
    del info
    if all(writer.config is None for writer in run.writers):
        return None
    internal = merge.internal(run.config)
    chosen = {key: internal[key] for key in keys if key in internal} if keys else internal
    return history.dumps(chosen)


@run_type.field("systemMetrics")
def resolve_system_metrics(run: RunView, info: Info) -> str:
    """Return the last values of the system metrics."""
    values = history.latest_system_metrics(context_of(info).connection, run.row.id)
    return history.dumps(values)


@run_type.field("eventsLineCount")
def resolve_events_count(run: RunView, info: Info) -> int:
    """Return the plain client's number of event lines."""
    return runs.resume_point(context_of(info).connection, run).events_lines


@run_type.field("logLineCount")
def resolve_log_count(run: RunView, info: Info) -> int:
    """Return how many console lines there are."""
    connection = context_of(info).connection
    return run_records.line_count(connection, run.row.id, CONSOLE_FILE, None)


@run_type.field("historyTail")
def resolve_history_tail(run: RunView, info: Info) -> str:
    """Return the last history row."""
    return runs.resume_point(context_of(info).connection, run).history_tail


@run_type.field("eventsTail")
def resolve_events_tail(run: RunView, info: Info) -> str:
    """Return the last line of system metrics."""
    return runs.resume_point(context_of(info).connection, run).events_tail


@run_type.field("historyKeys")
def resolve_history_keys(run: RunView, info: Info) -> dict[str, Any]:
    """Return which keys the run logs, and its last step."""
    return history.history_keys(context_of(info).connection, run.row.id)


@run_type.field("history")
def resolve_history(
    run: RunView,
    info: Info,
    samples: int | None = None,
    minStep: int | None = None,
    maxStep: int | None = None,
) -> list[str]:
    """Return rows between two steps, or evenly sampled ones."""
    connection = context_of(info).connection
    if minStep is None and maxStep is None:
        return history.sampled(connection, run.row.id, HISTORY_FILE, samples)
    steps = range(int(minStep or 0), int(1 << 60 if maxStep is None else maxStep))
    return [line.decode() for _, line in history.rows_between(connection, run.row.id, steps)]


@run_type.field("events")
def resolve_events(run: RunView, info: Info, samples: int | None = None) -> list[str]:
    """Return lines of system metrics."""
    return history.sampled(context_of(info).connection, run.row.id, EVENTS_FILE, samples)


@run_type.field("sampledHistory")
def resolve_sampled_history(
    run: RunView, info: Info, specs: list[str]
) -> list[list[dict[str, Any]]]:
    """Return for each spec the rows that have all its keys."""
    connection = context_of(info).connection
    return [history.sampled_objects(connection, run.row.id, _spec(text)) for text in specs]


@run_type.field("parquetHistory")
def resolve_parquet_history(
    run: RunView,
    info: Info,
    liveKeys: list[str],
) -> dict[str, Any]:
    """Return no Parquet file, so that clients page the rows."""
    del run, info, liveKeys
    return {"parquetUrls": [], "liveData": []}


@run_type.field("logLines")
def resolve_log_lines(
    run: RunView,
    info: Info,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    useImprovedPagination: bool | None = None,
) -> dict[str, Any]:
    """Return a page of the console, or its last lines."""
    del useImprovedPagination
    connection = context_of(info).connection
    if last is not None:
        lines = console.tail(connection, run.row.id, min(last, 100_000))
        return _log_connection(lines, has_more=False)
    found = console.page(connection, run.row.id, min(first or 1_000, 100_000), after)
    return _log_connection(found.lines, has_more=found.has_more)


def _log_connection(lines: list[ConsoleLine], *, has_more: bool) -> dict[str, Any]:
    return {
        "edges": [
            {
                "node": {
                    "number": line.number,
                    "timestamp": line.timestamp,
                    "level": line.level,
                    "label": line.label,
                    "line": line.text,
                }
            }
            for line in lines
        ],
        "pageInfo": {
            "endCursor": lines[-1].cursor if lines else None,
            "hasNextPage": has_more,
        },
    }


def _spec(text: str) -> history.Spec:
    try:
        return msgspec.json.decode(text, type=history.Spec, strict=False)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"Invalid history spec {text[:200]!r}: {error}") from error


bindables = [run_type]
