"""The record of a logged artifact, and what lies in the run folder for it.

`<run folder>/artifacts/<name>-<8 characters of the client id>[-N]/` holds links to the staged
files under their paths inside the artifact, so that an offline run can be moved with them. A
manifest that is too large for one record lies beside it, as `<the same>.entries`.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from trackd.artifacts.staging import hand_over
from trackd.logs import LOGGER
from trackd.recording.texts import clean_texts
from trackd.recording.values import config_record
from trackd_proto.records import ArtifactEntry, ArtifactLogged, encode

if TYPE_CHECKING:
    from trackd.artifacts.artifact import Artifact
    from trackd.artifacts.staging import Staging

_FOLDER = "artifacts"
#: Far below the limit for one frame (8 MiB).
_MAX_RECORD_BYTES = 1024 * 1024


def record_of(  # noqa: PLR0913 - what a version says beside its contents
    artifact: Artifact,
    staging: Staging,
    run_dir: Path,
    *,
    aliases: list[str],
    tags: list[str],
    finalize: bool,
    use_after_commit: bool,
) -> ArtifactLogged:
    """Return the record of an artifact; see `Artifact.to_record`."""
    folder = _free_folder(run_dir / _FOLDER, f"{artifact.name}-{artifact.client_id[:8]}")
    entries = _entries(artifact, staging, run_dir, folder)
    manifest = artifact.manifest
    record = ArtifactLogged(
        name=artifact.name,
        type=artifact.type,
        client_id=artifact.client_id,
        sequence_client_id=artifact.sequence_client_id,
        digest=artifact.digest,
        entries=entries,
        description=clean_texts(artifact.description),
        metadata=config_record(artifact.metadata),
        aliases=aliases,
        tags=tags,
        distributed_id=artifact.distributed_id,
        finalize=finalize,
        ttl_seconds=artifact.ttl_wire_seconds,
        incremental=artifact.incremental,
        use_after_commit=use_after_commit,
        digest_algorithm=manifest.digest_algorithm,
        storage_region=manifest.storage_region,
    )
    if len(encode(record)) <= _MAX_RECORD_BYTES:
        return record
    beside = folder.with_name(f"{folder.name}.entries")
    beside.parent.mkdir(parents=True, exist_ok=True)
    beside.write_bytes(msgspec.msgpack.encode(entries))
    name = beside.relative_to(run_dir).as_posix()
    return msgspec.structs.replace(record, entries=[], entries_file=name)


def _entries(
    artifact: Artifact, staging: Staging, run_dir: Path, folder: Path
) -> list[ArtifactEntry]:
    """Return the entries as recorded: files in the run folder by their path from there."""
    found = [artifact.manifest.entries[path] for path in sorted(artifact.manifest.entries)]
    try:
        handed = hand_over(found, staging, folder)
    except OSError as error:
        # The files stay where they are: better there than an exception in a training loop.
        LOGGER.warning("artifact %s stays in the staging folder: %s", artifact.name, error)
        staging.keep()
        handed = dict[str, Path]()
    return [
        ArtifactEntry(
            path=entry.path,
            digest=entry.digest,
            size=entry.size,
            ref=entry.ref,
            local_path=handed[entry.path].relative_to(run_dir).as_posix()
            if entry.path in handed
            else entry.local_path,
            extra=entry.extra,
            skip_cache=entry.skip_cache,
        )
        for entry in found
    ]


def _free_folder(root: Path, name: str) -> Path:
    """Return a folder that is not there yet: an artifact may be logged several times."""
    names = (f"{name}-{number}" if number else name for number in count())
    return next(
        folder
        for folder in (root / name for name in names)
        if not folder.exists() and not folder.with_name(f"{folder.name}.entries").exists()
    )
