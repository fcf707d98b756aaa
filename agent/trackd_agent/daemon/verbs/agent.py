"""`trackd agent`: the agent in the foreground."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Data directory, as TRACKD_DIR.",
)
@click.option("--idle-timeout", help="Seconds to stay without work, or `never`.")
@click.option("--base-url", help="Server of runs that name none. Default: the agent's own.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any setting, such as journal.sync=always; may be repeated.",
)
@click.option("--show-config", is_flag=True, help="Print all settings with their sources, and end.")
@click.option("--json", "as_json", is_flag=True, help="Log (and print) JSON.")
def agent(
    directory: Path | None,
    idle_timeout: str | None,
    base_url: str | None,
    settings: tuple[str, ...],
    *,
    show_config: bool,
    as_json: bool,
) -> None:
    """Serve the ranks of this node, in the foreground, until Ctrl-C.

    Settings come from the command line, the environment (TRACKD_JOURNAL__SYNC=always), the file
    agent.toml in the data directory, or their defaults, in this order.

    Exit status 0: stopped, or another agent runs. 2: it cannot start.

    Example: trackd agent --idle-timeout never --set journal.sync=always
    """
    from trackd_agent.daemon.entry import leave, run_agent

    if directory is not None:
        os.environ["TRACKD_DIR"] = str(directory.absolute())
    options = _options(settings)
    if idle_timeout is not None:
        options["idle_timeout_s"] = idle_timeout
    if base_url is not None:
        options["base_url"] = base_url
    if as_json:
        options["log.format"] = "json"
    if show_config:
        _show_config(options, as_json=as_json)
        return
    leave(run_agent(options))


def _options(settings: tuple[str, ...]) -> dict[str, str]:
    options: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{setting!r} must be NAME=VALUE", param_hint="--set")
        options[name.strip()] = value
    return options


def _show_config(options: dict[str, str], *, as_json: bool) -> None:
    import json

    from trackd_agent.daemon.entry import CANNOT_START
    from trackd_agent.daemon.settings import ConfigError, load_config
    from trackd_proto import layout

    try:
        values = load_config(layout.data_dir(), os.environ, options).values()
    except ConfigError as error:
        click.echo(f"trackd agent: {error.message}", err=True)
        sys.exit(CANNOT_START)
    if as_json:
        click.echo(
            json.dumps({v.name: {"value": v.value, "source": v.source} for v in values}, indent=1)
        )
        return
    for value in values:
        click.echo(f"{value.name} = {value.value}  ({value.source})")
