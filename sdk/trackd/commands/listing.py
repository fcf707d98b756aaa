"""`trackd artifact ls`: projects, collections of a project, or versions of a collection."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import click

from trackd.commands.manner import api_of, moment, note, print_json, print_table, size, verb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackd.api import Api, ArtifactCollection
    from trackd.artifacts import Artifact


@click.command()
@click.argument("place", required=False, default="")
@click.option("-t", "--type", "type_", default="", help="Only artifacts of this type.")
@click.option("-n", "--count", default=50, show_default=True, help="Lines at most; 0: all.")
@verb
def ls(place: str, type_: str, count: int, *, base_url: str, as_json: bool) -> None:
    """List projects, collections of a project, or versions.

    PLACE is [ENTITY/]PROJECT, or [ENTITY/]PROJECT/COLLECTION; default: the projects and registries
    that have collections, or the one that is set (TRACKD_PROJECT). The newest come first.

    Example: trackd artifact ls digits/model
    """
    api = api_of(base_url)
    collection = _collection(api, place, type_)
    limit = count or None
    if collection is not None:
        _show_versions(list(itertools.islice(collection.artifacts(), limit)), as_json=as_json)
    elif project := place or api.settings["project"]:
        listed = (each for each in _collections(api, project) if type_ in ("", each.type))
        _show_collections(list(itertools.islice(listed, limit)), as_json=as_json)
    else:
        _show_projects(api, limit, as_json=as_json)


def _collections(api: Api, place: str) -> Iterator[ArtifactCollection]:
    """Yield the collections of a project.

    Raises:
        NotThereError: there is no such project, and no such collection either.
    """
    from trackd.api import NotThereError

    project, _, name = place.rpartition("/")
    if "/" in project:
        raise NotThereError(f"there is no collection {place}")
    try:
        yield from api.project(*reversed(place.split("/"))).collections()
    except NotThereError as error:
        also = f", and project {project} has no collection {name!r}" if project else ""
        raise NotThereError(f"{error}{also}") from error


def _collection(api: Api, place: str, type_: str) -> ArtifactCollection | None:
    """Return the collection that a path means; None: it means a project, or nothing.

    `a/b` is a collection of project `a`, or the project `b` of entity `a`: the first that exists.
    """
    from trackd.api import NotThereError

    if "/" not in place:
        return None
    try:
        return api.artifact_collection(type_, place.partition(":")[0])
    except NotThereError:
        return None


def _show_projects(api: Api, limit: int | None, *, as_json: bool) -> None:
    """Show what has collections: the projects of the default entity, and the registries."""
    projects = [each.name for each in itertools.islice(api.projects(), limit)]
    projects += [each.full_name for each in itertools.islice(api.registries(), limit)]
    facts = [
        {"name": name, "collections": len(api.project(name).collections(per_page=1))}
        for name in projects[:limit]
    ]
    found = [each for each in facts if each["collections"]]
    if as_json:
        print_json(found)
    elif found:
        print_table(
            ("PROJECT", ">COLLECTIONS"),
            [[str(each["name"]), str(each["collections"])] for each in found],
        )
        note("`trackd artifact ls PROJECT` lists the collections of one")
    else:
        note("no artifacts yet; `trackd artifact put PATH -n PROJECT/NAME` makes one")


def _show_versions(versions: list[Artifact], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "name": each.qualified_name,
                    "version": each.version,
                    "aliases": each.aliases,
                    "tags": each.tags,
                    "size": each.size,
                    "file_count": each.file_count,
                    "digest": each.digest,
                    "created_at": each.created_at,
                }
                for each in versions
            ]
        )
        return
    rows = [
        [
            each.version,
            ", ".join(each.aliases),
            size(each.size),
            str(each.file_count),
            moment(each.created_at),
            each.digest,
        ]
        for each in versions
    ]
    print_table(("VERSION", "ALIASES", ">SIZE", ">FILES", "CREATED", "DIGEST"), rows)


def _show_collections(collections: list[ArtifactCollection], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "name": f"{each.entity}/{each.project}/{each.name}",
                    "type": each.type,
                    "kind": "sequence" if each.is_sequence() else "portfolio",
                    "tags": each.tags,
                    "description": each.description,
                    "created_at": each.created_at,
                    "updated_at": each.updated_at,
                }
                for each in collections
            ]
        )
        return
    if not collections:
        note("no artifacts here yet")
        return
    rows = [
        [
            each.name,
            each.type,
            "" if each.is_sequence() else "links",
            ", ".join(each.tags),
            moment(each.updated_at or each.created_at),
        ]
        for each in collections
    ]
    print_table(("COLLECTION", "TYPE", "KIND", "TAGS", "UPDATED"), rows)
