"""`trackd status`: the agent, its servers, and how far each writer is."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from trackd_proto.v1 import admin_pb2, run_pb2

NO_AGENT_STATUS = 3
_KIB = 1024
#: So the reasons begin that count calls which were refused.
_CALLS = "call_"
#: States of collectors that are no trouble; `trackd doctor` says why.
_COLLECTORS_THAT = {
    "ok": "work",
    "no_data": "have nothing to read here",
    "waiting": "wait for a run",
    "off": "are switched off",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--config", "show_config", is_flag=True, help="Show settings and their sources too.")
def status(*, as_json: bool, show_config: bool) -> None:
    """Show what the agent does: process, servers, runs, and how far each writer is.

    Exit status 3: no agent runs.

    Example: trackd status --json
    """
    from trackd_agent.daemon.admin_client import NoAgent, agent_address, as_plain, connected

    try:
        with connected() as client:
            answer = client.status()
            config = client.config() if show_config else None
    except NoAgent as error:
        if as_json:
            click.echo(json.dumps({"running": False, "address": agent_address()}))
        else:
            click.echo(str(error), err=True)
        sys.exit(NO_AGENT_STATUS)
    if as_json:
        facts = {"running": True, **as_plain(answer)}
        if config is not None:
            facts["config"] = [as_plain(value) for value in config.values]
        click.echo(json.dumps(facts, indent=1))
        return
    from trackd_agent.daemon import tables

    console = tables.console()
    _show_agent(console, answer)
    _show_upstreams(console, answer)
    _show_writers(console, answer)
    _show_collectors(console, answer)
    if config is not None:
        console.print()
        for value in config.values:
            console.print(f"{value.name} = {value.value}  ({value.source})", markup=False)


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < _KIB or unit == "GiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _KIB
    raise AssertionError("the last unit takes everything")


def _show_agent(console: Console, answer: admin_pb2.GetStatusResponse) -> None:
    console.print(
        f"agent     process {answer.pid}, version {answer.version}, up {answer.uptime_s:.0f} s, "
        f"{size(answer.rss_bytes)} of memory"
    )
    console.print(f"address   {', '.join(answer.sockets)}", markup=False)
    console.print(f"data      {answer.data_dir}", markup=False)
    console.print(
        f"journals  {size(answer.journal_bytes)}, of which {size(answer.backlog_bytes)} "
        f"are not uploaded; connections: {answer.connections}"
    )
    if answer.HasField("idle_exit_in_s"):
        console.print(f"idle      leaves in {max(0.0, answer.idle_exit_in_s):.0f} s")
    for reason, count in sorted(answer.dropped.items()):
        if reason.startswith(_CALLS):  # told to who called: not a loss, and not to look like one
            failed = f"{count} {reason.removeprefix(_CALLS)}"
            console.print(f"failed    calls: {failed}; agent.log says why", markup=False)
        else:
            lost = f"{count} records or connections: {reason}"
            console.print(f"dropped   {lost}", style="yellow", markup=False)


def _show_upstreams(console: Console, answer: admin_pb2.GetStatusResponse) -> None:
    for each in answer.upstreams:
        style = "green" if each.state == "ready" else "yellow"
        names = dict.fromkeys((each.name, each.base_url or each.name))
        text = f"server    {' '.join(names)} {each.state.replace('_', ' ')}"
        console.print(f"{text}, {size(each.bytes_sent)} sent", style=style, markup=False)
        if each.problem:
            console.print(f"          {each.problem}", style="red", markup=False)


def _show_writers(console: Console, answer: admin_pb2.GetStatusResponse) -> None:
    from trackd_agent.daemon.tables import Column, show

    if not answer.runs:
        console.print("runs      none since the agent started")
        return
    columns = (
        Column("RUN"),
        Column("STATE"),
        Column("LABEL"),
        Column("WRITER", spare=2),
        Column("PID", spare=3),
        Column("RECEIVED", spare=4, is_number=True),
        Column("JOURNALLED", spare=5, is_number=True),
        Column("UPLOADED", is_number=True),
        Column("BACKLOG", spare=1, is_number=True),
        Column("DROPPED", spare=6, is_number=True),
    )
    console.print()
    show(console, columns, [_cells(run, writer) for run in answer.runs for writer in run.writers])
    for run in answer.runs:
        if run.upload_problem:
            text = f"{run.run.run_id}: {run.upload_problem}"
            console.print(text, style="red", markup=False)


def _cells(run: run_pb2.RunStatus, writer: run_pb2.WriterStatus) -> list[str]:
    return [
        f"{run.run.project}/{run.run.run_id}",
        run.state,
        writer.label or "-",
        writer.state,
        str(writer.pid or "-"),
        str(writer.received_seq),
        str(writer.journalled_seq),
        str(writer.uploaded_seq),
        size(writer.backlog_bytes),
        str(sum(writer.dropped.values())),
    ]


def _show_collectors(console: Console, answer: admin_pb2.GetStatusResponse) -> None:
    console.print()
    for each in answer.collectors:
        if each.state == "failing":
            text = f"collector {each.name} fails: {each.reason}"
            console.print(text, style="yellow", markup=False)
        for problem in each.problems:
            console.print(f"collector {each.name}: {problem}", style="yellow", markup=False)
    by_state: dict[str, list[str]] = {}
    for each in answer.collectors:
        by_state.setdefault(each.state, []).append(each.name)
    for state, said in _COLLECTORS_THAT.items():
        if names := by_state.get(state):
            console.print(f"collectors that {said}: {', '.join(names)}", markup=False)
