"""Projects: what holds runs and collections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from trackd.api.attrs import Attrs
from trackd.api.errors import NotThereError, RefusedError, elsewhere, refusing
from trackd.api.operations import runs as operations
from trackd.api.paginator import Paginator
from trackd.api.users import User
from trackd.remote.answers import part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd.api.artifact_types import ArtifactTypes
    from trackd.api.collections import ProjectArtifactCollections
    from trackd.api.errors import Node
    from trackd.remote.connection import Remote


class Project(Attrs):
    """A project; what the server says of it is asked when it is needed.

    Args:
        remote: the server.
        entity: user, team or organization.
        project: name.
        attrs: what the server says of it; empty: it is asked.
    """

    ABSENT: ClassVar[Mapping[str, str]] = {"sweeps": elsewhere("sweeps")}

    def __init__(self, remote: Remote, entity: str, project: str, attrs: Node) -> None:
        self._attrs: Node = {}
        super().__init__(attrs)
        self._remote = remote
        self._is_loaded = bool(attrs)
        self.name = project
        self.entity = entity

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and not self._is_loaded:
            self._load()
        return super().__getattr__(name)

    def __repr__(self) -> str:
        return f"<Project {'/'.join(self.path)}>"

    def _load(self) -> None:
        variables = {"name": self.name, "entity": self.entity}
        answer = self._remote.execute(operations.ONE_PROJECT, variables)
        found: Node = answer.get("project") or {}
        self._attrs = found
        self._is_loaded = True

    @property
    def id(self) -> str:
        """Id at the server.

        Raises:
            NotThereError: there is no such project.
        """
        if not self._is_loaded:
            self._load()
        if "id" not in self._attrs:
            raise NotThereError(f"there is no project {'/'.join(self.path)}")
        return self._attrs["id"]

    @property
    def path(self) -> list[str]:
        """Entity and name."""
        return [self.entity, self.name]

    @property
    def url(self) -> str:
        """Address of its page."""
        return f"{self._remote.app_url}/{'/'.join(self.path)}/workspace"

    @property
    def owner(self) -> User:
        """Who made it.

        Raises:
            RefusedError: the server does not say.
        """
        if not self._is_loaded:
            self._load()
        if not self._attrs.get("user"):
            raise RefusedError(f"the server does not say who made {'/'.join(self.path)}")
        return User(self._attrs["user"])

    @refusing
    def artifacts_types(self, per_page: int = 50) -> ArtifactTypes:
        """Return the types of its artifacts."""
        from trackd.api.artifact_types import ArtifactTypes

        return ArtifactTypes(self._remote, self.entity, self.name, per_page)

    @refusing
    def collections(
        self,
        filters: Mapping[str, Any] | None = None,
        order: str | None = None,
        per_page: int = 50,
    ) -> ProjectArtifactCollections:
        """Return its collections.

        Args:
            filters: on fields of collections, in the manner of MongoDB.
            order: `+field` or `-field`.
            per_page: length of a page.
        """
        from trackd.api.collections import ProjectArtifactCollections

        return ProjectArtifactCollections(
            self._remote, self.entity, self.name, filters, order, per_page
        )


class Projects(Paginator[Project]):
    """The projects of an entity."""

    def __init__(self, remote: Remote, entity: str, per_page: int = 50) -> None:
        self.entity = entity
        super().__init__(remote, operations.PROJECTS, {"entity": entity}, per_page)

    def __repr__(self) -> str:
        return f"<Projects {self.entity}>"

    def _connection(self, answer: Node) -> Node:
        found = part(answer, "models")
        if found is None:
            raise NotThereError(f"there is no entity {self.entity!r}")
        return found

    def _made(self, edge: Node) -> Project | None:
        node = edge.get("node")
        return None if node is None else Project(self._remote, self.entity, node["name"], node)
