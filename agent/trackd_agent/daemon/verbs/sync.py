"""`trackd sync`: uploads what offline runs recorded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trackd_proto import layout

if TYPE_CHECKING:
    from trackd_agent.runs.folders.sync import SyncReport


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a run folder.")
@click.option("--base-url", default="", help="Server to upload to; default: as the run asked.")
@click.option(
    "--timeout",
    "timeout_s",
    default=60.0,
    show_default=True,
    help="Give up on a run after so many seconds without an answer.",
)
def sync(paths: tuple[Path, ...], as_json: bool, base_url: str, timeout_s: float) -> None:
    """Upload offline runs.

    PATH is a run folder, or a folder that holds some; default: ./trackd. Runs that are
    uploaded already are left alone, an interrupted upload goes on where it was. Damaged records
    are skipped, counted and reported.

    Exit status 1: something could not be uploaded. 3: there is no run.

    Example: trackd sync trackd/offline-run-20260101_120000-abcd1234
    """
    import msgspec

    folders = _run_folders(paths or (Path("trackd"),))
    if not folders:
        looked = ", ".join(map(str, paths)) or "./trackd"
        click.echo(f"trackd sync: there is no offline run in {looked}", err=True)
        sys.exit(3)
    is_whole = True
    for folder in folders:
        report = _sync(folder.resolve(), base_url, timeout_s)
        is_whole &= report.is_whole
        click.echo(msgspec.json.encode(report).decode() if as_json else _as_text(report))
    sys.exit(0 if is_whole else 1)


def _run_folders(paths: tuple[Path, ...]) -> list[Path]:
    """Return the run folders that the paths mean, each once, in order."""
    found: dict[Path, None] = {}
    for path in paths:
        is_run = (path / layout.RUN_FACTS).exists() or (path / "journal").is_dir()
        for folder in [path] if is_run else sorted(path.glob("offline-run-*")):
            if folder.is_dir():
                found[folder.resolve()] = None
    return list(found)


def _sync(run_dir: Path, base_url: str, timeout_s: float) -> SyncReport:
    import anyio

    from trackd_agent.daemon.leftovers import let_agent_take_over
    from trackd_agent.daemon.servers import ServerUnreachable, agent_kept, find_server
    from trackd_agent.daemon.syncing import sync_to
    from trackd_agent.runs.folders.sync import SyncReport

    facts = layout.RunFolderFacts.read(run_dir)
    data = layout.data_dir()
    let_agent_take_over(run_dir, facts)
    try:
        server = find_server(data, base_url or (facts.base_url if facts else ""))
    except ServerUnreachable as error:
        report = SyncReport(str(run_dir), facts.run_id if facts else "", "incomplete")
        report.problem = str(error)
        return report
    with agent_kept(data):
        return anyio.run(sync_to, run_dir, server, data, timeout_s)


def _as_text(report: SyncReport) -> str:
    text = f"{report.run_id or report.run_dir}: {report.state.replace('_', ' ')}"
    if report.url:
        text += f"  {report.url}"
    if report.problem:
        text += f"\n  {report.problem}"
    if report.lost:
        lost = ", ".join(f"{count} {reason}" for reason, count in sorted(report.lost.items()))
        text += f"\n  not uploaded: {lost}"
    return text
