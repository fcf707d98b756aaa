"""What the page of one run shows, in one reading of the database."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from trackd_server.api import exhibits, machines, run_files, system_charts
from trackd_server.api.run_facts import RunFacts, span
from trackd_server.domain import console, happenings, history, merge, run_records, runs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd_server.api.context import Services
    from trackd_server.domain.run_records import RunPath
    from trackd_server.domain.runs import RunView

#: What the page shows at most.
MAX_ROWS = 20
MAX_COLUMNS = 12
MAX_CONSOLE_LINES = 200
MAX_SYSTEM_ROWS = 1_200
MAX_EVENTS = 50


def read(services: Services, path: RunPath) -> dict[str, Any]:
    """Return what the template of a run's page asks for.

    Raises:
        NotFound: there is no such run.
    """
    now = time.time()
    with services.database.read() as connection:
        run = services.runs.view(connection, run_records.by_path(connection, path))
        number = run.row.id
        rows = [dict(_flat(row)) for row in history.last_rows(connection, number, MAX_ROWS)]
        summary = merge.plain_summary(run.summary)
        happened = happenings.latest(connection, number, system_charts.MAX_MARKS)
        system_rows = history.sampled_system_metrics(connection, number, MAX_SYSTEM_ROWS)
        shown: dict[str, Any] = {
            "run": RunFacts.of(run, now),
            "row": run.row,
            "tags": run.tags,
            "labels": [writer.label for writer in run.writers if writer.label],
            "config": sorted(_flat(_own_config(run))),
            "summary": sorted(_flat(summary)),
            "media": exhibits.of(summary, exhibits.Shelf(services.files, connection, path, number)),
            "columns": _columns(rows),
            "rows": rows[::-1],
            "late_count": sum(
                stream.next_line for stream in run_records.late_streams_of(connection, number)
            ),
            "console": console.tail(connection, number, MAX_CONSOLE_LINES),
            **run_files.of_run(connection, run),
            "system": _system(history.latest_system_metrics(connection, number)),
            "board": system_charts.board(system_rows, happened, run.config),
            "happened": [(span(each.runtime), each) for each in happened[-MAX_EVENTS:][::-1]],
            "alerts": runs.alerts_of(connection, number),
            "machines": machines.machines_of(run.config),
        }
    board = shown["board"]
    shown["board_span"] = f"From {span(board.first_s)} to {span(board.last_s)} of the run"
    return shown


def _own_config(run: RunView) -> dict[str, Any]:
    """Return the config without what clients keep in it for themselves."""
    config = merge.plain_config(run.config)
    return {key: value for key, value in config.items() if key != "_wandb"}


def _columns(rows: list[dict[str, str]]) -> list[str]:
    """Return the columns of the table of rows: step and label first, then as they came."""
    seen = dict.fromkeys(key for row in rows for key in row)
    first = [key for key in ("_step", "_label") if key in seen]
    rest = [key for key in seen if not key.startswith("_")]
    return (first + rest)[:MAX_COLUMNS]


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested values as dotted names and short texts."""
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, dict) and value and "_type" not in value:
            found += _flat(value, f"{prefix}{key}.")  # pyright: ignore[reportUnknownArgumentType]
        else:
            found.append((f"{prefix}{key}", exhibits.cell(value)))
    return found


def _system(values: dict[str, Any]) -> list[tuple[str, str]]:
    chosen = {key.removeprefix("system."): v for key, v in values.items() if "system." in key}
    return [(key, exhibits.cell(value)) for key, value in sorted(chosen.items())]
