"""Registries: create, change, rename, delete, and what may be linked in them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update

from trackd_server.domain import names, run_records
from trackd_server.domain.artifacts import collections, links
from trackd_server.domain.artifacts.lifetimes import REGISTRY_PREFIX
from trackd_server.domain.errors import Conflict, InvalidRequest, NotFound
from trackd_server.domain.registry import members
from trackd_server.store import tables
from trackd_server.store.tables import artifacts as artifact_tables
from trackd_server.store.tables.registry import registries, registry_members

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row

PREFIX = REGISTRY_PREFIX
#: The one organization and the entity that owns its registries.
ORGANIZATION = names.DEFAULT_ENTITY
ORGANIZATION_ENTITY = names.DEFAULT_ENTITY

#: PRIVATE: the whole organization sees the registry; RESTRICTED: its members only.
ACCESS = ("PRIVATE", "RESTRICTED")
MAX_TYPES = 1_000

_projects = tables.projects


@dataclass(frozen=True)
class Wishes:
    """What a client wants a registry to be; None leaves it as it is."""

    description: str | None = None
    access: str | None = None
    allow_all_types: bool | None = None
    types: Sequence[str] = ()


#: How long a client may repeat the request that made a registry.
REPEATED_WITHIN_S = 60.0


def is_registry(project_name: str) -> bool:
    """Tell whether a project's name is that of a registry."""
    return project_name.startswith(PREFIX)


def find(connection: Connection, project_id: int) -> Row[Any] | None:
    """Return what makes a project a registry, or None."""
    return connection.execute(
        select(registries).where(registries.c.project_id == project_id)
    ).one_or_none()


def types_of(connection: Connection, project_id: int) -> list[Row[Any]]:
    """Return the artifact types of a project, oldest first."""
    table = artifact_tables.artifact_types
    query = select(table).where(table.c.project_id == project_id).order_by(table.c.id)
    return list(connection.execute(query))


def upsert(connection: Connection, entity: str, name: str, wishes: Wishes) -> bool:
    """Create a registry or change it; return whether it was created.

    Types can be added, never removed: what is linked already stays what it was. Clients repeat what
    they got no answer to: a registry that was just made and not changed since counts as created.
    """
    now = time.time()
    if entity != ORGANIZATION_ENTITY:
        raise InvalidRequest(
            f"A registry belongs to the organization: its entity is {ORGANIZATION_ENTITY!r}, "
            f"not {entity!r}."
        )
    if not name.removeprefix(PREFIX):
        raise InvalidRequest("A registry needs a name after 'wandb-registry-'.")
    number = run_records.ensure_project(connection, entity, name, now)
    known = find(connection, number)
    if known is None:
        row = {"access": ACCESS[0], "allow_all_types": 1, "updated_at": now, "project_id": number}
        connection.execute(insert(registries).values(row))
        members.enter_owner(connection, number)
    elif _was_made_so(connection, known, wishes, now):
        return True
    _change(connection, number, wishes, now)
    return known is None


def _was_made_so(connection: Connection, registry: Row[Any], wishes: Wishes, now: float) -> bool:
    """Tell whether a registry was just made with these wishes, and not changed since."""
    made = select(_projects).where(_projects.c.id == registry.project_id)
    project = connection.execute(made).one()
    types = [row.name for row in types_of(connection, registry.project_id)]
    return (
        now - project.created_at < REPEATED_WITHIN_S
        and registry.updated_at == project.created_at
        and project.description == wishes.description
        and registry.access == (wishes.access or ACCESS[0])
        and bool(registry.allow_all_types) == (wishes.allow_all_types is not False)
        and types == list(dict.fromkeys(wishes.types))
    )


def rename(connection: Connection, project: Row[Any], name: str) -> None:
    """Give a registry another name."""
    if not (is_registry(project.name) and is_registry(name)):
        raise InvalidRequest(
            f"Only registries can be renamed, to names that begin with {PREFIX!r}: runs report to "
            "other projects by name."
        )
    names.checked("registry", name)
    taken = select(_projects.c.id).where(
        _projects.c.entity == project.entity, _projects.c.name == name
    )
    if name != project.name and connection.execute(taken).first() is not None:
        raise Conflict(f"There is a registry {name.removeprefix(PREFIX)!r} already.")
    connection.execute(update(_projects).where(_projects.c.id == project.id).values(name=name))
    _touch(connection, project.id, time.time())


