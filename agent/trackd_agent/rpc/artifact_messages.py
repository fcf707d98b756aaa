"""Between protobuf and the room of artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trackd_agent.artifacts.downloads.addresses import Listing
from trackd_agent.artifacts.downloads.entries import Filter
from trackd_agent.artifacts.downloads.placing import Source
from trackd_agent.artifacts.downloads.progress import DownloadOptions, Version
from trackd_proto.v1 import artifact_pb2

if TYPE_CHECKING:
    from trackd_agent.artifacts.cache import CacheState, Cleaned
    from trackd_agent.artifacts.downloads.entries import Entry
    from trackd_agent.artifacts.downloads.manifest import Manifest
    from trackd_agent.artifacts.downloads.progress import Progress
    from trackd_agent.artifacts.saves.progress import SaveProgress
    from trackd_agent.upstream import Manner, Upstream

#: States in which a save has ended.
ENDED = (
    artifact_pb2.SAVE_STATE_COMMITTED,
    artifact_pb2.SAVE_STATE_FAILED,
    artifact_pb2.SAVE_STATE_CANCELLED,
)


def save_status(save: SaveProgress) -> artifact_pb2.SaveStatus:
    """Return the state of a save as a message."""
    return artifact_pb2.SaveStatus(
        client_id=save.client_id,
        name=save.name,
        type=save.type,
        state=artifact_pb2.SaveState.Value(f"SAVE_STATE_{save.state}"),
        files_done=save.files_done,
        files_total=save.files_total,
        bytes_done=save.bytes_done,
        bytes_total=save.bytes_total,
        bytes_sent=save.bytes_sent,
        artifact_id=save.artifact_id,
        error_code=save.error_code,
        error=save.error,
        is_unchanged=save.is_unchanged,
    )


def entry_filter(message: artifact_pb2.EntryFilter) -> Filter:
    """Return which entries are meant."""
    return Filter(message.path_prefix, frozenset(message.paths))


def download_options(
    request: artifact_pb2.DownloadRequest, upstream: Upstream, manner: Manner
) -> DownloadOptions:
    """Return what is to be downloaded."""
    listing = None
    if request.HasField("listing"):
        given = request.listing
        listing = Listing(given.entity, given.project, given.collection, given.version)
    return DownloadOptions(
        version=Version(upstream, manner, request.artifact_id, listing),
        root=request.root,
        root_device=request.root_device,
        root_inode=request.root_inode,
        filter=entry_filter(request.filter),
        skip_cache=request.skip_cache,
        multipart=request.multipart if request.HasField("multipart") else None,
    )


def manifest_header(manifest: Manifest) -> artifact_pb2.ManifestHeader:
    """Return what a manifest says beside its entries."""
    return artifact_pb2.ManifestHeader(
        storage_policy=manifest.storage_policy,
        storage_policy_config_json=msgspec.json.encode(manifest.storage_config),
    )


def manifest_entry(entry: Entry) -> artifact_pb2.ManifestEntry:
    """Return an entry as a message."""
    return artifact_pb2.ManifestEntry(
        path=entry.path,
        digest=entry.digest,
        ref=entry.ref,
        size=entry.size,
        birth_artifact_id=entry.birth_artifact_id,
        extra_json=entry.extra_json,
    )


def download_progress(progress: Progress, arriving_bytes: int = 0) -> artifact_pb2.DownloadResponse:
    """Return how a download goes, with the failures that were not told yet."""
    failures = [
        artifact_pb2.DownloadFailure(path=path, code=failure.code, message=failure.message)
        for path, failure in progress.take_failures()
    ]
    return artifact_pb2.DownloadResponse(
        files_done=progress.files_done,
        files_total=progress.files_total,
        bytes_done=progress.bytes_done + arriving_bytes,
        bytes_total=progress.bytes_total,
        failures=failures,
    )


def download_result(progress: Progress) -> artifact_pb2.DownloadResult:
    """Return how a download ended."""
    return artifact_pb2.DownloadResult(
        files_kept=progress.sources[Source.KEPT],
        files_from_cache=progress.sources[Source.CACHE],
        files_from_store=progress.sources[Source.STORE],
        files_fetched=progress.sources[Source.NETWORK],
        bytes_fetched=progress.bytes_fetched,
        files_failed=progress.files_failed,
        references=progress.references,
    )


def cache_state(state: CacheState) -> artifact_pb2.GetCacheResponse:
    """Return what the cache holds as a message."""
    return artifact_pb2.GetCacheResponse(
        path=str(state.path),
        files=state.files,
        bytes=state.bytes,
        temporary_files=state.temporary_files,
        temporary_bytes=state.temporary_bytes,
        max_bytes=state.max_bytes,
        not_kept=state.not_kept,
        kinds=[
            artifact_pb2.CacheKind(name=name, files=count, bytes=size)
            for name, (count, size) in sorted(state.kinds.items())
        ],
    )


def cleaned(done: Cleaned) -> artifact_pb2.CleanCacheResponse:
    """Return what a cleaning did as a message."""
    return artifact_pb2.CleanCacheResponse(
        files_removed=done.files_removed,
        bytes_removed=done.bytes_removed,
        bytes_left=done.bytes_left,
    )
