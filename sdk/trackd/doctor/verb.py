"""`trackd doctor`: what a run would find here."""

from __future__ import annotations

import json
import sys
from typing import NoReturn

import click

from trackd import settings as settings_module
from trackd.doctor import checks, settings_table
from trackd.errors import Error
from trackd.sending.discovery import Discovery

_UNWELL = 1


@click.command(short_help="Check what a run needs; show settings and their sources.")
@click.option(
    "--settings", "show_settings", is_flag=True, help="Show and describe each setting, too."
)
@click.option("--changed", is_flag=True, help="Show only settings that differ from their default.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(*, show_settings: bool, changed: bool, as_json: bool) -> None:
    """Look at agent, disk, spool, server and settings; start and change nothing.

    With --settings each setting is shown with its value, where that comes from, whether it has an
    effect, and what it is for. Exit status 1: something is to be done.

    Example: trackd doctor --settings
    """
    try:
        loaded = settings_module.load()
    except (Error, ValueError) as error:
        _refuse(str(error), as_json=as_json)
    found = list(checks.findings(loaded, Discovery()))
    rows = settings_table.rows(loaded) if show_settings or changed else []
    if changed:
        rows = [row for row in rows if row.source != settings_table.DEFAULT]
    well = all(finding.is_well for finding in found)
    if as_json:
        click.echo(json.dumps(_as_json(found, rows, well=well), indent=1))
    else:
        for finding in found:
            remedy = f"\n          → {finding.remedy}" if finding.remedy else ""
            click.echo(f"{finding.subject:<9} {finding.text}{remedy}")
        for row in rows:
            click.echo(row.text)
    sys.exit(0 if well else _UNWELL)


def _refuse(problem: str, *, as_json: bool) -> NoReturn:
    """Say that no run can be started with these settings, and leave."""
    if as_json:
        click.echo(json.dumps({"well": False, "problem": problem}))
    else:
        click.echo(f"trackd doctor: {problem}", err=True)
    sys.exit(_UNWELL)


def _as_json(
    found: list[checks.Finding], rows: list[settings_table.Row], *, well: bool
) -> dict[str, object]:
    return {
        "well": well,
        "findings": [
            {"subject": each.subject, "text": each.text, "remedy": each.remedy} for each in found
        ],
        "settings": [row.as_json() for row in rows],
    }
