"""Types of artifacts, and their collections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd.api.errors import NotThereError, or_not_there, refusing
from trackd.api.operations import artifacts as operations
from trackd.api.paginator import Paginator
from trackd.remote.answers import part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd.api.collection import ArtifactCollection
    from trackd.api.collections import ArtifactCollections
    from trackd.api.errors import Node
    from trackd.remote.connection import Remote


class ArtifactType:
    """A type of artifacts in a project, such as `dataset`.

    Args:
        remote: the server.
        entity: user or team.
        project: name of the project.
        type_name: name of the type.
        attrs: what the server says of it; None: it is asked.

    Raises:
        NotThereError: the project, or the type in it, does not exist.
    """

    def __init__(
        self,
        remote: Remote,
        entity: str,
        project: str,
        type_name: str,
        attrs: Node | None = None,
    ) -> None:
        self._remote = remote
        self.entity = entity
        self.project = project
        self.type = type_name
        self._attrs = attrs or self.load()

    def __repr__(self) -> str:
        return f"<ArtifactType {self.type}>"

    @property
    def id(self) -> str:
        """Id at the server."""
        return self._attrs["id"]

    @property
    def name(self) -> str:
        """Name of the type."""
        return self._attrs["name"]

    @property
    def description(self) -> str | None:
        """Free text."""
        return self._attrs.get("description")

    @property
    def created_at(self) -> str:
        """When it was first used, ISO 8601."""
        return self._attrs["createdAt"]

    def load(self) -> Node:
        """Ask the server again; return what it says.

        Raises:
            NotThereError: the project, or the type in it, does not exist.
        """
        variables = {"entity": self.entity, "project": self.project, "type": self.type}
        with or_not_there():
            answer = self._remote.execute(operations.ONE_TYPE, variables)
        found = part(answer, "project", "artifactType")
        if found is None:
            raise NotThereError(
                f"project {self.entity}/{self.project} has no artifact type {self.type!r}"
            )
        return found

    @refusing
    def collections(
        self,
        filters: Mapping[str, Any] | None = None,
        order: str | None = None,
        per_page: int = 50,
        start: str | None = None,
    ) -> ArtifactCollections:
        """Return the collections of this type.

        Args:
            filters: on fields of collections, in the manner of MongoDB.
            order: `+field` or `-field`.
            per_page: length of a page.
            start: cursor of an earlier list.
        """
        from trackd.api.collections import ArtifactCollections  # which knows this module

        return ArtifactCollections(
            self._remote,
            self.entity,
            self.project,
            self.type,
            filters=filters,
            order=order,
            per_page=per_page,
            start=start,
        )

    def collection(self, name: str) -> ArtifactCollection:
        """Return a collection of this type by its name.

        Raises:
            NotThereError: there is none.
        """
        from trackd.api.collection import ArtifactCollection  # which knows this module

        return ArtifactCollection(self._remote, self.entity, self.project, name, self.type)


class ArtifactTypes(Paginator[ArtifactType]):
    """The types of artifacts in a project."""

    def __init__(
        self,
        remote: Remote,
        entity: str,
        project: str,
        per_page: int = 50,
        start: str | None = None,
    ) -> None:
        self.entity = entity
        self.project = project
        variables = {"entity": entity, "project": project}
        super().__init__(remote, operations.TYPES, variables, per_page, start)

    def _connection(self, answer: Node) -> Node:
        found = part(answer, "project", "artifactTypes")
        if found is None:
            raise NotThereError(f"there is no project {self.entity}/{self.project}")
        return found

    def _made(self, edge: Node) -> ArtifactType | None:
        node = edge.get("node")
        if node is None:
            return None
        return ArtifactType(self._remote, self.entity, self.project, node["name"], node)
