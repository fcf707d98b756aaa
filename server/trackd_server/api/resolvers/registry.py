"""The organization, its registries and what is found in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ariadne import ObjectType, QueryType
from sqlalchemy import and_, false

from trackd_server.api.resolvers import projects, viewer
from trackd_server.api.resolvers.collections import connection_of, listing
from trackd_server.api.resolvers.context import context_of, iso, keyed
from trackd_server.domain.artifacts import listings, memberships
from trackd_server.domain.artifacts.collections import PORTFOLIO, SEQUENCE
from trackd_server.domain.registry import members, registries, search
from trackd_server.store.tables.artifacts import collections as collection_table

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Row

    from trackd_server.api.resolvers.context import Info
    from trackd_server.domain.registry.members import Member

_KINDS = {"SEQUENCE": SEQUENCE, "PORTFOLIO": PORTFOLIO}

query = QueryType()
organization_type = ObjectType("Organization")
entity_type = ObjectType("Entity")
project_type = ObjectType("Project")


@query.field("users")
def resolve_users(_: object, info: Info, query: str | None = None) -> dict[str, Any]:
    """Return the one user if the text is part of the name."""
    del info
    user = viewer.user()
    found = not query or query in user["username"]
    return {"edges": [{"node": user}] if found else []}


@organization_type.field("advancedRegistryFeatures")
def resolve_features(_: object, info: Info) -> dict[str, bool]:
    """Say that versions can be ordered and filtered by size."""
    del info
    return {"advancedSearch": True}


@organization_type.field("featureFlags")
def resolve_flags(_: object, info: Info, rampIDType: str | None = None) -> list[dict[str, Any]]:
    """Return no switches: there are none."""
    del info, rampIDType
    return []


# ---------------------------------------------------------------- search


@entity_type.field("projects")
def resolve_registries(parent: dict[str, Any], info: Info, **asked: Any) -> dict[str, Any]:
    """Return the entity's registries."""
    context, wanted = context_of(info), listing(**asked)
    page = search.page(context.connection, parent["name"], wanted)
    rows = search.project_rows(context.connection, page.ids)
    return keyed(
        page,
        rows,
        lambda info: len(
            search.numbers(context_of(info).connection, parent["name"], wanted.filters)
        ),
        projects.show,
    )


@entity_type.field("artifactCollections")
def resolve_registry_collections(
    parent: dict[str, Any],
    info: Info,
    projectFilters: str | None = None,
    collectionTypes: list[str] | None = None,
    **asked: Any,
) -> dict[str, Any]:
    """Return portfolios of the entity's registries."""
    context, wanted = context_of(info), listing(**asked)
    kinds = [_KINDS[name] for name in collectionTypes or ("PORTFOLIO",)]
    inside = _in_registries(info, parent["name"], projectFilters)
    where = and_(inside, collection_table.c.kind.in_(kinds))
    page = listings.collections_page(context.connection, where, wanted)
    return connection_of(info, page, where, wanted.filters)


@entity_type.field("artifactMemberships")
def resolve_registry_memberships(
    parent: dict[str, Any],
    info: Info,
    projectFilters: str | None = None,
    collectionFilters: str | None = None,
    **asked: Any,
) -> dict[str, Any]:
    """Return versions linked in the entity's registries."""
    connection, wanted = context_of(info).connection, listing(**asked)
    where = and_(
        _in_registries(info, parent["name"], projectFilters),
        listings.collection_condition(collectionFilters),
        collection_table.c.kind == PORTFOLIO,
    )
    page = listings.linked_page(connection, where, wanted)
    return keyed(
        page,
        memberships.views(connection, page.ids),
        lambda info: listings.count_linked(context_of(info).connection, where, wanted.filters),
    )


# ---------------------------------------------------------------- one registry


@project_type.field("access")
def resolve_access(parent: dict[str, Any], info: Info) -> str:
    """Return who sees the project: PRIVATE, or RESTRICTED for some registries."""
    found = _registry(parent, info)
    return registries.ACCESS[0] if found is None else found.access


@project_type.field("updatedAt")
def resolve_updated(parent: dict[str, Any], info: Info) -> str:
    """Return when a registry last changed, for others when they began."""
    found = _registry(parent, info)
    return parent["createdAt"] if found is None else iso(found.updated_at)


@project_type.field("allowAllArtifactTypesInRegistry")
def resolve_allow_all(parent: dict[str, Any], info: Info) -> bool:
    """Tell whether any artifact can be linked."""
    found = _registry(parent, info)
    return found is None or bool(found.allow_all_types)


@project_type.field("members")
def resolve_members(parent: dict[str, Any], info: Info) -> list[dict[str, Any]]:
    """Return the users who are members of a registry."""
    found = members.listed(context_of(info).connection, parent["row"].id, members.USER)
    return [viewer.user() | _role(member) for member in found]


@project_type.field("teamMembers")
def resolve_team_members(parent: dict[str, Any], info: Info) -> list[dict[str, Any]]:
    """Return the teams that are members of a registry."""
    found = members.listed(context_of(info).connection, parent["row"].id, members.TEAM)
    return [{"team": viewer.entity(member.name)} | _role(member) for member in found]


def _registry(parent: dict[str, Any], info: Info) -> Row[Any] | None:
    """Return what makes a project a registry, read once for each answer."""
    if not registries.is_registry(parent["name"]):
        return None
    if "registry" not in parent:
        parent["registry"] = registries.find(context_of(info).connection, parent["row"].id)
    return parent["registry"]


def _role(member: Member) -> dict[str, Any]:
    return {"role": {"name": member.role}}


def _in_registries(info: Info, entity: str, text: str | None) -> ColumnElement[bool]:
    """Return the condition that a collection is in a registry that passes a filter."""
    numbers = search.numbers(context_of(info).connection, entity, text)
    return collection_table.c.project_id.in_(numbers) if numbers else false()


bindables = [query, organization_type, entity_type, project_type]
