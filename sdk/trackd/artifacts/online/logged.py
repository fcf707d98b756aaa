"""What a server says about a version of an artifact."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from trackd.artifacts.naming import ArtifactPath, is_version
from trackd.remote.answers import part, understood

if TYPE_CHECKING:
    from collections.abc import Mapping

_MD5 = "MANIFEST_MD5"


@dataclass(frozen=True, slots=True)
class Logged:
    """A version as a server answered.

    Attributes:
        id: of the version.
        place: where it was found: entity, project, `collection:version`. Of a link: the link's.
        source: where it was logged.
        type: kind of artifact.
        description: free text.
        metadata: JSON text of a dictionary.
        aliases: in the collection of `place`, without the version.
        tags: of the version.
        ttl_seconds: lifetime; 0 or less: no end.
        state: `PENDING`, `COMMITTED`, `DELETED`, …
        size: bytes of all entries, references included.
        digest: over paths and digests.
        digest_algorithm: `MANIFEST_MD5` or `MANIFEST_XXH128`.
        commit_hash: of the commit.
        file_count: entries, references included.
        created_at: ISO 8601.
        updated_at: ISO 8601; empty: never.
        linked_at: when the link was made; None where `place` is no link, or nobody said.
        history_step: rows of the run at the time, as stored.
        is_link: `place` is not `source`.
    """

    id: str
    place: ArtifactPath
    source: ArtifactPath
    type: str
    description: str | None
    metadata: str | None
    aliases: tuple[str, ...]
    tags: tuple[str, ...]
    ttl_seconds: int
    state: str
    size: int
    digest: str
    digest_algorithm: str
    commit_hash: str | None
    file_count: int
    created_at: str
    updated_at: str
    linked_at: str | None
    history_step: int | None
    is_link: bool

    @property
    def version(self) -> str:
        """Version in the collection of `place`, such as `v3`."""
        return self.place.alias

    def linked(
        self, place: ArtifactPath, aliases: tuple[str, ...], linked_at: str | None
    ) -> Logged:
        """Return the same version as a link to it shows it."""
        return replace(self, place=place, aliases=aliases, linked_at=linked_at, is_link=True)


def logged_of(
    node: Mapping[str, Any],
    place: ArtifactPath | None = None,
    membership: Mapping[str, Any] | None = None,
    *,
    is_source: bool = False,
) -> Logged:
    """Return a version from the node of an answer.

    Args:
        node: `ArtifactFragment`.
        place: where it was asked for, with an alias or without; None: where it was logged.
        membership: its `ArtifactMembershipFragment` there.
        is_source: whatever `place` says, it is no link.

    Raises:
        ValueError: the server names two versions for it.
        CommError: the node is not what was asked for.
    """
    with understood("ArtifactFragment"):
        return _read(node, place, membership, is_source=is_source)


def _read(
    node: Mapping[str, Any],
    place: ArtifactPath | None,
    membership: Mapping[str, Any] | None,
    *,
    is_source: bool,
) -> Logged:
    source = _source_of(node)
    place = place or source
    version, aliases = _version_and_aliases(node, place, source, membership)
    place = replace(place, name=f"{place.collection}:{version}")
    is_link = not is_source and (
        (place.entity, place.project, place.collection)
        != (source.entity, source.project, source.collection)
    )
    return Logged(
        id=node["id"],
        place=place,
        source=source,
        type=node["artifactType"]["name"],
        description=node["description"],
        metadata=node["metadata"],
        aliases=aliases,
        tags=tuple(tag["name"] for tag in node["tags"]),
        ttl_seconds=node["ttlDurationSeconds"],
        state=node["state"],
        size=int(node["size"]),
        digest=node["digest"],
        digest_algorithm=str(node.get("digestAlgorithm") or _MD5),
        commit_hash=node["commitHash"],
        file_count=int(node["fileCount"]),
        created_at=node["createdAt"],
        updated_at=node["updatedAt"] or "",
        linked_at=membership["createdAt"] if membership is not None and is_link else None,
        history_step=node["historyStep"],
        is_link=is_link,
    )


def _source_of(node: Mapping[str, Any]) -> ArtifactPath:
    sequence = node["artifactSequence"]
    project = part(sequence, "project", "name") or ""  # null: not visible to this user
    entity = part(sequence, "project", "entity", "name") or ""
    return ArtifactPath(f"{sequence['name']}:v{node['versionIndex']}", project, entity)


def _version_and_aliases(
    node: Mapping[str, Any],
    place: ArtifactPath,
    source: ArtifactPath,
    membership: Mapping[str, Any] | None,
) -> tuple[str, tuple[str, ...]]:
    if membership is not None:
        names = [alias["alias"] for alias in membership["aliases"]]
    else:
        names = [one["alias"] for one in node.get("aliases") or () if _is_of(one, place)]
    versions = [name for name in names if is_version(name)]
    if len(versions) > 1:
        raise ValueError(f"artifact {place}: the server names {len(versions)} versions: {versions}")
    if versions:
        version = versions[0]
    elif membership is not None and membership["versionIndex"] is not None:
        version = f"v{membership['versionIndex']}"
    elif is_version(place.alias):  # in a list of a collection, which says it beside the node
        version = place.alias
    else:
        version = source.alias
    return version, tuple(name for name in names if not is_version(name))


def _is_of(alias: Mapping[str, Any], place: ArtifactPath) -> bool:
    """Tell whether an alias is one in a collection."""
    collection = alias.get("artifactCollection")
    return (
        part(collection, "project", "entity", "name") == place.entity
        and part(collection, "project", "name") == place.project
        and part(collection, "name") == place.collection
    )
