"""Reads the entries of an artifact from the server, through the agent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trackd.artifacts.errors import KINDS
from trackd.artifacts.manifest import ManifestEntry
from trackd.errors import CommError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackd.artifacts.manifest import Manifest
    from trackd.remote.connection import Remote
    from trackd_proto.v1 import artifact_pb2


def fill(manifest: Manifest, remote: Remote, artifact_id: str) -> Manifest:
    """Fill an empty manifest with the entries of a version; return it.

    Raises:
        CommError: the server does not answer.
        ArtifactNotFoundError: it has no such version (any more).
    """
    manifest.fill(_entries(manifest, remote, artifact_id))
    return manifest


def _entries(manifest: Manifest, remote: Remote, artifact_id: str) -> Iterator[ManifestEntry]:
    link, server = remote.link, remote.server_ref()
    from trackd.sending.agent_link import AgentCallError
    from trackd_proto.v1 import artifact_pb2

    request = artifact_pb2.FetchManifestRequest(server=server, artifact_id=artifact_id)
    try:
        for part in link.fetch_manifest(request):
            if part.HasField("header"):
                manifest.storage_policy.region = _region_of(part.header)
            yield from map(entry_of, part.entries)
    except AgentCallError as error:
        raise KINDS.get(error.code, CommError)(error.message) from error


def entry_of(sent: artifact_pb2.ManifestEntry) -> ManifestEntry:
    """Return an entry from the agent's message."""
    extra: dict[str, Any] = json.loads(sent.extra_json) if sent.extra_json else {}
    return ManifestEntry(
        sent.path,
        sent.digest,
        sent.size if sent.HasField("size") else None,
        ref=sent.ref or None,
        extra=extra,
        birth_artifact_id=sent.birth_artifact_id or None,
    )


def _region_of(header: artifact_pb2.ManifestHeader) -> str:
    config: dict[str, Any] = json.loads(header.storage_policy_config_json or b"{}")
    return config.get("storageRegion") or ""
