"""`trackd artifact link` and `rm`: changes of what a server holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trackd.commands.manner import api_of, print_json, verb, version_of

if TYPE_CHECKING:
    from trackd.artifacts import Artifact


@click.command()
@click.argument("name")
@click.argument("target")
@click.option("-a", "--alias", "aliases", multiple=True, help="Alias of the link, repeatable.")
@verb
def link(name: str, target: str, aliases: tuple[str, ...], *, base_url: str, as_json: bool) -> None:
    """Link a version into a collection, which is made if need be.

    TARGET is [ENTITY/]PROJECT/COLLECTION, or [ORGANIZATION/]wandb-registry-REGISTRY/COLLECTION.

    Example: trackd artifact link digits/model:best wandb-registry-models/digits -a production
    """
    found = version_of(api_of(base_url), name)
    linked = found.link(target, list(aliases) or None)
    if as_json:
        print_json({"artifact": found.qualified_name, "link": linked.qualified_name})
    else:
        click.echo(linked.qualified_name)


@click.command()
@click.argument("name")
@click.option("--aliases", "delete_aliases", is_flag=True, help="Also one that has aliases.")
@click.option("--collection", "whole", is_flag=True, help="The collection with all versions.")
@verb
def rm(name: str, *, delete_aliases: bool, whole: bool, base_url: str, as_json: bool) -> None:
    """Delete a version, a link to one, or a collection.

    What a link leads to stays.

    Example: trackd artifact rm digits/model:v3
    """
    api = api_of(base_url)
    note = ""
    if whole:
        collection = api.artifact_collection("", name.partition(":")[0])
        collection.delete()
        deleted = f"{collection.entity}/{collection.project}/{collection.name}"
    else:
        if ":" not in name:
            raise ValueError(
                f"{name!r} names no version: write {name}:v0, or use --collection for all of them"
            )
        found = version_of(api, name)
        deleted = found.qualified_name
        if found.is_link:
            note = f", and {found.source_qualified_name} stays"
            found.unlink()
        else:
            _check_aliases(found, deletes_them=delete_aliases)
            found.delete(delete_aliases=delete_aliases)
    if as_json:
        print_json({"deleted": deleted})
    else:
        click.echo(f"{deleted} is deleted{note}")


def _check_aliases(found: Artifact, *, deletes_them: bool) -> None:
    """Refuse to delete what somebody may use by an alias.

    Raises:
        ValueError: it has aliases.
    """
    if found.aliases and not deletes_them:
        raise ValueError(
            f"{found.qualified_name} has the aliases {', '.join(found.aliases)}: --aliases deletes "
            "it together with them"
        )
