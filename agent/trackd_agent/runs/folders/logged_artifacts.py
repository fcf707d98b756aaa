"""The artifacts of a run as its document lists them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from typing import TYPE_CHECKING, Any

from trackd_agent.runs.folders.saved_files import MAX_JSON_BYTES
from trackd_proto.entries import read_blocks

if TYPE_CHECKING:
    from pathlib import Path

    from trackd_proto.records import ArtifactEntry, ArtifactLogged


def describe(logged: ArtifactLogged, run_dir: Path | None) -> dict[str, Any]:
    """Return one logged artifact.

    Args:
        logged: its record.
        run_dir: folder of the run, where it can be read.
    """
    entries = sorted(entries_of(logged, run_dir), key=lambda entry: entry.path)
    return {
        "name": logged.name,
        "type": logged.type,
        "description": logged.description or None,
        "metadata": logged.metadata,
        "aliases": sorted(logged.aliases),
        "tags": sorted(logged.tags),
        "distributed_id": logged.distributed_id or None,
        "final": logged.finalize,
        "ttl_seconds": logged.ttl_seconds,
        "files": [_describe_entry(entry, run_dir) for entry in entries],
    }


def entries_of(logged: ArtifactLogged, run_dir: Path | None) -> list[ArtifactEntry]:
    """Return the entries of a record: its own, or those in the file beside it.

    A file that is gone or damaged has none.
    """
    if not logged.entries_file or run_dir is None:
        return logged.entries
    try:
        with (run_dir / logged.entries_file).open("rb") as file:
            return [entry for block in read_blocks(file) for entry in block]
    except (OSError, ValueError):
        return []


def _describe_entry(entry: ArtifactEntry, run_dir: Path | None) -> dict[str, Any]:
    size = entry.size or 0
    if entry.ref:
        return {"path": entry.path, "ref": entry.ref, "size": size}
    local = run_dir / entry.local_path if run_dir and entry.local_path else None
    md5 = _md5_of(local) if "alg" in entry.extra else _hex(entry.digest)
    shown: dict[str, Any] = {"path": entry.path, "size": size, "md5": md5}
    if local is not None and entry.path.endswith(".json") and size <= MAX_JSON_BYTES:
        with contextlib.suppress(OSError, ValueError):  # gone meanwhile, or no JSON after all
            if local.is_file() and local.stat().st_size <= MAX_JSON_BYTES:
                shown["json"] = json.loads(local.read_bytes())
    return shown


def _md5_of(path: Path | None) -> str | None:
    """Return the digest of a file whose entry has one of another kind."""
    try:
        if path is None or not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except (OSError, ValueError):
        return None


def _hex(digest: str) -> str | None:
    try:
        return base64.b64decode(digest, validate=True).hex()
    except ValueError:
        return None
