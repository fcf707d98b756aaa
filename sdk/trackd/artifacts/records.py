"""The record of a logged artifact, and what lies in the run folder for it.

`<run folder>/artifacts/<name>-<8 characters of the client id>[-N]/` holds links to the staged
files under their paths inside the artifact, so that an offline run can be moved with them. A
manifest that is too large for one record lies beside it, as `<the same>.entries`.
"""

from __future__ import annotations

import os
import shutil
from itertools import count
from typing import TYPE_CHECKING

import msgspec

from trackd.artifacts.drafts.staging import hand_over
from trackd.logs import LOGGER
from trackd.recording.texts import clean_texts
from trackd.recording.values import config_record
from trackd_proto.entries import write_blocks
from trackd_proto.records import ArtifactEntry, ArtifactLogged, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from trackd.artifacts.artifact import Artifact
    from trackd.artifacts.drafts.staging import Staging
    from trackd.artifacts.manifest import ManifestEntry

_FOLDER = "artifacts"
#: Far below the limit for one frame (8 MiB).
_MAX_RECORD_BYTES = 1024 * 1024
#: More entries are not even tried.
_MAX_RECORD_ENTRIES = 10_000


def record_of(  # noqa: PLR0913 - what a version says beside its contents
    artifact: Artifact,
    staging: Staging,
    run_dir: Path,
    *,
    aliases: list[str],
    tags: list[str],
    finalize: bool,
    use_after_commit: bool,
    history_step: int | None,
) -> ArtifactLogged:
    """Return the record of an artifact; see `Artifact.to_record`."""
    label, handed = _hand_over(artifact, staging, run_dir / _FOLDER)
    manifest = artifact.manifest
    has_few = len(manifest) <= _MAX_RECORD_ENTRIES
    entries = list(_entries(artifact, handed, run_dir)) if has_few else []
    record = ArtifactLogged(
        name=artifact.name,
        type=artifact.type,
        client_id=artifact.client_id,
        sequence_client_id=artifact.sequence_client_id,
        digest=artifact.digest,
        entries=entries,
        description=clean_texts(artifact.description) or None,
        metadata=config_record(artifact.metadata),
        aliases=aliases,
        tags=tags,
        distributed_id=artifact.distributed_id,
        finalize=finalize,
        ttl_seconds=artifact.ttl_wire_seconds,
        incremental=artifact.incremental,
        use_after_commit=use_after_commit,
        digest_algorithm=manifest.algorithm,
        storage_region=manifest.storage_policy.region,
        base_id=artifact.base_id,
        history_step=history_step,
    )
    if has_few and len(encode(record)) <= _MAX_RECORD_BYTES:
        return record
    try:
        path = run_dir / _FOLDER / f"{label}.entries"
        _write(path, entries or _entries(artifact, handed, run_dir))
    except OSError:  # without a record nobody would ever use or remove what was handed over
        shutil.rmtree(run_dir / _FOLDER / label, ignore_errors=True)
        raise
    name = f"{_FOLDER}/{label}.entries"
    return msgspec.structs.replace(record, entries=[], entries_file=name)


def _write(path: Path, entries: Iterable[ArtifactEntry]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    try:
        with unfinished.open("wb") as file:
            write_blocks(file, entries)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _entries(
    artifact: Artifact, handed: Mapping[str, Path], run_dir: Path
) -> Iterator[ArtifactEntry]:
    for entry in _sorted(artifact):
        yield _entry(entry, handed.get(entry.path), run_dir)


def _sorted(artifact: Artifact) -> list[ManifestEntry]:
    entries = artifact.manifest.entries
    return [entries[path] for path in sorted(entries)]


def _entry(entry: ManifestEntry, handed: Path | None, run_dir: Path) -> ArtifactEntry:
    if handed is not None:
        local = handed.relative_to(run_dir).as_posix()
    else:  # a file of the user: the agent has another working folder
        local = entry.local_path and os.path.abspath(entry.local_path)  # noqa: PTH100 - no links
    return ArtifactEntry(
        path=str(entry.path),
        digest=entry.digest,
        size=entry.size,
        ref=entry.ref,
        local_path=local,
        extra=entry.extra,
        skip_cache=entry.skip_cache,
        birth_artifact_id=entry.birth_artifact_id,
    )


def _hand_over(artifact: Artifact, staging: Staging, root: Path) -> tuple[str, dict[str, Path]]:
    """Put staged files into a new folder; return its name, and the files by their entry's path."""
    label = f"{artifact.name}-{artifact.client_id[:8]}"
    try:
        folder = _new_folder(root, label)
        handed = hand_over(_sorted(artifact), staging, folder)
        if not handed:
            folder.rmdir()
    except OSError as error:
        # The files stay where they are: better there than an exception in a training loop.
        LOGGER.warning("artifact %s stays in the staging folder: %s", artifact.name, error)
        staging.keep()
        return label, {}
    return folder.name, handed


def _new_folder(root: Path, name: str) -> Path:
    """Make a folder that was not there: an artifact may be logged several times at once."""
    root.mkdir(parents=True, exist_ok=True)
    for number in count():
        folder = root / (f"{name}-{number}" if number else name)
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError("unreachable: count() does not end")
