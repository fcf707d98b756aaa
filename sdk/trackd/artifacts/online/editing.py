"""Changes of a version on a server: facts, aliases, tags, and its deletion."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trackd.artifacts import rules
from trackd.artifacts.notices import warn
from trackd.artifacts.online.logged import logged_of
from trackd.errors import CommError
from trackd.remote.answers import part
from trackd.remote.operations import (
    ADD_ALIASES,
    COLLECTION_ID,
    DELETE_ALIASES,
    DELETE_ARTIFACT,
    PROJECT_IS_READ_ONLY,
    UNLINK_ARTIFACT,
    UPDATE_ARTIFACT,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackd.artifacts.artifact import Artifact
    from trackd.artifacts.online.logged import Logged
    from trackd.remote.connection import Remote
    from trackd.remote.operations import Operation


def changed(artifact: Artifact, before: Logged) -> Logged:
    """Send what was changed of an artifact; return what the server says then.

    Args:
        artifact: with the new facts.
        before: what the server said last.

    Raises:
        CommError: the server refuses a change, or does not answer.
        ValueError: a refused tag, or metadata that was changed into something refused.
    """
    remote, aliases = artifact.remote, tuple(dict.fromkeys(artifact.aliases))
    _change_aliases(remote, before, ADD_ALIASES, "add", set(aliases) - set(before.aliases))
    _change_aliases(remote, before, DELETE_ALIASES, "delete", set(before.aliases) - set(aliases))
    if before.is_link and not _may_write(remote, before):
        warn("only the aliases are changed: you may not write to the source of this link")
        return before.linked(before.place, aliases, before.linked_at)
    answer = remote.execute(UPDATE_ARTIFACT, {"input": _input(artifact, before)})
    node = part(answer, "result", "artifact")
    if node is None:
        raise CommError(f"save(): the server does not tell what became of {artifact.name}")
    found = logged_of(node, before.place)
    # An update tells nothing of links: what was known of this one stays.
    return found.linked(found.place, found.aliases, before.linked_at) if before.is_link else found


def _input(artifact: Artifact, before: Logged) -> dict[str, Any]:
    tags = rules.checked_tags(artifact.tags)
    metadata = rules.checked_metadata(artifact.metadata)
    return {
        "artifactID": artifact.id,
        "description": artifact.description,
        "metadata": json.dumps(metadata),
        "ttlDurationSeconds": artifact.ttl_wire_seconds,
        "tagsToAdd": [{"tagName": tag} for tag in tags if tag not in before.tags],
        "tagsToDelete": [{"tagName": tag} for tag in before.tags if tag not in tags],
        "aliases": None,
    }


def _change_aliases(
    remote: Remote, before: Logged, operation: Operation, verb: str, names: Iterable[str]
) -> None:
    place = before.place
    wanted = [
        {
            "entityName": place.entity,
            "projectName": place.project,
            "artifactCollectionName": place.collection,
            "alias": name,
        }
        for name in sorted(names)
    ]
    if not wanted:
        return
    try:
        remote.execute(operation, {"input": {"artifactID": before.id, "aliases": wanted}})
    except CommError as error:
        listed = ", ".join(sorted(names))
        raise CommError(f"cannot {verb} aliases ({listed}) of {place}: {error}") from error


def _may_write(remote: Remote, facts: Logged) -> bool:
    source = facts.source
    if not (source.entity and source.project):
        return False  # not even visible
    place = {"entity": source.entity, "project": source.project}
    return part(remote.execute(PROJECT_IS_READ_ONLY, place), "project", "readOnly") is False


def delete(remote: Remote, facts: Logged, *, delete_aliases: bool) -> None:
    """Delete a version at the server.

    Raises:
        CommError: it has aliases and they may not go, the server refuses, or does not answer.
    """
    given = {"artifactID": facts.id, "deleteAliases": delete_aliases}
    remote.execute(DELETE_ARTIFACT, {"input": given})


def unlink(remote: Remote, facts: Logged) -> None:
    """Delete a link.

    Raises:
        CommError: the server refuses, or does not answer.
        ValueError: the collection of the link does not exist any more.
    """
    place = facts.place
    named = {"entity": place.entity, "project": place.project, "name": place.collection}
    answer = remote.execute(COLLECTION_ID, {**named, "type": facts.type})
    collection = part(answer, "project", "artifactType", "artifactCollection", "id")
    if collection is None:
        raise ValueError(f"unlink(): there is no collection {place.collection!r} any more")
    given = {"artifactID": facts.id, "artifactPortfolioID": collection}
    try:
        remote.execute(UNLINK_ARTIFACT, {"input": given})
    except CommError as error:
        raise CommError(f"cannot unlink {place}: {error}") from error