def remove(connection: Connection, project_id: int) -> None:
    """Delete a registry with its portfolios and links; the linked versions stay.

    Nothing happens if there is none: clients repeat what they got no answer to.
    """
    if find(connection, project_id) is None:
        if connection.execute(select(_projects).where(_projects.c.id == project_id)).first():
            raise InvalidRequest("Only registries can be deleted as a whole.")
        return
    runs = select(tables.runs.c.id).where(tables.runs.c.project_id == project_id)
    table = artifact_tables.collections
    mine = select(table.c.id, table.c.kind).where(table.c.project_id == project_id)
    found = connection.execute(mine).all()
    portfolios = [row.id for row in found if row.kind == collections.PORTFOLIO]
    if len(portfolios) < len(found) or connection.execute(runs.limit(1)).first() is not None:
        raise Conflict(
            "There are runs or artifacts of its own in this registry: delete them first."
        )
    links.remove_portfolios(connection, portfolios)
    connection.execute(delete(registry_members).where(registry_members.c.project_id == project_id))
    connection.execute(delete(registries).where(registries.c.project_id == project_id))
    types = artifact_tables.artifact_types
    connection.execute(delete(types).where(types.c.project_id == project_id))
    connection.execute(delete(_projects).where(_projects.c.id == project_id))


def admit(connection: Connection, entity: str, project_name: str, type_name: str) -> None:
    """Refuse what a registry does not take: NotFound without registry, Conflict for a type."""
    query = select(registries).join(_projects, _projects.c.id == registries.c.project_id)
    found = connection.execute(
        query.where(_projects.c.entity == entity, _projects.c.name == project_name)
    ).one_or_none()
    if found is None:
        raise missing(project_name)
    known = [row.name for row in types_of(connection, found.project_id)]
    if type_name not in known and not found.allow_all_types:
        taken = ", ".join(map(repr, known)) or "no type"
        raise Conflict(
            f"Registry {project_name.removeprefix(PREFIX)!r} takes artifacts of {taken}, "
            f"not {type_name!r}: add the type to the registry, or link to another one."
        )


def missing(project_name: str) -> NotFound:
    """Return the error that a registry does not exist."""
    return NotFound(
        f"There is no registry {project_name.removeprefix(PREFIX)!r}: create it first, with "
        "Api().create_registry() or `trackd registry create`."
    )


def _change(connection: Connection, number: int, wishes: Wishes, now: float) -> None:
    changed: dict[str, Any] = {}
    if wishes.access is not None:
        if wishes.access not in ACCESS:
            raise InvalidRequest(
                f"Invalid access {wishes.access[:100]!r}: it is one of {', '.join(ACCESS)}."
            )
        changed["access"] = wishes.access
    if wishes.allow_all_types is not None:
        changed["allow_all_types"] = int(wishes.allow_all_types)
    if wishes.description is not None:
        if len(wishes.description) > collections.MAX_DESCRIPTION_CHARS:
            raise InvalidRequest(
                f"The description has {len(wishes.description)} characters, "
                f"the most are {collections.MAX_DESCRIPTION_CHARS}."
            )
        connection.execute(
            update(_projects).where(_projects.c.id == number).values(description=wishes.description)
        )
    for name in wishes.types:
        collections.ensure_type(connection, number, _registry_type(name), now)
    if len(types_of(connection, number)) > MAX_TYPES:
        raise InvalidRequest(f"A registry can have {MAX_TYPES} artifact types.")
    _touch(connection, number, now, changed)


def _registry_type(name: str) -> str:
    if "/" in name or ":" in name:
        raise InvalidRequest(
            f"Invalid artifact type {name[:200]!r}: in a registry it must not contain '/' or ':'."
        )
    return name


def _touch(
    connection: Connection, number: int, now: float, values: dict[str, Any] | None = None
) -> None:
    changed = {**(values or {}), "updated_at": now}
    connection.execute(update(registries).where(registries.c.project_id == number).values(changed))
