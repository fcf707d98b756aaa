"""`trackd export`: one run as one document."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trackd_proto import layout

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_RUN_STATUS = 3
_MAX_ROWS_SHOWN = 10
_MAX_LINES_SHOWN = 10


@click.command()
@click.argument("run", metavar="RUN_DIR|ENTITY/PROJECT/RUN")
@click.option("--json", "as_json", is_flag=True, help="Print the whole document as JSON.")
@click.option("--base-url", default="", help="Server to ask; default: as configured.")
def export(run: str, as_json: bool, base_url: str) -> None:
    """Print everything that a run recorded.

    RUN_DIR is a run folder: it is read with the journals and spools that belong to it, also
    when all processes of the run were killed. ENTITY/PROJECT/RUN is read from the server.

    Exit status 3: there is no such run.

    Example: trackd export --json trackd/latest-run
    """
    from trackd_agent.daemon.exporting import folder_document, server_document
    from trackd_agent.daemon.servers import NoSuchRun, ServerUnreachable

    data = layout.data_dir()
    try:
        if Path(run).is_dir():
            document = folder_document(Path(run).resolve(), data)
        elif run.count("/") == 2 and not run.startswith(("/", ".")):
            document = server_document(run, data, base_url)
        else:
            click.echo(
                f"trackd export: {run!r} is neither a folder nor entity/project/run", err=True
            )
            sys.exit(NO_RUN_STATUS)
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
    yield f"\nhistory  {len(rows)} rows"
    yield from (f"  {_short(row)}" for row in rows[-_MAX_ROWS_SHOWN:])
    if system := document.get("system"):  # only a server's document has it
        yield f"\nsystem   {len(system)} rows"
    if document["files"]:
        yield "\nfiles"
        yield from (f"  {f['name']}  {f['size']}" for f in document["files"])
    lines = document["console"]
    yield f"\nconsole  {len(lines)} lines"
    yield from (f"  {line}" for line in lines[-_MAX_LINES_SHOWN:])


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:197] + "..."
