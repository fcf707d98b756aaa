"""`trackd export`: one run as one document."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from trackd_proto import layout

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_RUN_STATUS = 3
_MAX_ROWS_SHOWN = 10
_MAX_EVENTS_SHOWN = 20
_MAX_LINES_SHOWN = 10
#: Columns that tell a person little; they are in the JSON.
_TIMES = ("_timestamp", "_runtime")


@click.command()
@click.argument("run", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print the whole document as JSON.")
@click.option("--base-url", default="", help="Server to ask; default: as configured.")
@click.option(
    "--whole",
    is_flag=True,
    help="Of a run folder, also `environments` (processes and machines), and if it was uploaded "
    "`system` and `late_rows`. A server's document always has them.",
)
def export(run: str, as_json: bool, base_url: str, whole: bool) -> None:
    """Print everything that a run recorded.

    RUN is a run folder, the id of a run below ./trackd, or ENTITY/PROJECT/RUN on the server.
    A folder is read with the journals and spools that belong to it, also when all processes of
    the run were killed.

    Exit status 3: there is no such run.

    Example: trackd export --json trackd/latest-run
    """
    from trackd_agent.daemon.servers import NoSuchRun, ServerUnreachable

    try:
        document = _document(run, base_url, whole=whole)
    except NoSuchRun as error:
        click.echo(f"trackd export: {error}", err=True)
        sys.exit(NO_RUN_STATUS)
    except ServerUnreachable as error:
        click.echo(f"trackd export: {error}", err=True)
        sys.exit(1)
    if as_json:
        json.dump(document, sys.stdout, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        for line in _as_text(document):
            click.echo(line)


def _document(run: str, base_url: str, *, whole: bool) -> dict[str, Any]:
    """Return the document of a run.

    Raises:
        NoSuchRun: nothing is known under this name.
        ServerUnreachable: the server does not answer.
    """
    from trackd_agent.daemon.exporting import folder_document, server_document
    from trackd_agent.daemon.servers import NoSuchRun
    from trackd_agent.runs.folders.run_folder import folder_named

    data = layout.data_dir()
    if folder := folder_named(run):
        return folder_document(folder, data, whole=whole)
    if run.count("/") == 2 and not run.startswith(("/", ".")):
        return server_document(run, data, base_url)
    raise NoSuchRun(
        f"{run!r} is no run folder, no run below ./trackd and no ENTITY/PROJECT/RUN; "
        "`trackd ls` lists runs"
    )


def _as_text(document: dict[str, Any]) -> Iterator[str]:
    run = document["run"]
    yield f"run      {run['id']}  {run['name'] or ''}".rstrip()
    yield f"project  {run['project']}"
    code = "" if run["exit_code"] is None else f" (exit code {run['exit_code']})"
    yield f"state    {run['state']}{code}"
    if run["tags"]:
        yield f"tags     {', '.join(run['tags'])}"
    for part in ("config", "summary"):
        if document[part]:
            yield f"\n{part}"
            yield from (
                f"  {key} = {_short(value)}" for key, value in sorted(document[part].items())
            )
    rows = document["history"]
    yield f"\nhistory  {_counted(len(rows), 'row', _MAX_ROWS_SHOWN)}"
    if rows:
        yield _table(rows[-_MAX_ROWS_SHOWN:])
    if system := document.get("system"):  # only a server's document has it
        yield f"\nsystem   {_counted(len(system), 'row')}"
    if events := document.get("events"):
        yield f"\nevents   {_counted(len(events), 'event', _MAX_EVENTS_SHOWN)}"
        yield from (
            f"  {event['runtime']:.0f} s  {event['name']}: {event['text']}"
            for event in events[-_MAX_EVENTS_SHOWN:]
        )
    if document["files"]:
        yield "\nfiles"
        yield from (f"  {f['name']}  {f['size']}" for f in document["files"])
    lines = document["console"]
    yield f"\nconsole  {_counted(len(lines), 'line', _MAX_LINES_SHOWN)}"
    yield from (f"  {line}" for line in lines[-_MAX_LINES_SHOWN:])


def _counted(count: int, word: str, shown: int = 0) -> str:
    text = f"{count} {word}" if count == 1 else f"{count} {word}s"
    return f"{text}, the last {shown}:" if 0 < shown < count else text


def _table(rows: list[dict[str, Any]]) -> str:
    """Return rows as a table; where it is too wide for the screen the last columns are left out."""
    from trackd_agent.daemon.tables import Column, console, show

    names = dict.fromkeys(["_step", *(name for row in rows for name in row)])
    columns = [
        Column(name, spare=place, is_number=True)
        for place, name in enumerate(name for name in names if name not in _TIMES)
    ]
    cells = [[_cell(row.get(column.heading, "")) for column in columns] for row in rows]
    screen = console()
    with screen.capture() as captured:
        show(screen, columns, cells)
    return captured.get().rstrip()


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else _short(value)


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:197] + "..."
