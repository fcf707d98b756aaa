"""Records of artifacts as the SDK writes them, with the files that it hands over."""

from __future__ import annotations

import base64
import hashlib
import itertools
from typing import TYPE_CHECKING, Any

import msgspec
import xxhash

from trackd_proto.entries import write_blocks
from trackd_proto.records import ArtifactEntry, ArtifactLogged

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trackd_agent.artifacts.saves import SaveProgress
    from trackd_agent.runs.registry import RunRegistry

_NUMBERS = itertools.count()


def md5_of(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def xxh128_of(data: bytes) -> str:
    return base64.b64encode(xxhash.xxh3_128(data).digest()).decode()


def manifest_digest(entries: list[ArtifactEntry], algorithm: Any = hashlib.md5) -> str:
    digest = algorithm(b"wandb-artifact-manifest-v1\n")
    for entry in sorted(entries, key=lambda each: each.path):
        digest.update(f"{entry.path}:{entry.digest}\n".encode())
    return digest.hexdigest()


def logged(run_dir: Path, files: Mapping[str, bytes], name: str = "model", **more: Any) -> Any:
    """Write files as handed over and return their record."""
    number = next(_NUMBERS)
    label = f"{name}-{number:08d}"
    entries: list[ArtifactEntry] = []
    for path, data in files.items():
        place = run_dir / "artifacts" / label / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        local = f"artifacts/{label}/{path}"
        entries.append(ArtifactEntry(path, md5_of(data), len(data), local_path=local))
    return record(entries, name, number, **more)


def record(
    entries: list[ArtifactEntry], name: str = "model", number: int | None = None, **more: Any
) -> ArtifactLogged:
    """Return the record of an artifact with these entries."""
    number = next(_NUMBERS) if number is None else number
    facts: dict[str, Any] = {"aliases": ["latest"], "digest": manifest_digest(entries), **more}
    return ArtifactLogged(
        name=name,
        type="dataset",
        client_id=f"{number:0128d}",
        sequence_client_id=f"{number + 1:0128d}",
        entries=entries,
        **facts,
    )


def beside(record: ArtifactLogged, run_dir: Path) -> ArtifactLogged:
    """Return the record with its entries in a file beside it."""
    label = record.entries[0].local_path
    assert label is not None
    name = f"artifacts/{label.split('/')[1]}.entries"
    with (run_dir / name).open("wb") as file:
        write_blocks(file, sorted(record.entries, key=lambda each: each.path))
    return msgspec.structs.replace(record, entries=[], entries_file=name)


async def end_of(registry: RunRegistry, client_id: str) -> SaveProgress:
    """Wait for the end of a save."""
    last: SaveProgress | None = None
    async for progress in registry.saves.watch(client_id):
        last = progress
    assert last is not None
    return last
