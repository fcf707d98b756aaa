"""What a server says of a registry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from trackd.api.registries.accepted_types import ArtifactTypeList
from trackd.api.registries.members import RegistryMembers
from trackd.artifacts.naming import REGISTRY_PREFIX
from trackd.remote.answers import nodes, part

if TYPE_CHECKING:
    from trackd.api.errors import Node
    from trackd.remote.connection import Remote

Visibility = Literal["organization", "restricted"]
_ACCESS: dict[str, str] = {"organization": "PRIVATE", "restricted": "RESTRICTED"}


@dataclass(frozen=True, slots=True)
class Editable:
    """What of a registry can be changed, besides its types."""

    name: str
    description: str | None
    allow_all: bool
    visibility: Visibility


class RegistryFacts(RegistryMembers):
    """What a server says of a registry; `Registry` adds what can be done with it.

    Args:
        remote: the server.
        organization: its name.
        entity: the entity that owns its registries.
        name: of the registry, without `wandb-registry-`.
        attrs: what the server says of it; None: `load()` asks.
    """

    _saved: Editable
    _current: Editable

    def __init__(
        self,
        remote: Remote,
        organization: str,
        entity: str,
        name: str,
        attrs: Node | None = None,
    ) -> None:
        self._remote = remote
        self._organization = organization
        self._entity = entity
        self._node: Node = {}
        self._saved = Editable(name, None, True, "organization")
        self._current = self._saved
        self._types = ArtifactTypeList()
        if attrs is not None:
            self._take(attrs)

    def __repr__(self) -> str:
        return f"<Registry {self.organization}/{self.name}>"

    def _take(self, node: Node) -> None:
        self._node = node
        self._entity = node["entity"]["name"]
        self._organization = part(node, "entity", "organization", "name") or self._organization
        self._saved = Editable(
            node["name"].removeprefix(REGISTRY_PREFIX),
            node.get("description"),
            bool(node.get("allowAllArtifactTypes")),
            "restricted" if node.get("access") == _ACCESS["restricted"] else "organization",
        )
        self._current = self._saved
        self._types = ArtifactTypeList(each["name"] for each in nodes(node, "artifactTypes"))

    # --- facts -------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Id at the server."""
        return self._node["id"]

    @property
    def internal_id(self) -> str | None:
        """Second id, by which it is searched."""
        return self._node.get("internalId")

    @property
    def full_name(self) -> str:
        """Name of its project, `wandb-registry-<name>`."""
        return f"{REGISTRY_PREFIX}{self.name}"

    @property
    def entity(self) -> str:
        """Entity of the organization."""
        return self._entity

    @property
    def organization(self) -> str:
        """Name of the organization."""
        return self._organization

    @property
    def path(self) -> list[str]:
        """Entity and name of its project."""
        return [self.entity, self.full_name]

    @property
    def created_at(self) -> str:
        """When it was created, ISO 8601."""
        return self._node["createdAt"]

    @property
    def updated_at(self) -> str | None:
        """When it was changed last, ISO 8601."""
        return self._node.get("updatedAt")

    # --- what can be changed -----------------------------------------------------------------

    @property
    def name(self) -> str:
        """Name without `wandb-registry-`. Can be set."""
        return self._current.name

    @name.setter
    def name(self, name: str) -> None:
        self._current = replace(self._current, name=name)

    @property
    def description(self) -> str | None:
        """Free text. Can be set."""
        return self._current.description

    @description.setter
    def description(self, description: str | None) -> None:
        self._current = replace(self._current, description=description)

    @property
    def allow_all_artifact_types(self) -> bool:
        """True: artifacts of any type may be linked; False: of `artifact_types`. Can be set."""
        return self._current.allow_all

    @allow_all_artifact_types.setter
    def allow_all_artifact_types(self, allow: bool) -> None:
        self._current = replace(self._current, allow_all=allow)

    @property
    def artifact_types(self) -> ArtifactTypeList:
        """Types that may be linked, or that were; can be appended to, never shortened."""
        return self._types

    @property
    def visibility(self) -> Visibility:
        """`organization`: for everybody of it; `restricted`: for members. Can be set.

        Raises:
            ValueError: when set: another value.
        """
        return self._current.visibility

    @visibility.setter
    def visibility(self, visibility: Visibility) -> None:
        access_of(visibility)
        self._current = replace(self._current, visibility=visibility)


def access_of(visibility: str) -> str:
    """Return a visibility as the server says it.

    Raises:
        ValueError: there is no such visibility.
    """
    if visibility not in _ACCESS:
        raise ValueError(f"visibility={visibility!r}: use 'organization' or 'restricted'")
    return _ACCESS[visibility]
