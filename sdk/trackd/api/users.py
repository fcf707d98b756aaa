"""Who uses a server: users, teams, organizations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from trackd.api.attrs import Attrs
from trackd.api.errors import elsewhere
from trackd.remote.answers import nodes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd.api.errors import Node


class User(Attrs):
    """A user, as the server shows it to this key."""

    ABSENT: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("delete_api_key", "generate_api_key", "user_api"), elsewhere("keys of users")
    )

    @property
    def teams(self) -> list[str]:
        """Names of the teams that the user belongs to."""
        return _names(self._attrs, "teams")

    @property
    def api_keys(self) -> list[str]:
        """Names of the user's keys, not the keys themselves."""
        return _names(self._attrs, "apiKeys")

    def __repr__(self) -> str:
        name = self._attrs.get("email") or self._attrs.get("username") or self._attrs.get("name")
        return f"<User {name or '???'}>"


class Member(Attrs):
    """A member of a team; `name`, `username`, `email`, `role`, `account_type`, …"""

    ABSENT: ClassVar[Mapping[str, str]] = {"delete": elsewhere("changes of teams")}

    def __init__(self, team: str, attrs: Node) -> None:
        super().__init__(attrs)
        self.team = team

    def __repr__(self) -> str:
        return f"<Member {self.name} ({self.account_type})>"


class Team(Attrs):
    """A team of users."""

    ABSENT: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("create_service_account", "invite"), elsewhere("changes of teams")
    )

    def __init__(self, name: str, attrs: Node) -> None:
        super().__init__({**attrs, "name": name})
        #: Who belongs to it.
        self.members = [Member(name, member) for member in attrs.get("members") or ()]

    def __repr__(self) -> str:
        return f"<Team {self._attrs['name']}>"


@dataclass(frozen=True)
class OrganizationEntity:
    """The entity that owns the registries of an organization."""

    id: str
    name: str
    entity_type: str = "organization"


@dataclass(frozen=True)
class Organization:
    """An organization: teams and users that share registries."""

    id: str
    name: str
    org_entity: OrganizationEntity

    @classmethod
    def of_node(cls, node: Node) -> Organization:
        """Return the organization of an answer."""
        owner = node["orgEntity"]
        return cls(
            node["id"],
            node["name"],
            OrganizationEntity(owner["id"], owner["name"], owner["entityType"]),
        )


def _names(attrs: Node, connection: str) -> list[str]:
    return [node["name"] for node in nodes(attrs, connection)]
