"""`trackd artifact get` and `verify`: a version on this machine, and whether it still is it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from trackd.commands.manner import REFUSED, api_of, print_json, verb, version_of


@click.command()
@click.argument("name")
@click.option("-r", "--root", default=None, help="Folder; default: ./artifacts/COLLECTION:vN.")
@click.option("--type", "type_", default=None, help="What its type has to be.")
@click.option("--prefix", default=None, help="Only files whose path starts so.")
@click.option("--skip-cache", is_flag=True, help="Neither take files from the cache nor keep them.")
@verb
def get(  # noqa: PLR0913 - one for each option
    name: str,
    root: str | None,
    type_: str | None,
    prefix: str | None,
    *,
    skip_cache: bool,
    base_url: str,
    as_json: bool,
) -> None:
    """Bring a version onto this machine, each file verified.

    Files that are there and right are kept; nothing is removed.

    Example: trackd artifact get digits/model:best --root weights
    """
    found = version_of(api_of(base_url), name, type_)
    folder = found.download(root, path_prefix=prefix, skip_cache=skip_cache or None)
    if as_json:
        print_json({"artifact": found.qualified_name, "root": str(folder)})
    else:
        click.echo(str(folder))


@click.command()
@click.argument("name")
@click.argument("root", required=False)
@verb
def verify(name: str, root: str | None, *, base_url: str, as_json: bool) -> None:
    """Tell whether a folder holds exactly the files of a version.

    ROOT is ./artifacts/COLLECTION:vN by default. Exit status 1: it does not.

    Example: trackd artifact verify digits/model:best weights
    """
    found = version_of(api_of(base_url), name)
    if root and not Path(root).is_dir():
        raise FileNotFoundError(f"there is no folder {root}")
    problem = ""
    try:
        found.verify(root)
    except FileNotFoundError as error:
        problem = f"{error.filename} is missing"
    except ValueError as error:
        problem = str(error).removeprefix("verify(): ")
    if as_json:
        facts = {"artifact": found.qualified_name, "equal": not problem, "problem": problem}
        print_json(facts)
    else:
        click.echo(problem or f"equal to {found.qualified_name}", err=bool(problem))
    sys.exit(REFUSED if problem else 0)
