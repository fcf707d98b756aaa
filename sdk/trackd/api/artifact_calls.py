"""The calls of `Api` about artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd.api.artifact_types import ArtifactType, ArtifactTypes
from trackd.api.collection import ArtifactCollection
from trackd.api.collections import ArtifactCollections
from trackd.api.errors import NotThereError, or_not_there, refusing
from trackd.api.places import Places
from trackd.api.versions import Artifacts
from trackd.artifacts.naming import ArtifactPath, resolved
from trackd.artifacts.online import lookup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd.api.lineage import Direction, Lineage
    from trackd.artifacts import Artifact


class ArtifactCalls(Places):
    """Artifacts of a server, their collections and types."""

    @refusing
    def artifact(self, name: str, type: str | None = None) -> Artifact:
        """Return a version.

        Args:
            name: `[[entity/]project/]name[:alias]`; without an alias: `latest`.
            type: what its type has to be.

        Raises:
            NotThereError: there is none.
            RefusedError: it has another type.
            CommError: the server does not answer.
        """
        path = self._artifact_path(name)
        try:
            with or_not_there():
                found = lookup.by_name(self._remote, path)
        except ValueError as error:
            raise NotThereError(str(error)) from error
        if type is not None and found.type != type:
            raise ValueError(
                f"artifact {name!r} has type {found.type!r}, not {type!r}: leave type out, or "
                "name another artifact"
            )
        return found

    def artifact_exists(self, name: str, type: str | None = None) -> bool:
        """Tell whether there is such a version.

        Args:
            name: see `artifact`.
            type: what its type has to be.

        Raises:
            CommError: the server does not answer.
        """
        try:
            self.artifact(name, type)
        except ValueError:
            return False
        return True

    @refusing
    def artifacts(
        self,
        type_name: str,
        name: str,
        order: str | None = None,
        per_page: int = 50,
        tags: Sequence[str] | None = None,
        start: str | None = None,
    ) -> Artifacts:
        """Return the versions of a collection.

        Args:
            type_name: their type.
            name: `[[entity/]project/]name`.
            order: `+field` or `-field`; None: the newest first.
            per_page: length of a page.
            tags: only versions that have all of them.
            start: `cursor` of an earlier list.
        """
        path = self._collection_path(name)
        return Artifacts(
            self._remote,
            path.entity,
            path.project,
            path.collection,
            type_name,
            order=order,
            per_page=per_page,
            tags=tags,
            start=start,
        )

    def artifact_versions(self, type_name: str, name: str, per_page: int = 50) -> Artifacts:
        """Return the versions of a collection; older name of `artifacts`."""
        return self.artifacts(type_name, name, per_page=per_page)

    @refusing
    def artifact_collection(self, type_name: str, name: str) -> ArtifactCollection:
        """Return a collection.

        Args:
            type_name: of its artifacts.
            name: `[[entity/]project/]name`.

        Raises:
            NotThereError: there is none.
        """
        path = self._collection_path(name)
        return ArtifactCollection(
            self._remote, path.entity, path.project, path.collection, type_name
        )

    def artifact_collection_exists(self, name: str, type: str) -> bool:
        """Tell whether there is such a collection.

        Args:
            name: `[[entity/]project/]name`.
            type: of its artifacts.

        Raises:
            CommError: the server does not answer.
        """
        try:
            self.artifact_collection(type, name)
        except ValueError:
            return False
        return True

    @refusing
    def artifact_collections(
        self,
        project_name: str,
        type_name: str,
        order: str | None = None,
        per_page: int = 50,
        start: str | None = None,
    ) -> ArtifactCollections:
        """Return the collections of a type.

        Args:
            project_name: `[entity/]project`.
            type_name: of their artifacts.
            order: `+field` or `-field`.
            per_page: length of a page.
            start: `cursor` of an earlier list.
        """
        place = self._project_place(project_name)
        return ArtifactCollections(
            self._remote, *place, type_name, order=order, per_page=per_page, start=start
        )

    @refusing
    def artifact_types(self, project: str | None = None, start: str | None = None) -> ArtifactTypes:
        """Return the types of artifacts in a project.

        Args:
            project: `[entity/]project`.
            start: `cursor` of an earlier list.
        """
        return ArtifactTypes(self._remote, *self._project_place(project), start=start)

    @refusing
    def artifact_type(self, type_name: str, project: str | None = None) -> ArtifactType:
        """Return a type of artifacts.

        Args:
            type_name: its name.
            project: `[entity/]project`.

        Raises:
            NotThereError: there is none.
        """
        return ArtifactType(self._remote, *self._project_place(project), type_name)

    @refusing
    def lineage(self, name: str, direction: Direction = "both", depth: int = 3) -> Lineage:
        """Return which runs made a version from what, and what came of it.

        Args:
            name: see `artifact`.
            direction: `upstream`, `downstream` or `both`.
            depth: edges from the version to the farthest node, 1 to 20.

        Raises:
            NotThereError: there is no such version.
            RefusedError: another direction or depth.
        """
        from trackd.api.lineage import lineage_of  # few ask for it

        return lineage_of(self._remote, self.artifact(name), direction, depth)

    def _artifact_path(self, name: str) -> ArtifactPath:
        if not name:
            raise ValueError("name is missing: write entity/project/name")
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - users' values
            raise TypeError(f"name={name!r}: give a text such as entity/project/name")
        return resolved(self._remote, name)

    def _collection_path(self, name: str) -> ArtifactPath:
        path = self._artifact_path(name)
        if path.alias:
            raise ValueError(
                f"name={name!r} is a version of a collection: leave out ':{path.alias}'"
            )
        return path
