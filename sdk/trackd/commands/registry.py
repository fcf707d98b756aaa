"""`trackd registry`: registries of an organization, from the shell."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import click

from trackd.cli import Verbs
from trackd.commands.manner import api_of, moment, note, print_facts, print_json, print_table, verb

if TYPE_CHECKING:
    from trackd.api import Registry
    from trackd.api.registries.facts import Visibility

_ORGANIZATION = click.option(
    "--organization", default=None, help="Whose registry; default: yours, if you have one."
)
_VISIBILITY = click.Choice(["organization", "restricted"])


@click.command(cls=Verbs, verbs_of="trackd.verbs.registry")
def registry() -> None:
    """Create registries, look at them, change and delete them.

    Exit status of all verbs: 0 done, 1 refused, 2 wrong usage, 3 there is no such thing, 4 the
    agent or the server does not answer.

    Example: trackd registry create models --type model
    """


@click.command()
@click.argument("name")
@click.option(
    "--visibility",
    type=_VISIBILITY,
    default="organization",
    show_default=True,
    help="Who sees it: everybody of the organization, or its members.",
)
@click.option("--description", default=None, help="Free text.")
@click.option("--type", "types", multiple=True, help="A type it takes, repeatable; default: all.")
@_ORGANIZATION
@verb
def create(  # noqa: PLR0913 - one for each option
    name: str,
    visibility: Visibility,
    description: str | None,
    types: tuple[str, ...],
    organization: str | None,
    *,
    base_url: str,
    as_json: bool,
) -> None:
    """Create a registry.

    Example: trackd registry create models --type model --description "What we serve"
    """
    made = api_of(base_url).create_registry(
        name, visibility, organization, description, list(types) or None
    )
    _show(made, as_json=as_json)


@click.command()
@_ORGANIZATION
@click.option("--match", default=None, help="Only names that this regular expression finds.")
@verb
def ls(organization: str | None, match: str | None, *, base_url: str, as_json: bool) -> None:
    """List registries.

    Example: trackd registry ls --match '^prod'
    """
    wanted = {"name": {"$regex": match}} if match else None
    found = list(api_of(base_url).registries(organization, wanted, order="+name"))
    if as_json:
        print_json([_facts(each) for each in found])
        return
    if not found:
        note("there is no registry yet; `trackd registry create NAME` makes one")
        return
    rows = [
        [each.name, each.visibility, _types(each), moment(each.created_at), each.description or ""]
        for each in found
    ]
    print_table(("NAME", "VISIBILITY", "TYPES", "CREATED", "DESCRIPTION"), rows)


@click.command()
@click.argument("name")
@click.option("-n", "--count", default=50, show_default=True, help="Collections at most; 0: all.")
@_ORGANIZATION
@verb
def show(name: str, count: int, organization: str | None, *, base_url: str, as_json: bool) -> None:
    """Show a registry, its collections and its members.

    Example: trackd registry show models
    """
    found = api_of(base_url).registry(name, organization)
    listing = found.collections(order="+name")
    collections = list(itertools.islice(listing, count or None))
    members = {
        "users": {each.user.username: str(each.role) for each in found.user_members()},
        "teams": {each.team.name: str(each.role) for each in found.team_members()},
    }
    listed = [
        {"name": each.name, "type": each.type, "tags": each.tags, "updated_at": each.updated_at}
        for each in collections
    ]
    if as_json:
        print_json({**_facts(found), "collections": listed, "members": members})
        return
    roles = {
        kind: [f"{name} ({role})" for name, role in known.items()]
        for kind, known in members.items()
    }
    print_facts({**_facts(found), **roles})
    if listed:
        click.echo()
        rows = [
            [each.name, each.type, ", ".join(each.tags), moment(each.updated_at)]
            for each in collections
        ]
        print_table(("COLLECTION", "TYPE", "TAGS", "UPDATED"), rows)
        if len(listing) > len(rows):
            click.echo(f"and {len(listing) - len(rows)} more")


@click.command()
@click.argument("name")
@click.option("--name", "new_name", default=None, help="New name.")
@click.option("--visibility", type=_VISIBILITY, default=None, help="Who sees it.")
@click.option("--description", default=None, help="Free text.")
@click.option("--add-type", "types", multiple=True, help="One more type that it takes, repeatable.")
@click.option("--any-type/--only-types", default=None, help="Whether it takes all types.")
@_ORGANIZATION
@verb
def edit(  # noqa: PLR0913 - one for each option
    name: str,
    new_name: str | None,
    visibility: Visibility | None,
    description: str | None,
    types: tuple[str, ...],
    any_type: bool | None,
    organization: str | None,
    *,
    base_url: str,
    as_json: bool,
) -> None:
    """Change a registry. Types can be added, and never removed.

    Example: trackd registry edit models --only-types --add-type dataset
    """
    found = api_of(base_url).registry(name, organization)
    if new_name is not None:
        found.name = new_name
    if visibility is not None:
        found.visibility = visibility
    if description is not None:
        found.description = description
    if any_type is not None:
        found.allow_all_artifact_types = any_type
    found.artifact_types.extend(types)
    found.save()
    _show(found, as_json=as_json)


@click.command()
@click.argument("name")
@_ORGANIZATION
@verb
def rm(name: str, organization: str | None, *, base_url: str, as_json: bool) -> None:
    """Delete a registry with its collections; the artifacts that they link to stay.

    Example: trackd registry rm models
    """
    found = api_of(base_url).registry(name, organization)
    found.delete()
    if as_json:
        print_json({"deleted": found.name})
    else:
        click.echo(f"registry {found.name} is deleted")


def _facts(found: Registry) -> dict[str, Any]:
    return {
        "name": found.name,
        "organization": found.organization,
        "description": found.description,
        "visibility": found.visibility,
        "allow_all_artifact_types": found.allow_all_artifact_types,
        "artifact_types": list(found.artifact_types),
        "created_at": found.created_at,
        "updated_at": found.updated_at,
    }


def _types(found: Registry) -> str:
    return "all" if found.allow_all_artifact_types else ", ".join(found.artifact_types)


def _show(found: Registry, *, as_json: bool) -> None:
    (print_json if as_json else print_facts)(_facts(found))
