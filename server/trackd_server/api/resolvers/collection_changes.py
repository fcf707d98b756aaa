"""What clients change about collections: names, tags, types, links."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ariadne import MutationType

from trackd_server.api.resolvers.collections import KIND, tag
from trackd_server.api.resolvers.context import context_of
from trackd_server.domain import names, run_records
from trackd_server.domain.artifacts import (
    collections,
    creating,
    links,
    memberships,
    versions,
)
from trackd_server.domain.errors import InvalidRequest, NotFound
from trackd_server.domain.registry import registries

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from trackd_server.api.resolvers.context import Info
    from trackd_server.domain.artifacts.collections import CollectionView
    from trackd_server.domain.artifacts.versions import VersionView

mutation = MutationType()


@mutation.field("linkArtifact")
def resolve_link(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Show a version in a portfolio."""
    context = context_of(info)
    context.renew()
    with context.services.database.write() as connection:
        version = _version(connection, input)
        portfolio = _portfolio(connection, version, input)
        wanted = [given["alias"] for given in input.get("aliases") or ()]
        number = links.link(connection, version, portfolio, wanted, time.time())
    member = memberships.views(context.connection, [number])[0]
    return {"versionIndex": member.row.version_index, "artifactMembership": member}


@mutation.field("unlinkArtifact")
def resolve_unlink(_: object, info: Info, input: dict[str, Any]) -> dict[str, bool]:
    """Take a version out of a portfolio."""
    context = context_of(info)
    version = names.row_number("Artifact", input["artifactID"])
    with context.services.database.write() as connection:
        links.unlink(connection, version, names.row_number(KIND, input["artifactPortfolioID"]))
    return {"success": True}


@mutation.field("updateArtifactSequence")
def resolve_update_sequence(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Rename or describe a sequence."""
    return _update(info, input, "artifactSequenceID")


@mutation.field("updateArtifactPortfolio")
def resolve_update_portfolio(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Rename or describe a portfolio."""
    return _update(info, input, "artifactPortfolioID")


@mutation.field("moveArtifactSequence")
def resolve_move(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Give a sequence another type."""
    context = context_of(info)
    context.renew()
    number = names.row_number(KIND, input["artifactSequenceID"])
    with context.services.database.write() as connection:
        found = collections.view(connection, number)
        collections.move(connection, found, input["destinationArtifactTypeName"])
    return {"artifactCollection": collections.view(context.connection, number)}


@mutation.field("deleteArtifactSequence")
def resolve_delete_sequence(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Delete a sequence with all its versions and their files."""
    context = context_of(info)
    context.renew()
    number = names.row_number(KIND, input["artifactSequenceID"])
    if collections.was_deleted(context.connection, number):  # the client repeats its wish
        return {"artifactCollection": None}
    found = collections.view(context.connection, number)
    if not found.is_sequence:
        raise InvalidRequest(f"{found.path} is a portfolio: use deleteArtifactPortfolio.")
    context.renew()
    context.services.artifacts.delete_sequence(number)
    return {"artifactCollection": replace(found, is_deleted=True)}


@mutation.field("deleteArtifactPortfolio")
def resolve_delete_portfolio(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Delete a portfolio; the versions linked in it live on."""
    context = context_of(info)
    context.renew()
    number = names.row_number(KIND, input["artifactPortfolioID"])
    with context.services.database.write() as connection:
        if collections.was_deleted(connection, number):  # the client repeats its wish
            return {"artifactCollection": None}
        found = collections.view(connection, number)
        if found.is_sequence:
            raise InvalidRequest(f"{found.path} is a sequence: use deleteArtifactSequence.")
        links.remove_portfolios(connection, [number])
    return {"artifactCollection": replace(found, is_deleted=True)}


@mutation.field("createArtifactCollectionTagAssignments")
def resolve_tag(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Add tags to a collection."""
    with context_of(info).services.database.write() as connection:
        number = _named(connection, input).id
        added = collections.tag(connection, number, [given["tagName"] for given in input["tags"]])
    return {"tags": [tag(name) for name in added]}


@mutation.field("deleteArtifactCollectionTagAssignments")
def resolve_untag(_: object, info: Info, input: dict[str, Any]) -> dict[str, bool]:
    """Remove tags from a collection."""
    with context_of(info).services.database.write() as connection:
        number = _named(connection, input).id
        collections.untag(connection, number, [given["tagName"] for given in input["tags"]])
    return {"success": True}


def _update(info: Info, input: dict[str, Any], field: str) -> dict[str, CollectionView]:
    context = context_of(info)
    context.renew()
    number = names.row_number(KIND, input[field])
    with context.services.database.write() as connection:
        found = collections.view(connection, number)
        if input.get("name") is not None:
            collections.rename(connection, found.row, input["name"])
        if input.get("description") is not None:
            collections.describe(connection, number, input["description"])
    return {"artifactCollection": collections.view(context.connection, number)}


def _named(connection: Connection, input: dict[str, Any]) -> Row[Any]:
    entity, project = names.entity(input.get("entityName")), names.project(input.get("projectName"))
    name = input["artifactCollectionName"]
    found = collections.find(connection, entity, project, name)
    if found is None:
        raise NotFound(f"There is no artifact collection {entity}/{project}/{name}.")
    return found


def _version(connection: Connection, input: dict[str, Any]) -> VersionView:
    """Return the version that a link names."""
    if input.get("artifactID"):
        return versions.view(connection, names.row_number("Artifact", input["artifactID"]))
    if input.get("clientID"):
        number = versions.by_client_id(connection, creating.client_key(input["clientID"]))
        if number is None:
            raise NotFound("No artifact was logged under this clientID.")
        return versions.view(connection, number)
    raise InvalidRequest("linkArtifact needs artifactID or clientID.")


def _portfolio(connection: Connection, version: VersionView, input: dict[str, Any]) -> Row[Any]:
    """Return the portfolio that a link goes to, made if need be."""
    if input.get("artifactPortfolioID"):
        number = names.row_number(KIND, input["artifactPortfolioID"])
        return collections.view(connection, number).row
    name, now = input.get("artifactPortfolioName"), time.time()
    if not name:
        raise InvalidRequest("linkArtifact needs artifactPortfolioName or artifactPortfolioID.")
    entity = names.entity(input.get("entityName"))
    project = names.project(input.get("projectName"))
    if registries.is_registry(project):
        registries.admit(connection, entity, project, version.row.type)
    number = run_records.ensure_project(connection, entity, project, now)
    return collections.ensure_collection(
        connection, number, name, collections.PORTFOLIO, version.row.type, now
    )


bindables = [mutation]
