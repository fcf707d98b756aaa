"""Versions of artifacts: those of a collection, and those that a run logged or used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from trackd.api.errors import NotThereError
from trackd.api.files import File
from trackd.api.filters import as_json, checked_order
from trackd.api.operations import artifacts as operations
from trackd.api.paginator import SizedPaginator
from trackd.artifacts.naming import ArtifactPath
from trackd.artifacts.online import lookup
from trackd.remote.answers import part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trackd.api.errors import Node
    from trackd.api.runs import Run
    from trackd.artifacts import Artifact
    from trackd.remote.connection import Remote

_COMMITTED = {"state": "COMMITTED"}
_COUNTS_FILES = "TOTAL_COUNT_IN_FILE_CONNECTION"


class Artifacts(SizedPaginator["Artifact"]):
    """The versions of a collection.

    Args:
        remote: the server.
        entity: user, team or organization.
        project: name of the project.
        collection_name: name of the collection.
        type: of its artifacts.
        filters: on fields of versions; None: those that are complete.
        order: `+field` or `-field`; None: the newest first.
        per_page: length of a page.
        tags: only versions that have all of them.
        start: cursor of an earlier list.
    """

    def __init__(  # noqa: PLR0913 - the signature of the reference
        self,
        remote: Remote,
        entity: str,
        project: str,
        collection_name: str,
        type: str,
        filters: Mapping[str, Any] | None = None,
        order: str | None = None,
        per_page: int = 50,
        tags: str | Sequence[str] | None = None,
        start: str | None = None,
    ) -> None:
        self.entity = entity
        self.project = project
        self.collection_name = collection_name
        self.type = type
        self.filters = dict(_COMMITTED if filters is None else filters)
        self.order = checked_order(order)
        self.tags = [tags] if isinstance(tags, str) else list(tags or ())
        variables: Node = {
            "entity": entity,
            "project": project,
            "collection": collection_name,
            "type": type,
            "filters": as_json(self.filters),
            "order": self.order,
        }
        super().__init__(remote, operations.VERSIONS, variables, per_page, start)

    def _connection(self, answer: Node) -> Node:
        found = part(answer, "project", "artifactType", "artifactCollection", "artifacts")
        if found is None:
            raise NotThereError(
                f"there is no artifact collection {self.entity}/{self.project}/"
                f"{self.collection_name} of type {self.type!r}"
            )
        return found

    def _made(self, edge: Node) -> Artifact | None:
        node = edge.get("node")
        if node is None:
            return None
        if not {tag["name"] for tag in node["tags"]}.issuperset(self.tags):
            return None
        name = f"{self.collection_name}:{edge['version']}"
        path = ArtifactPath(name, self.project, self.entity)
        return lookup.from_node(self._remote, node, path)


class RunArtifacts(SizedPaginator["Artifact"]):
    """The artifacts that a run logged, or used.

    Args:
        remote: the server.
        run: the run.
        mode: `logged` or `used`.
        per_page: length of a page.
        start: cursor of an earlier list.

    Raises:
        ValueError: another mode.
    """

    def __init__(
        self,
        remote: Remote,
        run: Run,
        mode: Literal["logged", "used"] = "logged",
        per_page: int = 50,
        start: str | None = None,
    ) -> None:
        chosen = {"logged": operations.LOGGED_BY_RUN, "used": operations.USED_BY_RUN}.get(mode)
        if chosen is None:
            raise ValueError(f"mode={mode!r}: use 'logged' or 'used'")
        self.run = run
        variables: Node = {"entity": run.entity, "project": run.project, "run": run.id}
        super().__init__(remote, chosen, variables, per_page, start)

    def _connection(self, answer: Node) -> Node:
        found = part(answer, "project", "run", "artifacts")
        if found is None:
            raise NotThereError(f"there is no run {'/'.join(self.run.path)}")
        return found

    def _made(self, edge: Node) -> Artifact | None:
        node = edge.get("node")
        project = part(node, "artifactSequence", "project")
        if node is None or project is None:
            return None
        name = f"{node['artifactSequence']['name']}:v{node['versionIndex']}"
        path = ArtifactPath(name, project["name"], project["entity"]["name"])
        return lookup.from_node(self._remote, node, path)


class ArtifactFiles(SizedPaginator[File]):
    """The files of a version that have bytes on the server, by path.

    Args:
        remote: the server.
        artifact: the version.
        names: only files of these paths.
        per_page: length of a page.
        start: cursor of an earlier list.
    """

    def __init__(
        self,
        remote: Remote,
        artifact: Artifact,
        names: Sequence[str] | None = None,
        per_page: int = 50,
        start: str | None = None,
    ) -> None:
        if isinstance(names, str):
            raise ValueError(f"files(names={names!r}): give a list of paths")  # noqa: TRY004
        self.artifact = artifact
        variables: Node = {
            "entity": artifact.entity,
            "project": artifact.project,
            "collection": artifact.name.partition(":")[0],
            "alias": artifact.version,
            "fileNames": None if names is None else list(names),
        }
        counted = _COUNTS_FILES in remote.features
        chosen = operations.FILES if counted else operations.FILES.without("totalCount")
        super().__init__(remote, chosen, variables, per_page, start)

    def __repr__(self) -> str:
        try:
            count = f" ({len(self)})"
        except NotImplementedError:
            count = ""
        return f"<ArtifactFiles {'/'.join(self.path)}{count}>"

    @property
    def path(self) -> list[str]:
        """Entity, project and name of the artifact."""
        return [self.artifact.entity, self.artifact.project, self.artifact.name]

    def _connection(self, answer: Node) -> Node:
        found = part(answer, "project", "artifactCollection", "artifactMembership", "files")
        if found is None:
            raise NotThereError(f"there is no artifact {'/'.join(self.path)}")
        return found

    def _made(self, edge: Node) -> File | None:
        node = edge.get("node")
        return None if node is None else File(self._remote, node)
