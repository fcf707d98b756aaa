"""Links of artifacts: making them, finding them, and the runs and collections around."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trackd.artifacts import rules
from trackd.artifacts.naming import DEFAULT_PROJECT, ArtifactPath, organization_entity
from trackd.artifacts.notices import warn
from trackd.artifacts.online import lookup
from trackd.errors import CommError
from trackd.remote.answers import nodes, part, understood
from trackd.remote.operations import (
    CREATED_BY,
    LINK_ARTIFACT,
    LINK_ARTIFACT_PLAIN,
    LINKED_ARTIFACTS,
    USED_BY,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trackd.artifacts.artifact import Artifact
    from trackd.artifacts.online.logged import Logged
    from trackd.remote.connection import Remote

_TELLS_MEMBERSHIP = "ARTIFACT_MEMBERSHIP_IN_LINK_ARTIFACT_RESPONSE"
#: `__typename` of collections of links.
_PORTFOLIO = "ArtifactPortfolio"
#: As many links are shown.
_MAX_LINKS = 500


def link(
    remote: Remote, facts: Logged, target_path: str, aliases: Iterable[str] | None
) -> Artifact:
    """Link a version to a collection, which is made if need be; return the link.

    Raises:
        ValueError: a refused path or alias, or no organization for a registry.
        CommError: the server refuses, or does not answer.
    """
    if facts.is_link:
        warn("a link of a link leads to the source: it is linked directly")
    target = _target(remote, facts, target_path)
    given = {
        "artifactID": facts.id,
        "artifactPortfolioName": target.name,
        "entityName": target.entity,
        "projectName": target.project,
        "aliases": [
            {"artifactCollectionName": target.name, "alias": alias}
            for alias in rules.checked_alias_names(aliases)
        ],
    }
    tells = _TELLS_MEMBERSHIP in remote.features
    answer = remote.execute(LINK_ARTIFACT if tells else LINK_ARTIFACT_PLAIN, {"input": given})
    result: Mapping[str, Any] = part(answer, "result") or {}
    if membership := result.get("artifactMembership"):
        return lookup.from_membership(remote, membership, target)
    if result.get("versionIndex") is None:
        raise CommError(f"link(): the server does not tell the version of the link to {target}")
    return lookup.by_name(remote, replace(target, name=f"{target.name}:v{result['versionIndex']}"))


def _target(remote: Remote, facts: Logged, target_path: str) -> ArtifactPath:
    from trackd.session import session  # the session knows runs, which know artifacts

    settings = session().set_up()  # of the process, not of the run that logged it
    given = ArtifactPath.parse(target_path)
    target = given.with_defaults(project=settings.project or DEFAULT_PROJECT)
    source = facts.source.entity
    if target.is_registry:
        wanted = given.entity or settings.organization or ""
        return replace(target, entity=organization_entity(remote, source, wanted))
    return target.with_defaults(entity=source)


def links_of(artifact: Artifact, facts: Logged) -> list[Artifact]:
    """Return the links to a version, at most 500.

    Raises:
        ValueError: the server does not tell.
        CommError: the server does not answer.
    """
    remote = artifact.remote
    answer = remote.execute(LINKED_ARTIFACTS, {"artifactID": facts.id})
    if part(answer, "artifact", "artifactMemberships") is None:
        raise ValueError(
            f"linked_artifacts: the server does not tell where {facts.place} is linked"
        )
    found = nodes(answer, "artifact", "artifactMemberships")
    links = [node for node in found if part(node, "artifactCollection", "__typename") == _PORTFOLIO]
    with understood(LINKED_ARTIFACTS.name):
        return [artifact.as_link(_link_of(facts, node)) for node in links[:_MAX_LINKS]]


def _link_of(facts: Logged, node: Mapping[str, Any]) -> Logged:
    collection, version = node["artifactCollection"], f"v{node['versionIndex']}"
    entity = part(collection, "project", "entity", "name")
    project = part(collection, "project", "name")
    if not (entity and project):
        raise ValueError(f"linked_artifacts: the server hides where {facts.place} is linked")
    aliases = dict.fromkeys([*(alias["alias"] for alias in node["aliases"]), version])
    place = ArtifactPath(f"{collection['name']}:{version}", project, entity)
    return facts.linked(place, tuple(aliases), node["createdAt"])


def source_of(remote: Remote, facts: Logged) -> Artifact:
    """Return the artifact to which a link leads.

    Raises:
        ValueError: it cannot be had.
    """
    try:
        return lookup.by_name(remote, facts.source)
    except (ValueError, CommError) as error:
        raise ValueError(
            f"source_artifact: {facts.source} of link {facts.place}: {error}"
        ) from error


def creator_of(remote: Remote, artifact_id: str) -> Any:
    """Return the run that logged a version; None: no run, or nobody knows."""
    node = part(remote.execute(CREATED_BY, {"id": artifact_id}), "artifact", "createdBy")
    runs = _runs(remote, [node] if part(node, "__typename") == "Run" else [])
    return runs[0] if runs else None


def users_of(remote: Remote, artifact_id: str) -> list[Any]:
    """Return the runs that used a version or a link to it."""
    answer = remote.execute(USED_BY, {"id": artifact_id})
    return _runs(remote, nodes(answer, "artifact", "usedBy"))


def _runs(remote: Remote, found: Iterable[Mapping[str, Any]]) -> list[Any]:
    from trackd.api import Run  # which is built on artifacts

    with understood("RunFragment"):
        return [
            Run(remote, project["entity"]["name"], project["name"], node["name"])
            for node in found
            if (project := node.get("project"))
        ]
