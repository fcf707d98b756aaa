"""Fields of artifact versions and of what shows them.

The parent of an `Artifact` is a `VersionView`, of a membership a `MembershipView`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ariadne import ObjectType, QueryType

from trackd_server.api.resolvers import artifact_files, collections
from trackd_server.api.resolvers.context import context_of, iso
from trackd_server.domain import names
from trackd_server.domain.artifacts import collections as collections_
from trackd_server.domain.artifacts import lifetimes, memberships, versions
from trackd_server.domain.artifacts.creating import client_key
from trackd_server.domain.artifacts.entries import XXH128
from trackd_server.domain.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Row

    from trackd_server.api.resolvers.context import Info
    from trackd_server.domain.artifacts.collections import CollectionView
    from trackd_server.domain.artifacts.memberships import MembershipView
    from trackd_server.domain.artifacts.versions import AliasView, VersionView

KIND = "Artifact"

query = QueryType()
project_type = ObjectType("Project")
entity_type = ObjectType("Entity")
artifact_type = ObjectType("Artifact")
alias_type = ObjectType("ArtifactAlias")
membership_type = ObjectType("ArtifactCollectionMembership")

#: Fields that need no further look into the database.
_PLAIN_FIELDS: dict[str, Callable[[VersionView], Any]] = {
    "id": lambda version: names.storage_id(KIND, version.id),
    "versionIndex": lambda version: version.row.version_index,
    "description": lambda version: version.row.description,
    "metadata": lambda version: version.row.metadata,
    "ttlDurationSeconds": lambda version: lifetimes.seconds_shown(
        version.row.ttl_seconds, version.row.default_ttl_seconds
    ),
    "ttlIsInherited": lambda version: version.row.ttl_seconds == lifetimes.INHERITED,
    "tags": lambda version: [collections.tag(name) for name in version.tags],
    "aliases": lambda version: version.aliases,
    "historyStep": lambda version: version.row.history_step,
    "state": lambda version: version.row.state,
    "size": lambda version: version.row.bytes + version.row.reference_bytes,
    "storageBytes": lambda version: version.row.bytes,
    "digest": lambda version: version.row.digest,
    "digestAlgorithm": lambda version: digest_algorithm(version.row.digest_algorithm),
    "commitHash": lambda version: version.row.digest if version.row.committed_at else None,
    "fileCount": lambda version: version.row.file_count,
    "createdAt": lambda version: iso(version.row.created_at),
    "updatedAt": lambda version: iso(version.row.updated_at),
}


def _bind_plain(field: str, read: Callable[[VersionView], Any]) -> None:
    def resolve(version: VersionView, info: Info) -> Any:
        del info
        return read(version)

    artifact_type.field(field)(resolve)


for _field, _read in _PLAIN_FIELDS.items():
    _bind_plain(_field, _read)


def digest_algorithm(name: str) -> str:
    """Return an algorithm as the protocol calls it."""
    return "MANIFEST_XXH128" if name == XXH128 else "MANIFEST_MD5"


def version_number(opaque: str) -> int:
    """Return the number of the version behind an id."""
    return names.row_number(KIND, opaque)


# ---------------------------------------------------------------- finding versions


@query.field("artifact")
def resolve_artifact(_: object, info: Info, id: str) -> VersionView | None:
    """Return a version by its id, or nothing."""
    found = versions.views(context_of(info).connection, [version_number(id)])
    return found[0] if found else None


@query.field("clientIDMapping")
def resolve_client_id(_: object, info: Info, clientID: str) -> dict[str, str] | None:
    """Return the version that a client made under an id of its own, or nothing."""
    number = versions.by_client_id(context_of(info).connection, client_key(clientID))
    return None if number is None else {"serverID": names.storage_id(KIND, number)}


@project_type.field("artifact")
def resolve_artifact_by_name(parent: dict[str, Any], info: Info, name: str) -> VersionView | None:
    """Return a version by collection[:alias], or nothing: clients ask so if a name is free."""
    try:
        return resolve_membership(parent, info, name).version
    except NotFound:
        return None


@project_type.field("artifactCollectionMembership")
def resolve_membership(parent: dict[str, Any], info: Info, name: str) -> MembershipView:
    """Return the member that collection[:alias] names; an error says what is not there."""
    row = parent["row"]
    return memberships.by_name(context_of(info).connection, row.entity, row.name, name)


# ---------------------------------------------------------------- around a version


@artifact_type.field("artifactSequence")
def resolve_sequence(version: VersionView, info: Info) -> CollectionView:
    """Return the collection that owns a version."""
    return collections.collection(info, version.row.collection_id)


@artifact_type.field("artifactType")
def resolve_type(version: VersionView, info: Info) -> Row[Any] | None:
    """Return the type of a version."""
    connection = context_of(info).connection
    return collections_.find_type(connection, version.row.project_id, version.row.type)


@artifact_type.field("currentManifest")
def resolve_manifest(version: VersionView, info: Info) -> dict[str, Any] | None:
    """Return a committed version's manifest."""
    if version.row.manifest_id is None:
        return None
    return artifact_files.show_manifest(context_of(info), version.row.manifest_id, version)


@alias_type.field("id")
def resolve_alias_id(alias: AliasView, info: Info) -> str:
    """Return an alias's id."""
    del info
    return names.storage_id("ArtifactAlias", alias.id)


@alias_type.field("artifactCollection")
def resolve_alias_collection(alias: AliasView, info: Info) -> CollectionView:
    """Return the collection that an alias is of."""
    return collections.collection(info, alias.collection_id)


@membership_type.field("id")
def resolve_membership_id(member: MembershipView, info: Info) -> str:
    """Return a membership's id."""
    del info
    return names.storage_id("ArtifactCollectionMembership", member.id)


@membership_type.field("versionIndex")
def resolve_index(member: MembershipView, info: Info) -> int:
    """Return the number that the collection gives the version."""
    del info
    return member.row.version_index


@membership_type.field("createdAt")
def resolve_created(member: MembershipView, info: Info) -> str:
    """Return when the collection got the version."""
    del info
    return iso(member.row.created_at)


@membership_type.field("artifactCollection")
def resolve_member_collection(member: MembershipView, info: Info) -> CollectionView:
    """Return the collection."""
    del info
    return member.collection


@membership_type.field("artifact")
def resolve_member_version(member: MembershipView, info: Info) -> VersionView:
    """Return the version."""
    del info
    return member.version


@entity_type.field("xxhashDigestsEnabled")
def resolve_xxhash(parent: dict[str, Any], info: Info) -> bool:
    """Say that files may be named by XXH3-128."""
    del parent, info
    return True


@entity_type.field("defaultArtifactTTLSeconds")
def resolve_ttl_default(parent: dict[str, Any], info: Info) -> int | None:
    """Return how long versions live that say nothing of it."""
    return lifetimes.default_of(context_of(info).connection, parent["name"])


bindables = [query, project_type, entity_type, artifact_type, alias_type, membership_type]
