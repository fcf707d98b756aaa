"""`trackd artifact link` and `rm`: changes of what a server holds."""

from __future__ import annotations

import click

from trackd.commands.manner import print_json, verb


@click.command()
@click.argument("name")
@click.argument("target")
@click.option("-a", "--alias", "aliases", multiple=True, help="Alias of the link.")
@verb
def link(name: str, target: str, aliases: tuple[str, ...], *, base_url: str, as_json: bool) -> None:
    """Link a version into a collection, which is made if need be.

    TARGET is [ENTITY/]PROJECT/COLLECTION, or [ORGANIZATION/]wandb-registry-REGISTRY/COLLECTION.

    Example: trackd artifact link digits/model:best wandb-registry-models/digits -a production
    """
    from trackd.api import Api

    found = Api({"base_url": base_url}).artifact(name)
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
    """Delete a version, or a link to one (then the version stays), or a whole collection.

    Example: trackd artifact rm digits/model:v3
    """
    from trackd.api import Api

    api = Api({"base_url": base_url})
    if whole:
        collection = api.artifact_collection("", name.partition(":")[0])
        collection.delete()
        deleted = f"{collection.entity}/{collection.project}/{collection.name}"
    else:
        if ":" not in name:
            raise ValueError(
                f"{name!r} names no version: write {name}:v0, or use --collection for all of them"
            )
        found = api.artifact(name)
        deleted = found.qualified_name
        found.delete(delete_aliases=delete_aliases)
    if as_json:
        print_json({"deleted": deleted})
    else:
        click.echo(f"{deleted} is deleted")
