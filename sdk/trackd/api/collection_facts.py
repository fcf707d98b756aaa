"""What a server says of a collection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trackd.api.errors import NotThereError, or_not_there
from trackd.api.operations import artifacts as operations
from trackd.api.paginator import Paginator
from trackd.api.versions import Artifacts
from trackd.remote.answers import nodes, part

if TYPE_CHECKING:
    from trackd.api.errors import Node
    from trackd.remote.connection import Remote

_SEQUENCE = "ArtifactSequence"
_ALIASES_PER_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Editable:
    """What of a collection can be changed."""

    name: str
    type: str
    description: str | None
    tags: list[str]

    def copy(self) -> Editable:
        """Return it with a list of tags of its own."""
        return replace(self, tags=list(self.tags))


class CollectionFacts:
    """What a server says of a collection; `ArtifactCollection` adds what can be changed.

    Args:
        remote: the server.
        entity: user, team or organization.
        project: name of the project.
        name: of the collection.
        type: of its artifacts; empty: any.
        organization: whose registry it is in.
        attrs: what the server says of it; None: it is asked.

    Raises:
        NotThereError: there is no such collection.
    """

    _saved: Editable
    _current: Editable

    def __init__(  # noqa: PLR0913 - the signature of the reference
        self,
        remote: Remote,
        entity: str,
        project: str,
        name: str,
        type: str,
        organization: str | None = None,
        attrs: Node | None = None,
    ) -> None:
        self._remote = remote
        self.organization = organization
        self._node = attrs or _fetched(remote, entity, project, name, type)
        self._saved = Editable(
            self._node["name"],
            self._node["type"]["name"],
            self._node.get("description"),
            [tag["name"] for tag in nodes(self._node, "tags")],
        )
        self._current = self._saved.copy()
        self._aliases: list[str] | None = None

    def __repr__(self) -> str:
        return f"<ArtifactCollection {self._current.name} ({self._current.type})>"

    # --- facts -------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Id at the server."""
        return self._node["id"]

    @property
    def entity(self) -> str:
        """User, team or organization that owns the project."""
        return self._node["project"]["entity"]["name"]

    @property
    def project(self) -> str:
        """Name of the project."""
        return self._node["project"]["name"]

    @property
    def project_id(self) -> str:
        """Id of the project."""
        return self._node["project"]["id"]

    @property
    def project_internal_id(self) -> str | None:
        """Second id of the project, by which it is searched."""
        return self._node["project"].get("internalId")

    @property
    def created_at(self) -> str:
        """When it was created, ISO 8601."""
        return self._node["createdAt"]

    @property
    def updated_at(self) -> str | None:
        """When it was changed last, ISO 8601."""
        return self._node.get("updatedAt")

    @property
    def aliases(self) -> list[str]:
        """Aliases of all versions, asked once."""
        if self._aliases is None:
            self._aliases = list(_Aliases(self._remote, self.id))
        return list(self._aliases)

    def is_sequence(self) -> bool:
        """Tell whether it owns its versions, rather than linking to them."""
        return self._node["__typename"] == _SEQUENCE

    def artifacts(self, per_page: int = 50, start: str | None = None) -> Artifacts:
        """Return the versions, the newest first.

        Args:
            per_page: length of a page.
            start: cursor of an earlier list.
        """
        saved = self._saved
        return Artifacts(
            self._remote,
            self.entity,
            self.project,
            saved.name,
            saved.type,
            per_page=per_page,
            start=start,
        )


class _Aliases(Paginator[str]):
    def __init__(self, remote: Remote, collection_id: str) -> None:
        super().__init__(
            remote, operations.COLLECTION_ALIASES, {"id": collection_id}, _ALIASES_PER_PAGE
        )

    def _connection(self, answer: Node) -> Node:
        found = part(answer, "artifactCollection", "aliases")
        if found is None:
            raise NotThereError("the collection does not exist any more")
        return found

    def _made(self, edge: Node) -> str | None:
        return part(edge, "node", "alias")


def _fetched(remote: Remote, entity: str, project: str, name: str, type_: str) -> Node:
    """Ask for a collection.

    Raises:
        NotThereError: there is none of this name and type.
    """
    variables: Node = {"entity": entity, "project": project, "name": name}
    with or_not_there():
        if type_:
            answer = remote.execute(operations.ONE_COLLECTION, {**variables, "type": type_})
            found = part(answer, "project", "artifactType", "artifactCollection")
        else:
            answer = remote.execute(operations.COLLECTION_OF_ANY_TYPE, variables)
            found = part(answer, "project", "artifactCollection")
    if found is None:
        of_type = f" of type {type_!r}" if type_ else ""
        raise NotThereError(f"there is no artifact collection {entity}/{project}/{name}{of_type}")
    return found
