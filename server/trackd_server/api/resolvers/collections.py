"""Collections of artifacts and their types. A parent is a `CollectionView`, or a type's row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ariadne import InterfaceType, ObjectType, QueryType, UnionType

from trackd_server.api.resolvers import projects
from trackd_server.api.resolvers.context import context_of, iso, keyed, paged
from trackd_server.domain import names
from trackd_server.domain.artifacts import collections, listings, memberships
from trackd_server.domain.artifacts.entries import XXH128
from trackd_server.domain.artifacts.listings import Listing
from trackd_server.domain.listing.pages import Range
from trackd_server.domain.registry import registries
from trackd_server.store.tables.artifacts import collections as collection_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Row

    from trackd_server.api.resolvers.context import Info
    from trackd_server.domain.artifacts.collections import CollectionView
    from trackd_server.domain.artifacts.memberships import MembershipView
    from trackd_server.domain.artifacts.versions import AliasView, VersionView
    from trackd_server.domain.listing.pages import Page

KIND = "ArtifactCollection"

query = QueryType()
project_type = ObjectType("Project")
type_type = ObjectType("ArtifactType")
sequence_type = ObjectType("ArtifactSequence")
collection_type = InterfaceType("ArtifactCollection")
creator_type = UnionType("ArtifactCreator")


def listing(
    filters: str | None = None,
    order: str | None = None,
    after: str | None = None,
    first: int | None = None,
) -> Listing:
    """Return what the usual arguments of a list ask for."""
    return Listing(filters, order, Range(after, first))


def collection(info: Info, number: int) -> CollectionView:
    """Return a collection, read once for an operation."""
    context = context_of(info)
    found = context.collections.get(number)
    if found is None:
        found = context.collections[number] = collections.view(context.connection, number)
    return found


def tag(name: str) -> dict[str, str]:
    """Return a tag: a name is all that it is."""
    return {"id": names.opaque_id("Tag", name), "name": name}


def connection_of(info: Info, page: Page, where: ColumnElement[bool], filters: str | None) -> Any:
    """Return a page of collections as a connection."""
    context = context_of(info)
    views = collections.views(context.connection, page.ids)
    context.collections |= {view.id: view for view in views}
    return keyed(
        page,
        views,
        lambda info: listings.count_collections(context_of(info).connection, where, filters),
    )


@creator_type.type_resolver
def resolve_creator_kind(creator: Any, *_: object) -> str:
    """Tell what made a version: always a run here."""
    del creator
    return "Run"


@collection_type.type_resolver
def resolve_kind(parent: CollectionView, *_: object) -> str:
    """Tell sequences from portfolios."""
    return "ArtifactSequence" if parent.is_sequence else "ArtifactPortfolio"


@query.field("artifactCollection")
def resolve_collection_by_id(_: object, info: Info, id: str) -> CollectionView:
    """Return a collection by its id."""
    return collection(info, names.row_number(KIND, id))


# ---------------------------------------------------------------- in a project


@project_type.field("artifactTypes")
def resolve_types(
    parent: dict[str, Any],
    info: Info,
    after: str | None = None,
    first: int | None = None,
    includeAll: bool | None = None,
) -> dict[str, Any]:
    """Return a project's artifact types, oldest first."""
    del includeAll  # there are always all
    rows = registries.types_of(context_of(info).connection, parent["row"].id)
    return paged(rows, after, first, lambda row: row)


@project_type.field("artifactType")
def resolve_type(parent: dict[str, Any], info: Info, name: str) -> Row[Any] | None:
    """Return an artifact type by name, or nothing."""
    return collections.find_type(context_of(info).connection, parent["row"].id, name)


@project_type.field("artifactCollections")
def resolve_project_collections(parent: dict[str, Any], info: Info, **asked: Any) -> dict[str, Any]:
    """Return a project's collections."""
    return _collections(info, collection_table.c.project_id == parent["row"].id, asked)


@project_type.field("artifactCollection")
def resolve_project_collection(
    parent: dict[str, Any], info: Info, name: str
) -> CollectionView | None:
    """Return a project's collection by name, or nothing."""
    row = collections.find_in(context_of(info).connection, parent["row"].id, name)
    return None if row is None else collection(info, row.id)


# ---------------------------------------------------------------- of a type


@type_type.field("id")
def resolve_type_id(parent: Row[Any], info: Info) -> str:
    """Return the type's id."""
    del info
    return names.storage_id("ArtifactType", parent.id)


@type_type.field("createdAt")
def resolve_type_created(parent: Row[Any], info: Info) -> str:
    """Return when the first artifact of the type came."""
    del info
    return iso(parent.created_at)


@type_type.field("artifactCollections")
def resolve_type_collections(parent: Row[Any], info: Info, **asked: Any) -> dict[str, Any]:
    """Return the collections of a type."""
    return _collections(info, collection_table.c.type_id == parent.id, asked)


