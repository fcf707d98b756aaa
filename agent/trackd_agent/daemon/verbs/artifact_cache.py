"""`trackd artifact cache`: what is kept of downloaded files, and how to get rid of it.

A running agent is asked, because the cache is its own; without one the folder is looked at here.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, TypeVar

import click

from trackd_agent.daemon.verbs.status import size

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd_agent.artifacts.cache import FileCache
    from trackd_agent.daemon.admin_client import AdminClient
    from trackd_proto.v1 import artifact_pb2

T = TypeVar("T")

BAD_SETTINGS_STATUS = 2
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTP]?)(I?)B?", re.IGNORECASE)
_UNITS = " KMGTP"


def bytes_of(_context: click.Context, _parameter: click.Parameter, text: str) -> int:
    """Return the bytes that a size means: `10GB` (10^10), `10GiB`, `0`.

    Raises:
        click.BadParameter: it is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise click.BadParameter(f"{text!r} is no size: write 10GB, 512MiB or 0")
    base = 1024 if found[3] else 1000
    return int(float(found[1]) * base ** _UNITS.index(found[2].upper() or " "))


@click.group()
def cache() -> None:
    """Show or shrink the cache of downloaded artifact files.

    Example: trackd artifact cache ls
    """


@cache.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def ls(*, as_json: bool) -> None:
    """Show where the cache is, what it holds, and what it may hold.

    Example: trackd artifact cache ls
    """
    from trackd_agent.daemon.admin_client import as_plain

    found = _asked(lambda client: client.cache(), _described)
    if as_json:
        click.echo(json.dumps(as_plain(found), indent=1))
        return
    click.echo(f"{found.path}: {size(found.bytes)} in {found.files} files")
    for kind in found.kinds:
        click.echo(f"  {kind.name}: {size(kind.bytes)} in {kind.files} files")
    if found.temporary_files:
        text = f"{size(found.temporary_bytes)} in {found.temporary_files} files"
        click.echo(f"  unfinished: {text}")
    if found.not_kept:
        click.echo(f"  not kept since the agent started, too large or no room: {found.not_kept}")
    click.echo(f"limit: {size(found.max_bytes)} (artifacts.cache_max_bytes)")


@cache.command()
@click.argument("target", callback=bytes_of, metavar="SIZE")
@click.option("--remove-temp", is_flag=True, help="Remove unfinished files, those in use too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cleanup(target: int, *, remove_temp: bool, as_json: bool) -> None:
    """Remove files, the longest unused first, down to SIZE.

    Example: trackd artifact cache cleanup 10GB
    """
    from trackd_agent.daemon.admin_client import as_plain

    done = _asked(
        lambda client: client.clean_cache(target, remove_temporary=remove_temp),
        lambda own: _cleaned(own, target, remove_temporary=remove_temp),
    )
    if as_json:
        click.echo(json.dumps(as_plain(done), indent=1))
        return
    click.echo(
        f"{size(done.bytes_removed)} freed in {done.files_removed} files, "
        f"{size(done.bytes_left)} left"
    )


def _asked(ask: Callable[[AdminClient], T], look: Callable[[FileCache], T]) -> T:
    """Return what the agent says; without one, what its folder does."""
    from trackd_agent.daemon.admin_client import NoAgent, connected

    try:
        with connected() as client:
            return ask(client)
    except NoAgent:
        return look(_own_cache())


def _own_cache() -> FileCache:
    from trackd_agent.artifacts.cache import cache_of
    from trackd_agent.daemon.settings import ConfigError, load_config
    from trackd_proto import layout

    data = layout.data_dir()
    try:
        config = load_config(data, os.environ).config
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(BAD_SETTINGS_STATUS)
    return cache_of(data, config.artifacts)


def _described(own: FileCache) -> artifact_pb2.GetCacheResponse:
    from trackd_agent.rpc import artifact_messages

    return artifact_messages.cache_state(own.state())


def _cleaned(
    own: FileCache, target_bytes: int, *, remove_temporary: bool
) -> artifact_pb2.CleanCacheResponse:
    from trackd_agent.rpc import artifact_messages

    return artifact_messages.cleaned(own.clean(target_bytes, remove_temporary=remove_temporary))
