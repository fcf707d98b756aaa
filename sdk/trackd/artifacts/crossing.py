"""References from one artifact to entries of another: `wandb-artifact://<hex id>/<path>`."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from trackd.artifacts.manifest import ARTIFACT_SCHEME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trackd.artifacts.artifact import Artifact
    from trackd.artifacts.manifest import ManifestEntry
    from trackd.remote.connection import Remote

#: Longest chain of references from artifact to artifact that is followed.
MAX_HOPS = 32


def parts_of(uri: str) -> tuple[str, str]:
    """Return the id of the version and the path of its entry that a reference names.

    Raises:
        ValueError: it is no such reference.
    """
    location = uri.removeprefix(ARTIFACT_SCHEME)
    version, _, path = location.partition("/")
    try:
        return base64.b64encode(binascii.unhexlify(version)).decode(), path
    except (binascii.Error, ValueError):
        raise ValueError(f"reference {uri!r}: {version!r} is not the id of an artifact") from None


def artifact_of(remote: Remote, artifact_id: str) -> Artifact:
    """Return the artifact of an id; asked for once as long as somebody holds it.

    Raises:
        ValueError: there is none.
        CommError: the server cannot be asked.
    """
    from trackd.artifacts.online import lookup  # which knows the class that uses this

    found = remote.seen.get(artifact_id)
    if found is None:
        found = lookup.by_id(remote, artifact_id)
        if found is None:
            raise ValueError(f"there is no artifact of id {artifact_id!r}: it may be deleted")
        remote.seen[artifact_id] = found
    return found


def entry_of_uri(remote: Remote, uri: str) -> ManifestEntry:
    """Return the entry to which a reference leads, through others if need be.

    Raises:
        ValueError: it leads to no entry, or in a circle.
        CommError: the server cannot be asked.
    """
    target = uri
    for _ in range(MAX_HOPS):
        artifact_id, path = parts_of(target)
        artifact = artifact_of(remote, artifact_id)
        entries = artifact.manifest
        entry = entries.get_entry_by_path(path) or entries.get_entry_by_path(unquote(path))
        if entry is None:
            raise ValueError(f"reference {uri!r}: artifact {artifact.name} has no {path!r}")
        entry.of(artifact)
        if entry.ref is None or urlsplit(entry.ref).scheme != urlsplit(ARTIFACT_SCHEME).scheme:
            return entry
        target = entry.ref
    raise ValueError(f"reference {uri!r} leads through more than {MAX_HOPS} artifacts")


def by_artifact(
    remote: Remote, entries: Iterable[ManifestEntry]
) -> Iterator[tuple[Artifact, list[tuple[ManifestEntry, str]]]]:
    """Yield the artifacts to which references lead, each with the references and their paths there.

    Raises:
        ValueError: a reference is none, or leads to no artifact.
        CommError: the server cannot be asked.
    """
    found: dict[str, list[tuple[ManifestEntry, str]]] = {}
    for entry in entries:
        artifact_id, path = parts_of(entry.ref or "")
        found.setdefault(artifact_id, []).append((entry, path))
    for artifact_id, pairs in found.items():
        yield artifact_of(remote, artifact_id), pairs