@type_type.field("artifactCollection")
def resolve_type_collection(parent: Row[Any], info: Info, name: str) -> CollectionView | None:
    """Return a collection of this type by name, or nothing."""
    row = collections.find_in(context_of(info).connection, parent.project_id, name)
    return None if row is None or row.type_id != parent.id else collection(info, row.id)


# ---------------------------------------------------------------- one collection


@collection_type.field("id")
def resolve_id(parent: CollectionView, info: Info) -> str:
    """Return the collection's id."""
    del info
    return names.storage_id(KIND, parent.id)


@collection_type.field("name")
def resolve_name(parent: CollectionView, info: Info) -> str:
    """Return the collection's name."""
    del info
    return parent.row.name


@collection_type.field("description")
def resolve_description(parent: CollectionView, info: Info) -> str | None:
    """Return what people wrote about the collection."""
    del info
    return parent.row.description


@collection_type.field("state")
def resolve_state(parent: CollectionView, info: Info) -> str:
    """Return READY, or DELETED in the answer to its deletion."""
    del info
    return "DELETED" if parent.is_deleted else "READY"


@collection_type.field("createdAt")
def resolve_created(parent: CollectionView, info: Info) -> str:
    """Return when the first member came."""
    del info
    return iso(parent.row.created_at)


@collection_type.field("updatedAt")
def resolve_updated(parent: CollectionView, info: Info) -> str:
    """Return when the collection or its members last changed."""
    del info
    return iso(parent.row.updated_at)


@collection_type.field("project")
def resolve_project(parent: CollectionView, info: Info) -> dict[str, Any]:
    """Return the project that the collection is in."""
    del info
    return projects.show(parent.project)


@collection_type.field("defaultArtifactType")
def resolve_default_type(parent: CollectionView, info: Info) -> Row[Any]:
    """Return the type of the collection's artifacts."""
    del info
    return parent.type


@collection_type.field("tags")
def resolve_tags(parent: CollectionView, info: Info) -> dict[str, Any]:
    """Return the collection's tags."""
    del info
    return {"edges": [{"node": tag(name)} for name in parent.tags]}


@collection_type.field("aliases")
def resolve_aliases(
    parent: CollectionView, info: Info, after: str | None = None, first: int | None = None
) -> dict[str, Any]:
    """Return the aliases of all members."""
    connection = context_of(info).connection
    page = listings.aliases_page(connection, parent.id, Range(after, first))
    shown: Sequence[AliasView] = listings.aliases(connection, parent, page.ids)
    return keyed(page, shown, lambda _: len(shown))


@collection_type.field("artifacts")
def resolve_artifacts(parent: CollectionView, info: Info, **asked: Any) -> dict[str, Any]:
    """Return the members as versions."""
    answer = resolve_memberships(parent, info, **asked)
    for edge in answer["edges"]:
        member: MembershipView = edge["node"]
        edge["version"] = f"v{member.row.version_index}"
        edge["node"] = member.version
    return answer


@collection_type.field("artifactMemberships")
def resolve_memberships(parent: CollectionView, info: Info, **asked: Any) -> dict[str, Any]:
    """Return the members."""
    connection, wanted = context_of(info).connection, listing(**asked)
    page = listings.members_of_page(connection, parent.id, wanted)
    return keyed(
        page,
        memberships.views(connection, page.ids),
        lambda info: listings.count_members(context_of(info).connection, parent.id, wanted.filters),
    )


@collection_type.field("artifactMembership")
def resolve_membership(parent: CollectionView, info: Info, aliasName: str) -> MembershipView | None:
    """Return the member under an alias or version."""
    return memberships.find(context_of(info).connection, parent.id, aliasName)


@collection_type.field("latestArtifact")
def resolve_latest(parent: CollectionView, info: Info) -> VersionView | None:
    """Return what `latest` names."""
    return memberships.find_version(context_of(info).connection, parent.id, memberships.LATEST)


@sequence_type.field("digestAlgorithm")
def resolve_digest_algorithm(parent: CollectionView, info: Info) -> str:
    """Return how the latest version's digest was made."""
    latest = resolve_latest(parent, info)
    is_xxh128 = latest is not None and latest.row.digest_algorithm == XXH128
    return "MANIFEST_XXH128" if is_xxh128 else "MANIFEST_MD5"


def _collections(info: Info, where: ColumnElement[bool], asked: dict[str, Any]) -> dict[str, Any]:
    wanted = listing(**asked)
    page = listings.collections_page(context_of(info).connection, where, wanted)
    return connection_of(info, page, where, wanted.filters)


bindables = [query, project_type, type_type, sequence_type, collection_type, creator_type]
