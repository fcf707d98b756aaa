"""Who uses a server: users, teams, organizations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackd.api.attrs import Attrs

if TYPE_CHECKING:
    from trackd.api.errors import Node


class User(Attrs):
    """A user, as the server shows it to this key."""

    def __init__(self, attrs: Node) -> None:
        super().__init__(attrs)

    def __repr__(self) -> str:
        name = self._attrs.get("email") or self._attrs.get("username") or self._attrs.get("name")
        return f"<User {name or '???'}>"


class Team(Attrs):
    """A team of users."""

    def __init__(self, name: str, attrs: Node) -> None:
        super().__init__({**attrs, "name": name})

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
