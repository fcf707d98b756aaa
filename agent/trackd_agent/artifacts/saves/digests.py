"""XXH128 digests where the server does not take them: everything is digested again with MD5."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import msgspec

from trackd_agent.artifacts.contents import MD5, XXH128
from trackd_agent.artifacts.saves.order import (
    ALGORITHM_KEY,
    MD5_SUFFIX,
    algorithm_of,
    is_file,
)
from trackd_agent.artifacts.saves.reading import digest_in_md5
from trackd_proto.entries import write_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackd_agent.artifacts.saves.calls import ArtifactCalls
    from trackd_agent.artifacts.saves.order import SaveOrder
    from trackd_agent.artifacts.saves.saves import Saves
    from trackd_proto.records import ArtifactEntry

_MANIFEST_HEADER = b"wandb-artifact-manifest-v1\n"


async def in_accepted_algorithm(order: SaveOrder, calls: ArtifactCalls, saves: Saves) -> SaveOrder:
    """Return an order whose digests the server takes.

    Raises:
        SaveFailed: a file cannot be read any more.
    """
    record = order.record
    if record.digest_algorithm != XXH128:
        return order
    if await calls.takes_xxh128() and await calls.collection_algorithm(record) == XXH128:
        return order
    return await anyio.to_thread.run_sync(_in_md5, order, limiter=saves.threads)


def _in_md5(order: SaveOrder) -> SaveOrder:
    record = order.record
    digest = hashlib.md5(_MANIFEST_HEADER, usedforsecurity=False)

    def entries() -> Iterator[ArtifactEntry]:
        for block in order.blocks():
            for entry in block:
                changed = _entry_in_md5(order, entry)
                digest.update(f"{changed.path}:{changed.digest}\n".encode())
                yield changed

    changes: dict[str, Any]
    if record.entries_file:
        name = record.entries_file + MD5_SUFFIX
        _write(Path(order.run_dir, name), entries())
        changes = {"entries_file": name}
    else:
        changes = {"entries": list(entries())}
    changes |= {"digest": digest.hexdigest(), "digest_algorithm": MD5}
    changed = msgspec.structs.replace(record, **changes)
    return msgspec.structs.replace(order, record=changed)


def _entry_in_md5(order: SaveOrder, entry: ArtifactEntry) -> ArtifactEntry:
    if not is_file(entry) or algorithm_of(entry) == MD5:
        return entry
    digest = digest_in_md5(order, entry)
    extra = {key: value for key, value in entry.extra.items() if key != ALGORITHM_KEY}
    return msgspec.structs.replace(entry, digest=digest, extra=extra)


def _write(path: Path, entries: Iterator[ArtifactEntry]) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            write_blocks(file, entries)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    Path(file.name).replace(path)
