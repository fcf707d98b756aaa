"""`trackd ls`: the runs of this node."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from trackd_proto import layout

NOTHING_RUNS_STATUS = 3


@click.command()
@click.option("--project", default="", help="Only this project.")
@click.option("-n", "--count", default=50, show_default=True, help="Runs per project at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def ls(project: str, count: int, *, as_json: bool) -> None:
    """List the runs that the agent and its server know, newest first.

    Exit status 3: neither an agent nor its server runs.

    Example: trackd ls --project digits
    """
    from trackd_agent.daemon.run_list import all_runs

    runs = all_runs(layout.data_dir(), count)
    if runs is None:
        if as_json:
            click.echo("[]")
        else:
            click.echo("neither an agent nor its server runs; `trackd up` starts both", err=True)
        sys.exit(NOTHING_RUNS_STATUS)
    shown = [run for run in runs if project in ("", run["project"])]
    if as_json:
        click.echo(json.dumps(shown, indent=1))
        return
    if not shown:
        click.echo("no runs")
        return
    from trackd_agent.daemon.tables import Column, console, show

    columns = (
        Column("PROJECT"),
        Column("RUN"),
        Column("NAME", spare=3),
        Column("STATE"),
        Column("ROWS", spare=1, is_number=True),
        Column("CREATED", spare=2),
        Column("ADDRESS", spare=4),
    )
    show(console(), columns, [_cells(run) for run in shown])


def _cells(run: dict[str, Any]) -> tuple[str, ...]:
    rows = "" if run["rows"] is None else str(run["rows"])
    created = run["created_at"][:19].replace("T", " ")
    address = run["url"] or run["run_dir"]
    return run["project"], run["run_id"], run["name"], run["state"], rows, created, address
