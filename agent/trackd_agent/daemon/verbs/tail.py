"""`trackd tail`: the console of a run."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trackd_proto import layout

if TYPE_CHECKING:
    from trackd_agent.daemon.tailing import ConsoleSource, ShownLine

_NO_RUN_STATUS = 3
_POLL_S = 0.5


@click.command()
@click.argument("run", metavar="RUN")
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until Ctrl-C.")
@click.option("-n", "--lines", "count", default=20, show_default=True, help="Lines to begin with.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option("--base-url", default="", help="Server to ask; default: as configured.")
def tail(run: str, follow: bool, count: int, as_json: bool, base_url: str) -> None:
    """Print the last console lines of a run.

    RUN is a run folder, the id of a run below ./trackd, or ENTITY/PROJECT/RUN on the server.
    Lines of labelled writers begin with the label.

    Exit status 3: there is no such run.

    Example: trackd tail -f trackd/latest-run
    """
    from trackd_agent.daemon.servers import NoSuchRun, ServerUnreachable

    try:
        source = _source(run, base_url)
        lines = source.poll() + source.poll()  # the second look brings each writer's last line
        for line in lines[max(0, len(lines) - count) :]:
            _show(line, as_json=as_json)
        while follow:
            time.sleep(_POLL_S)
            for line in source.poll():
                _show(line, as_json=as_json)
    except NoSuchRun as error:
        click.echo(f"trackd tail: {error}", err=True)
        sys.exit(_NO_RUN_STATUS)
    except ServerUnreachable as error:
        click.echo(f"trackd tail: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(0)


def _source(run: str, base_url: str) -> ConsoleSource:
    """Return where the lines of a run come from.

    Raises:
        NoSuchRun: nothing is known under this name.
    """
    from trackd_agent.daemon.servers import NoSuchRun, find_server
    from trackd_agent.daemon.tailing import FileConsole, JournalConsole, ServerConsole
    from trackd_agent.runs.folders.run_folder import folder_named

    data = layout.data_dir()
    folder = folder_named(run)
    if folder is not None:
        facts = layout.RunFolderFacts.read(folder)
        if facts is None or facts.mode == "offline":
            if facts is None and not (folder / "journal").is_dir():
                raise NoSuchRun(f"{folder} is no run folder")
            return JournalConsole(folder, facts)
        if folder.joinpath("files").is_dir():
            return FileConsole(folder / "files")
        run = f"{facts.entity or 'local'}/{facts.project}/{facts.run_id}"
        data, base_url = Path(facts.data_dir), base_url or facts.base_url
    if run.count("/") != 2:
        raise NoSuchRun(
            f"{run!r} is no run folder, no run below ./trackd and no ENTITY/PROJECT/RUN; "
            "`trackd ls` lists runs"
        )
    return ServerConsole(find_server(data, base_url), *run.split("/"))


def _show(line: ShownLine, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(line._asdict(), ensure_ascii=False))
    else:
        click.echo(f"{line.label}: {line.text}" if line.label else line.text)
