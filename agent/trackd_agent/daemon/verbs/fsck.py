"""`trackd fsck`: whether what the server knows is what lies on its disk."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from trackd_agent.daemon.verbs.asking import ask, asked_server
from trackd_agent.daemon.verbs.status import size

_DAMAGED = 1
_MAX_SHOWN = 20
#: What to do about a sort of findings.
_REMEDIES = {
    "objects_without_row": "trackd gc removes them",
    "rows_without_object": "trackd fsck --verify tells which files these are",
    "damaged": "log these files again: what comes takes the place of what is damaged",
}


@click.command()
@click.option("--verify", is_flag=True, help="Read and hash every byte, too; takes its time.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--base-url", default="", help="Server to ask; default: as configured.")
def fsck(*, verify: bool, as_json: bool, base_url: str) -> None:
    """Check the server's files against what it knows of them.

    Each object on the disk must have its row, each row its object, and all counts must be right.
    What --verify finds damaged is told until it is repaired: log the same files again, in any way,
    and their bytes take its place. Exit status 1: something is wrong. 4: the server does not
    answer.

    Example: trackd fsck --verify
    """
    path = f"/api/v1/fsck?verify={'true' if verify else 'false'}"
    found = ask(asked_server(base_url), "GET", path)
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        _show(found)
    sys.exit(0 if found["ok"] else _DAMAGED)


def _show(found: dict[str, Any]) -> None:
    checked = dict(found["checked"])
    read_bytes = checked.pop("verified_bytes", None)
    counts = [f"{n} {what.removeprefix('cdc_')}" for what, n in checked.items()]
    if read_bytes is not None:
        counts.append(f"{size(read_bytes)} of contents read")
    click.echo("checked " + ", ".join(counts))
    for name, what in (
        ("objects_without_row", "objects without a row"),
        ("rows_without_object", "rows without an object"),
        ("wrong_counts", "wrong counts"),
        ("damaged", "damaged contents"),
        ("repaired", "contents repaired since the last --verify"),
    ):
        problems: list[Any] = found.get(name) or []
        if not problems:
            continue
        click.echo(f"{what}: {_count(found, name, problems)}")
        for problem in problems[:_MAX_SHOWN]:
            click.echo(f"  {_described(problem)}")
        if len(problems) > _MAX_SHOWN:
            click.echo(f"  and {len(problems) - _MAX_SHOWN} more; --json prints them")
        if name in _REMEDIES:
            click.echo(f"  {_REMEDIES[name]}")
    click.echo("everything is in order" if found["ok"] else "something is wrong")


def _described(problem: dict[str, Any]) -> str:
    """Return a finding: a content by the files that it is, anything else as it is."""
    files: list[str] = problem.get("files") or []
    if not files:
        return json.dumps(problem)
    error = f": {problem['error']}" if problem.get("error") else ""
    return f"{', '.join(files)} ({size(problem['bytes'])}, versions: {problem['versions']}){error}"


def _count(found: dict[str, Any], name: str, problems: list[Any]) -> int:
    """Return how many there are, where the list is cut."""
    counts: dict[str, int] = found.get("found") or {}
    return counts.get(name, len(problems))
