"""The command `trackd server`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import anyio
import click

from trackd_proto import layout
from trackd_server import __version__
from trackd_server.app import logs, memory
from trackd_server.app.byte_count import byte_count
from trackd_server.app.config import ServerConfig

#: Exit status when the server cannot start.
CANNOT_START = 2


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    help="Where everything is kept. Default: server/ in the data directory.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=ServerConfig.port,
    show_default=True,
    help="0 = any free port.",
)
@click.option(
    "--host",
    default=ServerConfig.host,
    show_default=True,
    help="Address to listen on. Other machines get in only if you name one here.",
)
@click.option("--json", "as_json", is_flag=True, help="Print facts and errors as JSON lines.")
@click.option(
    "--exit-on-stdin-close", is_flag=True, help="Stop when standard input ends (for supervisors)."
)
@click.option(
    "--coreweave-organization",
    "coreweave_organization_id",
    default="",
    help="Your organization's id at CoreWeave: runs there then name their cluster and region.",
)
@click.option(
    "--max-storage",
    "max_storage_bytes",
    type=byte_count,
    metavar="BYTES",
    envvar="TRACKD_MAX_STORAGE",
    help="Refuse uploads beyond this, e.g. 500GB. Default: the disk is the limit.",
)
@click.option(
    "--pending-days",
    envvar="TRACKD_PENDING_DAYS",
    type=click.FloatRange(min=0.0),
    default=ServerConfig.pending_days,
    show_default=True,
    help="Drop uploads of artifacts that nobody went on with for so long.",
)
def server(
    directory: Path | None,
    *,
    as_json: bool,
    **options: Any,
) -> None:
    """Serve the W&B protocol from one directory, in the foreground.

    Example: trackd server --dir ./tracking --port 8087
    """
    logs.configure(as_json=as_json)
    os.umask(0o077)  # whatever is stored is the user's alone
    memory.share_one_heap()
    from trackd_server.app import lifecycle  # heavy: not for --help

    chosen = (directory or layout.server_dir(layout.data_dir())).absolute()
    config = ServerConfig(chosen, **options)

    def announce(address: str) -> None:
        _announce(config, address, as_json=as_json)

    try:
        anyio.run(lifecycle.serve, config, announce, backend_options={"use_uvloop": True})
    except lifecycle.StartError as error:
        problem = {"error": {"code": error.code, "message": str(error)}}
        click.echo(json.dumps(problem) if as_json else f"trackd server: {error}", err=not as_json)
        sys.exit(CANNOT_START)


def _announce(config: ServerConfig, address: str, *, as_json: bool) -> None:
    if as_json:
        facts = {
            "address": address,
            "directory": str(config.directory),
            "api_key_file": str(config.api_key),
            "pid": os.getpid(),
            "version": __version__,
        }
        click.echo(json.dumps(facts))
    else:
        click.echo(f"trackd server {__version__} at {address}")
        click.echo(f"  data     {config.directory}")
        click.echo(f"  API key  {config.api_key}")
    sys.stdout.flush()
