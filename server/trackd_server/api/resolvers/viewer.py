"""Who is asking, what the server can do, entities. There is one user: the key's owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ariadne import ObjectType, QueryType

from trackd_proto.chunks import FEATURE as CHUNKS_FEATURE
from trackd_proto.wandb_http import LATE_FEATURE
from trackd_server.domain import names
from trackd_server.domain.registry import registries

if TYPE_CHECKING:
    from trackd_server.api.resolvers.context import Info

#: Switches that are on, and why: see facts/wandb-protocol.md section 3. Names unknown to a client
#: are ignored by it.
FEATURES = (
    "STRUCTURED_CONSOLE_LOGS",
    "FILESTREAM_GZIP",
    "MARK_RUN_FILES_UPLOADED",
    "CLIENT_IDS",
    "LARGE_FILENAMES",
    "ARTIFACT_TAGS",
    "ARTIFACT_DIGEST_ALGORITHM",
    "ARTIFACT_COLLECTIONS_FILTERING_SORTING",
    "ARTIFACT_COLLECTION_MEMBERSHIP_FILES",
    "ARTIFACT_COLLECTION_MEMBERSHIP_FILE_DOWNLOAD_HANDLER",
    "ARTIFACT_MEMBERSHIP_IN_LINK_ARTIFACT_RESPONSE",
    "ARTIFACT_REGISTRY_SEARCH",
    "ARTIFACT_V2_DOWNLOAD_HANDLER_SUPPORTS_ARTIFACT_ID",
    "INCLUDE_ARTIFACT_TYPES_IN_REGISTRY_CREATION",
    "PROJECT_ARTIFACT_COLLECTION_MEMBERSHIP",
    "TOTAL_COUNT_IN_FILE_CONNECTION",
    "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION",
    "TRACKD_LINEAGE",  # artifact { lineage }
    CHUNKS_FEATURE,
    LATE_FEATURE,  # agents of ours send rows whose step went back, too
)

#: The newest release of the `wandb` package that the server is tested with.
NEWEST_CLIENT = "0.31.0"

query = QueryType()
entity_type = ObjectType("Entity")
organization_type = ObjectType("Organization")

_ORGANIZATION = {
    "id": names.storage_id("Organization", 1),
    "name": registries.ORGANIZATION,
}


def user() -> dict[str, Any]:
    """Return the one user."""
    return {
        "id": names.storage_id("User", 1),
        "entity": names.DEFAULT_ENTITY,
        "username": names.DEFAULT_ENTITY,
        "name": names.DEFAULT_ENTITY,
        "email": "",
        "admin": True,
        "flags": "{}",
        "teams": {"edges": []},
        "apiKeys": {"edges": []},
        "organizations": [_ORGANIZATION],
    }


def entity(name: str) -> dict[str, Any]:
    """Return an entity; entities are names, they are not stored."""
    is_users = name == names.DEFAULT_ENTITY
    return {
        "id": names.entity_id(name),
        "name": name,
        "isTeam": not is_users,
        "entityType": "user" if is_users else "team",
        "available": False,
        "readOnly": False,
        "readOnlyAdmin": False,
        "privateOnly": False,
        "storageBytes": 0,
        "codeSavingEnabled": True,
        "defaultAccess": "PRIVATE",
        "isPaid": False,
        "members": [],
    }


@query.field("viewer")
def resolve_viewer(_: object, info: Info) -> dict[str, Any]:
    """Return the owner of the key."""
    del info
    return user()


@query.field("serverInfo")
def resolve_server_info(_: object, info: Info) -> dict[str, Any]:
    """Return the switches that are on, and which clients the server knows."""
    del info
    return {
        "features": [{"name": name, "isEnabled": True} for name in FEATURES],
        "cliVersionInfo": {"max_cli_version": NEWEST_CLIENT},
    }


@query.field("entity")
def resolve_entity(_: object, info: Info, name: str | None = None) -> dict[str, Any]:
    """Return an entity by name."""
    del info
    return entity(names.entity(name))


@entity_type.field("user")
def resolve_user_of_entity(parent: dict[str, Any], info: Info) -> dict[str, Any] | None:
    """Return whose own entity it is."""
    del info
    return user() if parent["name"] == names.DEFAULT_ENTITY else None


@entity_type.field("organization")
def resolve_organization_of_entity(_: object, info: Info) -> dict[str, Any]:
    """Return the one organization: every entity belongs to it."""
    del info
    return _ORGANIZATION


@query.field("organization")
def resolve_organization(_: object, info: Info, name: str) -> dict[str, Any] | None:
    """Return the one organization by its name, nothing for others."""
    del info
    return _ORGANIZATION if name == registries.ORGANIZATION else None


@organization_type.field("orgEntity")
def resolve_organization_entity(_: object, info: Info) -> dict[str, Any]:
    """Return the entity that owns the registries; clients want it to be of this type."""
    del info
    return entity(registries.ORGANIZATION_ENTITY) | {"entityType": "organization"}


@organization_type.field("coreWeaveOrganizationId")
def resolve_coreweave_id(_: object, info: Info) -> str | None:
    """Return what CoreWeave calls the organization; nothing if it is no customer."""
    return info.context.services.coreweave_organization_id or None


bindables = [query, entity_type, organization_type]
