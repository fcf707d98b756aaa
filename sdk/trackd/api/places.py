"""What a user means by a path: the project, the run or the collection, and whose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd.artifacts.naming import (
    DEFAULT_PROJECT,
    is_registry,
    organization_entity,
    organization_of,
)

if TYPE_CHECKING:
    from trackd.remote.connection import Remote


class Places:
    """Completes paths from the settings of an `Api`."""

    _remote: Remote
    #: `base_url`, `entity`, `project`, `organization`.
    settings: dict[str, Any]

    @property
    def default_entity(self) -> str | None:
        """User or team that the key belongs to; None: nobody knows."""
        return self._remote.default_entity or None

    def _entity(self, given: str | None = None) -> str:
        """Return the entity that is meant.

        Raises:
            ValueError: nothing says which.
        """
        found = given or self.settings["entity"] or self.default_entity
        if not found:
            raise ValueError("no entity is known: name it in the path, or set entity")
        return found

    def _project_place(self, path: str | None) -> tuple[str, str]:
        """Return entity and project of a path `[entity/]project`.

        Raises:
            ValueError: nothing says which.
        """
        entity, slash, project = (path or "").partition("/")
        if not slash:
            entity, project = "", entity
        project = project or self.settings["project"] or DEFAULT_PROJECT
        if is_registry(project):
            return self._registry_entity(entity), project
        return self._entity(entity), project

    def _registry_entity(self, organization: str) -> str:
        """Return the entity that owns the registries of an organization.

        Raises:
            ValueError: there is none, or several.
        """
        wanted = organization or self.settings["organization"] or ""
        return organization_entity(self._remote, self._entity(), wanted)

    def _organization_name(self, given: str | None) -> str:
        """Return the name of the organization that is meant.

        Raises:
            ValueError: there is none, or several.
        """
        if wanted := given or self.settings["organization"]:
            return wanted
        return organization_of(self._remote, self._entity()).name

    def _run_place(self, path: str) -> tuple[str, str, str]:
        """Return entity, project and id of a path to a run.

        Taken are `entity/project/id`, `entity/project/runs/id`, `entity/project:id`,
        `project/id`, `project:id` and `id`.

        Raises:
            ValueError: it is none of these, or nothing says what is missing.
        """
        if not isinstance(path, str):  # pyright: ignore[reportUnnecessaryIsInstance] - users' values
            raise TypeError(f"path={path!r}: write entity/project/run_id")
        parts = path.replace("/runs/", "/").strip("/ ").split("/")
        if len(parts) < 3 and ":" in parts[-1]:
            parts[-1:] = parts[-1].split(":", 1)
        places = [part.strip() for part in parts]
        if len(places) > 3 or not all(places):
            raise ValueError(f"path {path!r}: write entity/project/run_id")
        *before, run_id = places
        project = before.pop() if before else self.settings["project"]
        if not project:
            raise ValueError(f"path {path!r} names no project: write entity/project/run_id")
        return self._entity(before.pop() if before else None), project, run_id
