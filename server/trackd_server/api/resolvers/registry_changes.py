"""What clients change about registries and their members."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ariadne import MutationType

from trackd_server.api.resolvers import projects
from trackd_server.api.resolvers.context import context_of
from trackd_server.domain import names, runs
from trackd_server.domain.registry import members, registries
from trackd_server.domain.registry.registries import Wishes

if TYPE_CHECKING:
    from trackd_server.api.resolvers.context import Info, RequestContext

mutation = MutationType()

SUCCESS = {"success": True}


def upsert(context: RequestContext, entity: str, name: str, input: dict[str, Any]) -> bool:
    """Create a registry or change it, as `upsertModel` says; return whether it was created."""
    wishes = Wishes(
        input.get("description"),
        input.get("access"),
        input.get("allowAllArtifactTypesInRegistry"),
        [wanted["name"] for wanted in input.get("artifactTypes") or ()],
    )
    with context.services.database.write() as connection:
        return registries.upsert(connection, entity, name, wishes)


@mutation.field("renameProject")
def resolve_rename(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Give a registry another name."""
    context = context_of(info)
    context.renew()
    entity = names.entity(input.get("entityName"))
    with context.services.database.write() as connection:
        row = runs.project_row(connection, entity, input["oldProjectName"])
        if row is not None:  # else it was renamed: clients repeat what they got no answer to
            registries.rename(connection, row, input["newProjectName"])
    row = runs.require_project(context.connection, entity, input["newProjectName"])
    return {"inserted": False, "project": projects.show(row)}


@mutation.field("deleteModel")
def resolve_delete(_: object, info: Info, input: dict[str, Any]) -> dict[str, bool]:
    """Delete a registry; the versions linked in it live on."""
    context = context_of(info)
    context.renew()
    with context.services.database.write() as connection:
        registries.remove(connection, names.row_number("Project", input["id"]))
    return SUCCESS


@mutation.field("createProjectMembers")
def resolve_add_members(_: object, info: Info, input: dict[str, Any]) -> dict[str, bool]:
    """Add users and teams to a registry."""
    with context_of(info).services.database.write() as connection:
        members.add(connection, _project(input), _people(input))
    return SUCCESS


@mutation.field("deleteProjectMembers")
def resolve_remove_members(_: object, info: Info, input: dict[str, Any]) -> dict[str, bool]:
    """Remove users and teams from a registry."""
    with context_of(info).services.database.write() as connection:
        members.remove(connection, _project(input), _people(input))
    return SUCCESS


@mutation.field("updateProjectMember")
def resolve_user_role(_: object, info: Info, input: dict[str, Any]) -> dict[str, bool]:
    """Give a user another role in a registry."""
    with context_of(info).services.database.write() as connection:
        members.set_role(connection, _project(input), input["userId"], input["userProjectRole"])
    return SUCCESS


@mutation.field("updateProjectTeamMember")
def resolve_team_role(_: object, info: Info, input: dict[str, Any]) -> dict[str, bool]:
    """Give a team another role in a registry."""
    with context_of(info).services.database.write() as connection:
        members.set_role(connection, _project(input), input["teamId"], input["teamProjectRole"])
    return SUCCESS


def _project(input: dict[str, Any]) -> int:
    return names.row_number("Project", input["projectId"])


def _people(input: dict[str, Any]) -> list[str]:
    return [*(input.get("userIds") or ()), *(input.get("teamIds") or ())]


bindables = [mutation]
