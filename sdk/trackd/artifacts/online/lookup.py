"""Artifacts that a server has, as objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd.artifacts.artifact import Artifact
from trackd.artifacts.errors import ArtifactNotFoundError
from trackd.artifacts.naming import ArtifactPath, is_registry, resolved
from trackd.artifacts.notices import warn
from trackd.artifacts.online.logged import logged_of
from trackd.remote.answers import part, understood
from trackd.remote.operations import ARTIFACT_BY_ID, ARTIFACT_TYPE, MEMBERSHIP_BY_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd.remote.connection import Remote

_LATEST = "latest"
#: Where models were linked before there were registries.
_OLD_REGISTRY = "model-registry"


def find(remote: Remote, name: str, type_: str | None = None) -> Artifact:
    """Return the artifact that a user named.

    Args:
        remote: the server.
        name: `[[entity/]project/]name[:alias]`; without an alias the latest version.
        type_: that it must have; None: any.

    Raises:
        ArtifactNotFoundError: there is none, it has another type, or the name cannot be one.
        CommError: the server cannot be asked.
    """
    try:
        artifact = by_name(remote, resolved(remote, name))
    except ArtifactNotFoundError:
        raise
    except ValueError as error:
        raise ArtifactNotFoundError(str(error)) from error
    if type_ is not None and artifact.type != type_:
        raise ArtifactNotFoundError(
            f"artifact {name!r} is of type {artifact.type!r}, not {type_!r}"
        )
    return artifact


def by_name(remote: Remote, path: ArtifactPath) -> Artifact:
    """Return the artifact at a full path.

    Raises:
        ArtifactNotFoundError: there is none.
        CommError: the server cannot be asked.
    """
    variables = {"entity": path.entity, "project": path.project, "name": path.name}
    answer = remote.execute(MEMBERSHIP_BY_NAME, variables)
    with understood(MEMBERSHIP_BY_NAME.name):
        project = part(answer, "project")
        if project is None:
            raise ArtifactNotFoundError(
                f"artifact {path}: entity {path.entity!r} has no project {path.project!r}, or you "
                "may not see it"
            )
        membership = project["artifactCollectionMembership"]
        if membership is None:
            raise ArtifactNotFoundError(
                f"artifact {path}: there is none in {path.entity}/{path.project}"
            )
        return from_membership(remote, membership, path)


def by_id(remote: Remote, artifact_id: str) -> Artifact | None:
    """Return the artifact of an id; None: there is none.

    Raises:
        CommError: the server cannot be asked.
    """
    answer = remote.execute(ARTIFACT_BY_ID, {"id": artifact_id})
    with understood(ARTIFACT_BY_ID.name):
        node = part(answer, "artifact")
        return None if node is None else from_node(remote, node)


def from_membership(
    remote: Remote, membership: Mapping[str, Any], path: ArtifactPath | None = None
) -> Artifact:
    """Return an artifact from an `ArtifactMembershipFragment`.

    Args:
        remote: the server.
        membership: the node.
        path: how it was asked for: an alias stays in the name. None: it is the version.

    Raises:
        ValueError: the server leaves out where it is.
    """
    collection, node = membership["artifactCollection"], membership["artifact"]
    project, entity = part(collection, "project", "name"), part(collection, "project", "entity")
    if not (project and entity and node):
        raise ValueError(f"artifact {path or '?'}: the server does not say where it is")
    if path is not None and path.project == _OLD_REGISTRY and is_registry(project):
        warn(
            f"{path.entity}/{_OLD_REGISTRY} has moved: use "
            f"'{project}/{collection['name']}' from now on"
        )
    place = ArtifactPath(collection["name"], project, entity["name"])
    shown = f"{place.name}:{path.alias}" if path is not None and path.alias else ""
    return Artifact.of_server(remote, logged_of(node, place, membership), shown)


def from_node(
    remote: Remote, node: Mapping[str, Any], path: ArtifactPath | None = None
) -> Artifact:
    """Return an artifact from an `ArtifactFragment`.

    Args:
        remote: the server.
        node: the node.
        path: where it was found; None: where it was logged.
    """
    return Artifact.of_server(remote, logged_of(node, path))


def type_of(remote: Remote, path: ArtifactPath, timeout_s: float) -> str | None:
    """Return the type of the artifacts of a collection; None: there is no such collection.

    Raises:
        CommError: the server cannot be asked.
    """
    name = path.name if path.alias else f"{path.name}:{_LATEST}"
    variables = {"entity": path.entity, "project": path.project, "name": name}
    answer = remote.execute(ARTIFACT_TYPE, variables, timeout_s)
    return part(answer, "project", "artifact", "artifactType", "name")
