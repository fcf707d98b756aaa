"""What only a server can say about an artifact; a draft raises `ArtifactNotLoggedError`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from trackd.artifacts import naming, rules
from trackd.artifacts.facts import ArtifactFacts
from trackd.errors import CommError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackd.artifacts.manifest import Manifest
    from trackd.artifacts.online.logged import Logged
    from trackd.remote.connection import Remote


class ServerFacts(ArtifactFacts):
    """The facts of a version on a server, of which aliases and tags can be changed.

    Every property raises `ArtifactNotLoggedError`, which is an `AttributeError`, for a draft.
    """

    def __init__(self, name: str, type_: str, manifest: Manifest | None) -> None:
        super().__init__(name, type_, manifest)
        self._aliases: list[str] = []
        self._tags: list[str] = []

    def _take(self, remote: Remote, logged: Logged) -> None:
        super()._take(remote, logged)
        self._aliases, self._tags = list(logged.aliases), list(logged.tags)

    @property
    def entity(self) -> str:
        """User or team that has the collection. Of a link: the link's."""
        return self._facts("entity").place.entity

    @property
    def project(self) -> str:
        """Project of the collection. Of a link: the link's."""
        return self._facts("project").place.project

    @property
    def qualified_name(self) -> str:
        """`entity/project/` and the name. Of a link: the link's."""
        place = self._facts("qualified_name").place
        return f"{place.entity}/{place.project}/{self.name}"

    @property
    def place(self) -> naming.ArtifactPath:
        """Where it was found: entity, project, and `collection:version`."""
        return self._facts("place").place

    @property
    def version(self) -> str:
        """Version in its collection, such as `v3`. Of a link: the link's."""
        return self._facts("version").version

    @property
    def source_entity(self) -> str:
        """User or team of the artifact itself."""
        return self._facts("source_entity").source.entity

    @property
    def source_project(self) -> str:
        """Project of the artifact itself."""
        return self._facts("source_project").source.project

    @property
    def source_qualified_name(self) -> str:
        """`entity/project/name:version` of the artifact itself."""
        return str(self._facts("source_qualified_name").source)

    @property
    def source_collection_path(self) -> naming.ArtifactPath:
        """The collection of the artifact itself, without a version."""
        source = self._facts("source_collection").source
        return replace(source, name=source.collection)

    @property
    def source_version(self) -> str:
        """Version of the artifact itself."""
        return self._facts("source_version").source.alias

    @property
    def aliases(self) -> list[str]:
        """Names of this version in its collection. Can be set and changed; `save()` sends them.

        Raises:
            ValueError: when set: one has a `/` or `:`.
        """
        self._facts("aliases")
        return self._aliases

    @aliases.setter
    def aliases(self, aliases: Iterable[str] | str) -> None:
        self._facts("aliases")
        self._aliases = rules.checked_alias_names(rules.checked_some("aliases", aliases))

    @property
    def tags(self) -> list[str]:
        """Labels of the version. Can be set and changed; `save()` sends them.

        Raises:
            ValueError: when set: one has other characters than letters, digits, `-`, `_`, blanks.
        """
        self._facts("tags")
        return self._tags

    @tags.setter
    def tags(self, tags: Iterable[str] | str) -> None:
        self._facts("tags")
        self._warn_of_source("tags")
        self._tags = rules.checked_tags(rules.checked_some("tags", tags))

    @property
    def commit_hash(self) -> str | None:
        """Hash that the server gave to the commit."""
        return self._facts("commit_hash").commit_hash

    @property
    def file_count(self) -> int:
        """Number of entries, references included."""
        return self._facts("file_count").file_count

    @property
    def created_at(self) -> str:
        """When the version was made, ISO 8601."""
        return self._facts("created_at").created_at

    @property
    def updated_at(self) -> str:
        """When the version was changed last, ISO 8601."""
        facts = self._facts("updated_at")
        return facts.updated_at or facts.created_at

    @property
    def linked_at(self) -> str | None:
        """When the link was made, ISO 8601; None where this is no link."""
        return self._facts("linked_at").linked_at

    @property
    def history_step(self) -> int | None:
        """Row of the run before which it was logged; None: unknown."""
        stored = self._facts("history_step").history_step
        return None if stored is None else max(0, stored - 1)


def page_of(facts: Logged, remote: Remote) -> str:
    """Return the address of the page of a version or a link; empty: there is none."""
    place, base = facts.place, remote.app_url
    if not (base and place.entity and place.project):
        return ""
    chosen = quote(f"{place.entity}/{place.project}/{place.collection}", safe="")
    shown = f"selectionPath={chosen}&view=membership&version={facts.version}"
    if facts.is_link and place.is_registry:
        try:
            organization = naming.organization_of(remote, place.entity).name
        except (CommError, ValueError):
            return ""
        registry = place.project.removeprefix(naming.REGISTRY_PREFIX)
        return f"{base}/orgs/{organization}/registry/{registry}?{shown}"
    if facts.is_link and (facts.type == "model" or place.project == "model-registry"):
        return f"{base}/{place.entity}/registry/model?{shown}"
    path = f"{quote(facts.type)}/{quote(place.collection)}/{facts.version}"
    return f"{base}/{place.entity}/{place.project}/artifacts/{path}"
