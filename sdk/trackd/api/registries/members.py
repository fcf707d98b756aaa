"""Who may do what in a registry."""

from __future__ import annotations

import base64
import binascii
import enum
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackd.api.errors import NotThereError, RefusedError
from trackd.api.operations import registry as operations
from trackd.api.users import Team, User
from trackd.remote.answers import part

if TYPE_CHECKING:
    from typing import Self

    from trackd.remote.connection import Remote
    from trackd.remote.operations import Operation

_USER, _TEAM = "User", "Entity"


class MemberRole(enum.StrEnum):
    """What a member may do."""

    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"
    RESTRICTED_VIEWER = "restricted_viewer"


@dataclass(frozen=True)
class UserMember:
    """A user in a registry."""

    user: User
    role: MemberRole | str
    kind: str = _USER


@dataclass(frozen=True)
class TeamMember:
    """A team in a registry."""

    team: Team
    role: MemberRole | str
    kind: str = _TEAM


Member = User | UserMember | Team | TeamMember | str


class RegistryMembers(ABC):
    """The members of a registry."""

    _remote: Remote

    @property
    @abstractmethod
    def id(self) -> str:
        """Id of the registry."""

    @property
    @abstractmethod
    def path(self) -> list[str]:
        """Entity and name of its project."""

    def members(self) -> list[UserMember | TeamMember]:
        """Return all users and teams."""
        return [*self.user_members(), *self.team_members()]

    def user_members(self) -> list[UserMember]:
        """Return the users.

        Raises:
            NotThereError: the registry does not exist any more.
        """
        return [
            UserMember(
                User({key: value for key, value in node.items() if key != "role"}),
                _role(node["role"]["name"]),
            )
            for node in self._listed(operations.USER_MEMBERS, "members")
        ]

    def team_members(self) -> list[TeamMember]:
        """Return the teams.

        Raises:
            NotThereError: the registry does not exist any more.
        """
        return [
            TeamMember(Team(node["team"]["name"], node["team"]), _role(node["role"]["name"]))
            for node in self._listed(operations.TEAM_MEMBERS, "teamMembers")
        ]

    def add_members(self, *members: Member) -> Self:
        """Add users and teams; return the registry.

        Args:
            members: users, teams, members of a registry, or ids of such.

        Raises:
            TypeError: none is given, or something else.
            RefusedError: an id is none, or the server refuses.
        """
        return self._change(operations.ADD_MEMBERS, members)

    def remove_members(self, *members: Member) -> Self:
        """Remove users and teams; return the registry.

        Args:
            members: users, teams, members of a registry, or ids of such.

        Raises:
            TypeError: none is given, or something else.
            RefusedError: an id is none, or the server refuses.
        """
        return self._change(operations.REMOVE_MEMBERS, members)

    def update_member(self, member: Member, role: MemberRole | str) -> Self:
        """Change what a member may do; return the registry.

        Args:
            member: user, team, member of a registry, or id of such.
            role: `admin`, `member`, `viewer` or `restricted_viewer`.

        Raises:
            RefusedError: the id is none, or the server refuses.
        """
        kind, member_id = _identified(member)
        wanted = role.value if isinstance(role, MemberRole) else role
        if kind == _USER:
            chosen = operations.UPDATE_USER
            change = {"userId": member_id, "userProjectRole": wanted}
        else:
            chosen = operations.UPDATE_TEAM
            change = {"teamId": member_id, "teamProjectRole": wanted}
        self._done(chosen, {**change, "projectId": self.id})
        return self

    def _listed(self, chosen: Operation, field: str) -> list[dict[str, dict[str, str]]]:
        entity, project = self.path
        answer = self._remote.execute(chosen, {"project": project, "entity": entity})
        found = part(answer, "project")
        if found is None:
            raise NotThereError(f"there is no registry {project!r}")
        return found[field] or []

    def _change(self, chosen: Operation, members: tuple[Member, ...]) -> Self:
        if not members:
            raise TypeError("give one user or team at least")
        ids = [_identified(member) for member in members]
        self._done(
            chosen,
            {
                "userIds": sorted({each for kind, each in ids if kind == _USER}),
                "teamIds": sorted({each for kind, each in ids if kind == _TEAM}),
                "projectId": self.id,
            },
        )
        return self

    def _done(self, chosen: Operation, change: dict[str, object]) -> None:
        answer = self._remote.execute(chosen, {"input": change})
        if not part(answer, "result", "success"):
            raise RefusedError(f"registry {self.path[1]!r}: the server does not change its members")


def _role(name: str) -> MemberRole | str:
    return next((role for role in MemberRole if role.value == name), name)


def _identified(member: object) -> tuple[str, str]:
    """Return the kind and the id of a member.

    Raises:
        TypeError: it is neither user nor team nor text.
        RefusedError: the text is no id of such.
    """
    if isinstance(member, UserMember):
        member = member.user
    elif isinstance(member, TeamMember):
        member = member.team
    if isinstance(member, User | Team):
        member = member.id
    if not isinstance(member, str):
        raise TypeError(f"{member!r} is neither a user, a team, nor the id of one")
    try:
        kind, colon, _ = base64.b64decode(member, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        kind = colon = ""
    if not colon or kind not in (_USER, _TEAM):
        raise RefusedError(f"{member!r} is no id of a user or team")
    return kind, member
