"""Who is asking, what the server can do, entities. There is one user: the key's owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ariadne import ObjectType, QueryType

from trackd_proto.wandb_http import LATE_FEATURE
from trackd_server.domain import names

if TYPE_CHECKING:
    from trackd_server.api.resolvers.context import Info

#: Switches that are on, and why: see facts/wandb-protocol.md section 3. Names unknown to a client
#: are ignored by it.
FEATURES = (
    "STRUCTURED_CONSOLE_LOGS",
    "FILESTREAM_GZIP",
    "MARK_RUN_FILES_UPLOADED",
    "LARGE_FILENAMES",
    "CLIENT_IDS",
    LATE_FEATURE,  # agents of ours send rows whose step went back, too
)

query = QueryType()
entity_type = ObjectType("Entity")


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
        "organizations": [],
    }


def entity(name: str) -> dict[str, Any]:
    """Return an entity; entities are names, they are not stored."""
    return {
        "id": names.storage_id("Entity", 1) if name == names.DEFAULT_ENTITY else f"Entity:{name}",
        "name": name,
        "isTeam": False,
        "entityType": "user",
        "available": False,
        "readOnly": False,
        "user": None,
    }


@query.field("viewer")
def resolve_viewer(_: object, info: Info) -> dict[str, Any]:
    """Return the owner of the key."""
    del info
    return user()


@query.field("serverInfo")
def resolve_server_info(_: object, info: Info) -> dict[str, Any]:
    """Return the switches that are on."""
    del info
    return {"features": [{"name": name, "isEnabled": True} for name in FEATURES]}


@query.field("entity")
def resolve_entity(_: object, info: Info, name: str | None = None) -> dict[str, Any]:
    """Return an entity by name."""
    del info
    return entity(names.entity(name))


@entity_type.field("organization")
def resolve_organization_of_entity(_: object, info: Info) -> dict[str, Any] | None:
    """Return the organization of an entity: there is one only as a customer of CoreWeave."""
    id_ = info.context.services.coreweave_organization_id
    if not id_:
        return None
    return {
        "id": names.storage_id("Organization", 1),
        "name": names.DEFAULT_ENTITY,
        "coreWeaveOrganizationId": id_,
    }


@query.field("organization")
def resolve_organization(_: object, info: Info, name: str) -> None:
    """Return no organisation: there is none yet."""
    del info, name


bindables = [query, entity_type]
