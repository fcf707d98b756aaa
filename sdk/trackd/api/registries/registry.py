"""`Registry`: a place for the collections of a whole organization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd.api.errors import NotThereError, RefusedError, need_feature, or_not_there, refusing
from trackd.api.operations import registry as operations
from trackd.api.registries.accepted_types import checked_types
from trackd.api.registries.facts import Editable, RegistryFacts, Visibility, access_of
from trackd.artifacts.naming import REGISTRY_PREFIX
from trackd.artifacts.rules import MAX_NAME_CHARACTERS
from trackd.errors import CommError
from trackd.remote.answers import part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trackd.api.errors import Node
    from trackd.api.registries.search import Collections
    from trackd.api.registries.versions import Versions
    from trackd.remote.connection import Remote

_SAVING = "INCLUDE_ARTIFACT_TYPES_IN_REGISTRY_CREATION"
#: What an address cannot hold.
_NOT_IN_A_NAME = frozenset("/\\#?%:\r\n")


class Registry(RegistryFacts):
    """A registry: a place of an organization, whose collections link to artifacts of its projects.

    `name`, `description`, `visibility`, `allow_all_artifact_types` and `artifact_types` can be
    changed; `save()` sends them. Its arguments are those of `RegistryFacts`.
    """

    # --- server ------------------------------------------------------------------------------

    def load(self) -> None:
        """Ask the server.

        Raises:
            NotThereError: there is no such registry.
        """
        variables = {"name": self.full_name, "entity": self.entity}
        with or_not_there():
            answer = self._remote.execute(operations.ONE_REGISTRY, variables)
        found = part(answer, "entity", "project")
        if found is None:
            raise NotThereError(
                f"organization {self.organization!r} has no registry {self.name!r}: create it with "
                "Api().create_registry() or `trackd registry create`"
            )
        self._take(found)

    @refusing
    def save(self) -> None:
        """Send what was changed.

        Raises:
            RefusedError: types were added while all are allowed, a name is refused, or the server
                refuses the change.
        """
        need_feature(self._remote.features, _SAVING, "Registry.save()")
        new_types = self._types.draft
        if new_types and self._current.allow_all:
            raise ValueError(
                f"artifact_types: {', '.join(new_types)} cannot be added while all types are "
                "allowed: set allow_all_artifact_types = False before"
            )
        before, after = project_name(self._saved.name), project_name(self._current.name)
        wanted = _upsert_input(self._entity, before, self._current, new_types)
        self._take(_upserted(self._remote, wanted))
        if before != after:
            renaming = {
                "entityName": self._entity,
                "oldProjectName": before,
                "newProjectName": after,
            }
            answer = self._remote.execute(operations.RENAME, {"input": renaming})
            self._take(part(answer, "renameProject", "project"))

    def delete(self) -> None:
        """Delete the registry with its collections; the artifacts that they link to stay.

        Raises:
            NotThereError: it is deleted already.
            RefusedError: the server refuses.
        """
        with or_not_there():
            answer = self._remote.execute(operations.DELETE, {"id": self.id})
        if not part(answer, "deleteModel", "success"):
            raise RefusedError(f"registry {self.name!r}: the server does not delete it")

    @refusing
    def collections(
        self,
        filter: Mapping[str, Any] | None = None,
        order: str | None = None,
        per_page: int = 100,
        start: str | None = None,
    ) -> Collections:
        """Return its collections.

        Args:
            filter: on fields of collections, in the manner of MongoDB.
            order: `+field` or `-field` of `name`, `created_at`, `updated_at`.
            per_page: length of a page.
            start: cursor of an earlier list.
        """
        from trackd.api.registries.search import Collections, only  # which know this module

        return Collections(
            self._remote,
            self.organization,
            only(self),
            filter,
            order=order,
            per_page=per_page,
            start=start,
        )

    @refusing
    def versions(
        self,
        filter: Mapping[str, Any] | None = None,
        order: str | None = None,
        per_page: int = 100,
        start: str | None = None,
    ) -> Versions:
        """Return the versions that its collections link to.

        Args:
            filter: on fields of versions, in the manner of MongoDB.
            order: `+field` or `-field` of `created_at`, `artifact_size`, `linked_at`.
            per_page: length of a page.
            start: cursor of an earlier list.
        """
        from trackd.api.registries.versions import Versions, only  # which know this module

        return Versions(
            self._remote,
            self.organization,
            only(self),
            artifact_filter=filter,
            order=order,
            per_page=per_page,
            start=start,
        )


def create(  # noqa: PLR0913 - the fields of a registry
    remote: Remote,
    organization: str,
    entity: str,
    name: str,
    visibility: Visibility,
    description: str | None = None,
    artifact_types: Iterable[str] | None = None,
) -> Registry:
    """Create a registry; see `Api.create_registry`.

    Raises:
        ValueError: a name or type is refused.
        RefusedError: the server refuses, or has a registry of this name.
    """
    types = checked_types(artifact_types)
    facts = Editable(name, description, not types, visibility)
    answer_node = _upserted(
        remote, _upsert_input(entity, project_name(name), facts, types), must_be_new=True
    )
    return Registry(remote, organization, entity, name, answer_node)


def project_name(name: str) -> str:
    """Return the name of a registry's project.

    Raises:
        ValueError: the registry cannot be called so.
    """
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - users' values
        raise ValueError(f"registry name {name!r} is no text")  # noqa: TRY004 - as the reference
    longest = MAX_NAME_CHARACTERS - len(REGISTRY_PREFIX)
    if not name or len(name) > longest:
        raise ValueError(
            f"registry name {name[:40]!r} has {len(name)} characters: 1 to {longest} are allowed"
        )
    if refused := sorted(_NOT_IN_A_NAME.intersection(name)):
        signs = " ".join(refused)
        raise ValueError(f"registry name {name!r}: these may not be in it: {signs}")
    return f"{REGISTRY_PREFIX}{name}"


def _upsert_input(entity: str, project: str, facts: Editable, types: Iterable[str]) -> Node:
    return {
        "description": facts.description,
        "entityName": entity,
        "name": project,
        "access": access_of(facts.visibility),
        "allowAllArtifactTypesInRegistry": facts.allow_all,
        "artifactTypes": [{"name": each} for each in types] or None,
    }


def _upserted(remote: Remote, wanted: Node, *, must_be_new: bool = False) -> Node:
    try:
        answer = remote.execute(operations.UPSERT, {"input": wanted})
    except CommError as error:
        raise RefusedError(f"registry {wanted['name']!r}: {error}") from error
    found = part(answer, "upsertModel", "project")
    if found is None or (must_be_new and not answer["upsertModel"].get("inserted")):
        raise RefusedError(f"registry {wanted['name']!r}: the server did not take it")
    return found
