"""Members of registries and their roles. Members are named: entities are no rows of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from trackd_server.domain import names
from trackd_server.domain.errors import InvalidRequest, NotFound
from trackd_server.store.tables.registry import registries, registry_members

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import ColumnElement, Connection

USER = "User"
TEAM = "Entity"
ROLES = ("admin", "member", "viewer", "restricted_viewer")
MAX_MEMBERS = 10_000
#: What a new member is until somebody says otherwise.
FIRST_ROLE = "viewer"


@dataclass(frozen=True)
class Member:
    """A user or a team in a registry."""

    kind: str
    name: str
    role: str


def listed(connection: Connection, project_id: int, kind: str) -> list[Member]:
    """Return a registry's users, or its teams, by name."""
    table = registry_members
    query = select(table).where(table.c.project_id == project_id, table.c.kind == kind)
    found = connection.execute(query.order_by(table.c.name))
    return [Member(row.kind, row.name, row.role) for row in found]


def enter_owner(connection: Connection, project_id: int) -> None:
    """Make the server's user the administrator of a new registry."""
    _enter(connection, project_id, [Member(USER, names.DEFAULT_ENTITY, ROLES[0])])


def add(connection: Connection, project_id: int, ids: Iterable[str]) -> None:
    """Add users and teams by their ids; who is a member already keeps the role."""
    _require(connection, project_id)
    chosen = [Member(*_named(opaque), FIRST_ROLE) for opaque in ids]
    _enter(connection, project_id, chosen)
    mine = registry_members.c.project_id == project_id
    count = connection.execute(
        select(func.count()).select_from(registry_members).where(mine)
    ).scalar_one()
    if count > MAX_MEMBERS:
        raise InvalidRequest(f"A registry can have {MAX_MEMBERS} members.")


def remove(connection: Connection, project_id: int, ids: Iterable[str]) -> None:
    """Remove users and teams by their ids; who is no member is none afterwards."""
    _require(connection, project_id)
    for opaque in ids:
        kind, name = _named(opaque)
        connection.execute(delete(registry_members).where(_who(project_id, kind, name)))


def set_role(connection: Connection, project_id: int, opaque: str, role: str) -> None:
    """Give a member another role."""
    _require(connection, project_id)
    if role not in ROLES:
        raise InvalidRequest(f"Invalid role {role[:100]!r}: it is one of {', '.join(ROLES)}.")
    kind, name = _named(opaque)
    who = _who(project_id, kind, name)
    if not connection.execute(update(registry_members).where(who).values(role=role)).rowcount:
        raise NotFound(f"{name!r} is no member of this registry.")


def _named(opaque: str) -> tuple[str, str]:
    """Return whom an id means."""
    try:
        return TEAM, names.entity_of_id(opaque)
    except InvalidRequest:
        if names.row_number(USER, opaque) != 1:
            raise NotFound("There is no such user on this server.") from None
        return USER, names.DEFAULT_ENTITY


def _enter(connection: Connection, project_id: int, chosen: Sequence[Member]) -> None:
    if chosen:
        rows = [{"project_id": project_id, **vars(member)} for member in chosen]
        connection.execute(insert(registry_members).on_conflict_do_nothing(), rows)


def _who(project_id: int, kind: str, name: str) -> ColumnElement[bool]:
    table = registry_members
    return and_(table.c.project_id == project_id, table.c.kind == kind, table.c.name == name)


def _require(connection: Connection, project_id: int) -> None:
    found = select(registries.c.project_id).where(registries.c.project_id == project_id)
    if connection.execute(found).first() is None:
        raise NotFound("There is no such registry: only registries have members here.")
