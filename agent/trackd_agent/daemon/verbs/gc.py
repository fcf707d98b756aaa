"""`trackd gc`: what nobody refers to any more leaves the disk."""

from __future__ import annotations

import json

import click

from trackd_agent.daemon.verbs.asking import ask, asked_server
from trackd_agent.daemon.verbs.status import size


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--drop-pending", is_flag=True, help="Drop unfinished versions of any age, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--base-url", default="", help="Server to ask; default: as configured.")
def gc(*, dry_run: bool, drop_pending: bool, as_json: bool, base_url: str) -> None:
    """Drop what was left over: uploads, strays, holes.

    These are expired uploads, objects without an owner, and holes in packs and in the database.
    Deleting frees the disk by itself; this is for what was interrupted, and to make the database
    smaller. Exit status 4: the server does not answer.

    Example: trackd gc --dry-run
    """
    body = {"dry_run": dry_run, **({"drop_pending": True} if drop_pending else {})}
    done = ask(asked_server(base_url), "POST", "/api/v1/gc", body)
    if as_json:
        click.echo(json.dumps(done, indent=1))
        return
    would = "would be " if dry_run else ""
    click.echo(f"{size(done['bytes'])} {would}freed ({done['bytes']} bytes)")
    for name, what in (
        ("expired_pending", "unfinished versions dropped"),
        ("objects_without_row", "objects without an owner removed"),
        ("packs_rewritten", "packs rewritten without their holes"),
    ):
        if done.get(name):
            click.echo(f"{done[name]} {what}")
    if done["database_bytes"]:
        click.echo(f"database: {size(done['database_bytes'])} less")
