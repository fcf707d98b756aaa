"""`trackd login`: keeps the API key for a server."""

from __future__ import annotations

import json
import sys

import click

from trackd.account import keys
from trackd.account.login import login as log_in
from trackd.errors import Error
from trackd.session import session

_MOST_KEY_BYTES = 64 * 1024
_FAILED = 1


@click.command(short_help="Keep the API key for a server.")
@click.option("--host", metavar="URL", help="Server. Default: as the settings say.")
@click.option("--relogin", is_flag=True, help="Ask for a key even if there is one.")
@click.option("--verify/--no-verify", default=True, help="Ask the server whether it takes the key.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def login(*, host: str | None, relogin: bool, verify: bool, as_json: bool) -> None:
    """Keep the API key for a server, so that runs and uploads find it.

    The key is typed on the terminal or read from standard input, never given as an argument:
    arguments can be seen by every user of the machine.

    Example: trackd login --host https://tracking.example.org < key.txt
    """
    key = None if sys.stdin.isatty() else sys.stdin.read(_MOST_KEY_BYTES).strip() or None
    try:
        session().set_up({"mode": "online"})  # a login is about servers, whatever runs do
        is_known = log_in(key, relogin=relogin or None, host=host, verify=verify)
    except (Error, ValueError) as error:
        if as_json:
            click.echo(json.dumps({"configured": False, "problem": str(error)}))
        else:
            click.echo(f"trackd login: {error}", err=True)
        sys.exit(_FAILED)
    address = session().set_up().base_url
    if as_json:
        facts = {"configured": is_known, "base_url": address, "file": str(keys.store_path())}
        click.echo(json.dumps(facts))
