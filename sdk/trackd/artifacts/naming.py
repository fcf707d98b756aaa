"""Names of artifacts on a server: `[[entity/]project/]collection[:alias]`, and registries."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from trackd.remote.answers import part
from trackd.remote.operations import ORGANIZATIONS_OF_ENTITY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from trackd.remote.connection import Remote

#: A registry is a project of this name in the entity of an organization.
REGISTRY_PREFIX = "wandb-registry-"
DEFAULT_PROJECT = "uncategorized"
_VERSION = re.compile(r"v\d+")


def is_version(alias: str) -> bool:
    """Tell whether an alias is the number of a version, such as `v3`."""
    return _VERSION.fullmatch(alias) is not None


def is_registry(project: str) -> bool:
    """Tell whether a project is a registry."""
    return project.startswith(REGISTRY_PREFIX) and project != REGISTRY_PREFIX


@dataclass(frozen=True, slots=True)
class ArtifactPath:
    """Where an artifact or a collection is.

    Attributes:
        name: of the collection, with `:alias` where one version is meant.
        project: empty: not said.
        entity: user, team or organization; empty: not said.
    """

    name: str
    project: str = ""
    entity: str = ""

    @classmethod
    def parse(cls, path: str) -> Self:
        """Return the parts of a path; the alias, after the first colon, may have slashes.

        Raises:
            ValueError: it has more than three parts.
        """
        location, colon, alias = path.partition(":")
        parts = location.split("/")
        if len(parts) > 3:
            raise ValueError(
                f"artifact path {path!r} has {len(parts)} parts: "
                "use [[entity/]project/]name[:alias]"
            )
        *places, name = parts
        entity, project = ["", "", *places][-2:]
        return cls(f"{name}{colon}{alias}", project, entity)

    def __str__(self) -> str:
        return "/".join(filter(None, (self.entity, self.project, self.name)))

    @property
    def collection(self) -> str:
        """Name of the collection alone."""
        return self.name.partition(":")[0]

    @property
    def alias(self) -> str:
        """Alias or version; empty: none is said."""
        return self.name.partition(":")[2]

    @property
    def is_registry(self) -> bool:
        """True for a place in a registry."""
        return is_registry(self.project)

    def with_defaults(self, *, project: str = "", entity: str = "") -> Self:
        """Return the path with what it does not say."""
        return replace(self, project=self.project or project, entity=self.entity or entity)


def resolved(remote: Remote, path: str) -> ArtifactPath:
    """Return the full path of what a user named; parts that are missing come from the settings.

    Raises:
        ValueError: too many parts, or no entity is known.
        CommError: the server cannot be asked.
    """
    settings = remote.settings
    given = ArtifactPath.parse(path)
    found = given.with_defaults(project=settings.project or DEFAULT_PROJECT)
    if found.is_registry:
        organization = given.entity or settings.organization or ""
        entity = organization_entity(remote, remote.default_entity, organization)
        return replace(found, entity=entity)
    found = found.with_defaults(entity=found.entity or remote.default_entity)
    if not found.entity:
        raise ValueError(f"artifact {path!r}: no entity is known: use entity/project/name:alias")
    return found


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization: the name for people, and that of the entity that owns its registries."""

    name: str
    entity: str


def organization_entity(remote: Remote, entity: str, wanted: str = "") -> str:
    """Return the entity that owns the registries of an organization.

    Args:
        remote: the server.
        entity: a member: user or team.
        wanted: name of the organization or of its entity; needed where a user has several.

    Raises:
        ValueError: there is none, there are several, or none is called so.
        CommError: the server cannot be asked.
    """
    return organization_of(remote, entity, wanted).entity


def organization_of(remote: Remote, entity: str, wanted: str = "") -> Organization:
    """Return an organization; see `organization_entity`."""
    if not entity:
        raise ValueError("registry: no entity is known, whose organization has it: set entity")
    found = part(remote.execute(ORGANIZATIONS_OF_ENTITY, {"entity": entity}), "entity")
    own, joined = part(found, "organization"), part(found, "user", "organizations") or ()
    known = list(dict.fromkeys(_organizations(own, *joined)))
    if not wanted and len(known) > 1 and not own:
        raise ValueError(
            f"registry: entity {entity!r} belongs to {len(known)} organizations: name one in the "
            f"path, <organization>/{REGISTRY_PREFIX}<registry>/<collection>"
        )
    fitting = [one for one in known if not wanted or wanted in (one.name, one.entity)]
    if not fitting:
        names = ", ".join(repr(one.name) for one in known) or "none"
        raise ValueError(
            f"registry: entity {entity!r} has no organization {wanted or ''!r}: it has {names}"
        )
    return fitting[0]


def _organizations(*nodes: Any) -> Iterator[Organization]:
    for node in nodes:
        if node and node.get("orgEntity"):
            yield Organization(node["name"], node["orgEntity"]["name"])
