"""Lists of collections: of a project, or of one type in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd.api.collection import ArtifactCollection
from trackd.api.errors import NotThereError, need_feature
from trackd.api.filters import as_json, checked_order
from trackd.api.operations import artifacts as operations
from trackd.api.paginator import SizedPaginator
from trackd.remote.answers import part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd.api.errors import Node
    from trackd.remote.connection import Remote

_SEARCH = "ARTIFACT_COLLECTIONS_FILTERING_SORTING"


class _Collections(SizedPaginator[ArtifactCollection]):
    def _made(self, edge: Node) -> ArtifactCollection | None:
        return collection_of(self._remote, edge.get("node"))


def collection_of(
    remote: Remote, node: Node | None, organization: str | None = None
) -> ArtifactCollection | None:
    """Return the collection of a node; None: the server hides it."""
    project = part(node, "project")
    if node is None or project is None:
        return None
    place = project["entity"]["name"], project["name"]
    return ArtifactCollection(
        remote, *place, node["name"], node["type"]["name"], organization, node
    )


class ArtifactCollections(_Collections):
    """The collections of one type in a project."""

    def __init__(  # noqa: PLR0913 - the signature of the reference
        self,
        remote: Remote,
        entity: str,
        project: str,
        type_name: str,
        filters: Mapping[str, Any] | None = None,
        order: str | None = None,
        per_page: int = 50,
        start: str | None = None,
    ) -> None:
        self.entity = entity
        self.project = project
        self.type_name = type_name
        self.filters = filters
        self.order = checked_order(order)
        variables = {"entity": entity, "project": project, "type": type_name}
        variables |= _searched(remote, filters, self.order)
        super().__init__(remote, operations.COLLECTIONS_OF_TYPE, variables, per_page, start)

    def _connection(self, answer: Node) -> Node:
        found = part(answer, "project", "artifactType", "artifactCollections")
        if found is None:
            raise NotThereError(
                f"project {self.entity}/{self.project} has no artifact type {self.type_name!r}"
            )
        return found


class ProjectArtifactCollections(_Collections):
    """The collections of a project."""

    def __init__(  # noqa: PLR0913 - the signature of the reference
        self,
        remote: Remote,
        entity: str,
        project: str,
        filters: Mapping[str, Any] | None = None,
        order: str | None = None,
        per_page: int = 50,
        start: str | None = None,
    ) -> None:
        self.entity = entity
        self.project = project
        self.filters = filters
        self.order = checked_order(order)
        variables: Node = {"entity": entity, "project": project}
        variables |= _searched(remote, filters, self.order)
        chosen = operations.COLLECTIONS_OF_PROJECT
        if _SEARCH not in remote.features:
            chosen = operations.COLLECTIONS_OF_PROJECT_PLAIN
            del variables["filters"]
        super().__init__(remote, chosen, variables, per_page, start)

    def _connection(self, answer: Node) -> Node:
        found = part(answer, "project", "artifactCollections")
        if found is None:
            raise NotThereError(f"there is no project {self.entity}/{self.project}")
        return found


def _searched(remote: Remote, filters: Mapping[str, Any] | None, order: str | None) -> Node:
    if filters is not None or order is not None:
        need_feature(remote.features, _SEARCH, "searching and sorting collections")
    return {"filters": as_json(filters), "order": order}
