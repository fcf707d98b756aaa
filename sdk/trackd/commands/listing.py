"""`trackd artifact ls`: collections of a project, or versions of a collection."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import click

from trackd.commands.manner import fail, moment, print_json, print_table, size, verb

if TYPE_CHECKING:
    from trackd.api import Api, ArtifactCollection
    from trackd.artifacts import Artifact

_NO_SUCH_THING = 3


@click.command()
@click.argument("place", required=False, default="")
@click.option("-t", "--type", "type_", default="", help="Only artifacts of this type.")
@click.option("-n", "--count", default=50, show_default=True, help="Lines at most; 0: all.")
@verb
def ls(place: str, type_: str, count: int, *, base_url: str, as_json: bool) -> None:
    """List the collections of a project, or the versions of a collection, newest first.

    PLACE is [ENTITY/]PROJECT, or [ENTITY/]PROJECT/COLLECTION.

    Example: trackd artifact ls digits/model
    """
    from trackd.api import Api

    api = Api({"base_url": base_url})
    collection = _collection(api, place, type_)
    limit = count or None
    if collection is not None:
        _show_versions(list(itertools.islice(collection.artifacts(), limit)), as_json=as_json)
        return
    if place.count("/") > 1:
        fail(f"there is no collection {place}", _NO_SUCH_THING)
    project = api.project(*reversed(place.split("/"))) if place else None
    wanted = project or api.project(api.settings["project"] or "uncategorized")
    listed = (each for each in wanted.collections() if type_ in ("", each.type))
    _show_collections(list(itertools.islice(listed, limit)), as_json=as_json)


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
