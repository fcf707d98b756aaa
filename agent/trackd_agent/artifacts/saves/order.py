"""What is to be saved: the record of an artifact, and where its files lie."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread
import msgspec

from trackd_agent.artifacts.contents import MD5, XXH128
from trackd_agent.artifacts.saves.failures import SaveFailed
from trackd_proto.entries import blocks_of, read_blocks
from trackd_proto.records import (  # noqa: TC001 - msgspec resolves them
    ArtifactEntry,
    ArtifactLogged,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

#: Value in an entry's `extra` of which its digest is no MD5.
ALGORITHM_KEY = "alg"
#: Of the list of entries whose digests were made again.
MD5_SUFFIX = ".md5"


class SaveOrder(msgspec.Struct, array_like=True, frozen=True):
    """One record on its way.

    Attributes:
        record: as the rank wrote it.
        run_dir: folder of the run; relative paths in the record begin there.
        keeps_files: leave the handed-over files where they are when the save has ended.
        was_resumed: an earlier process began it; nobody knows what happened to the files since.
    """

    record: ArtifactLogged
    run_dir: str
    keeps_files: bool = False
    was_resumed: bool = False

    def path_of(self, entry: ArtifactEntry) -> Path:
        """Return where the bytes of an entry lie."""
        return Path(self.run_dir, entry.local_path or "")  # an absolute path stays as it is

    def is_staged(self, entry: ArtifactEntry) -> bool:
        """Whether the file is a copy of ours, to which nobody else writes."""
        return not self.was_resumed and not Path(entry.local_path or "").is_absolute()

    def blocks(self) -> Iterator[list[ArtifactEntry]]:
        """Yield the entries a block at a time, sorted by path; reads files.

        Raises:
            SaveFailed: the file that holds them is gone or damaged.
        """
        record = self.record
        if not record.entries_file:
            yield from blocks_of(sorted(record.entries, key=lambda entry: entry.path))
            return
        path = Path(self.run_dir, record.entries_file)
        try:
            with path.open("rb") as file:
                yield from read_blocks(file)
        except (OSError, ValueError) as error:
            raise SaveFailed(
                "ENTRIES_UNREADABLE",
                f"artifact {record.name!r}: its list of entries {path} cannot be read: {error}; "
                "log the artifact again",
            ) from error


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(SaveOrder).decode


def encode_order(order: SaveOrder) -> bytes:
    """Return an order as it is kept."""
    return _encode(order)


def decode_order(data: bytes) -> SaveOrder:
    """Return an order that was kept.

    Raises:
        ValueError: it is damaged.
    """
    return _decode(data)


def key_of(order: SaveOrder) -> str:
    """Return what tells records apart, the same whenever a record is read again."""
    return hashlib.blake2b(_encode(order.record), digest_size=16).hexdigest()


def algorithm_of(entry: ArtifactEntry) -> str:
    """Return by which algorithm the digest of a file was made."""
    return XXH128 if entry.extra.get(ALGORITHM_KEY) == XXH128 else MD5


def is_file(entry: ArtifactEntry) -> bool:
    """Whether the entry's bytes lie on this machine and belong to the artifact."""
    return entry.ref is None and entry.local_path is not None and not entry.birth_artifact_id


async def blocks_of_order(order: SaveOrder) -> AsyncGenerator[list[ArtifactEntry]]:
    """Yield the entries of an order, a block at a time; whoever stops early closes this.

    Raises:
        SaveFailed: the file that holds them is gone or damaged.
    """
    if not order.record.entries_file:
        for block in order.blocks():
            yield block
        return
    blocks = order.blocks()
    try:
        while block := await anyio.to_thread.run_sync(next, blocks, None):
            yield block
    finally:
        close = getattr(blocks, "close", None)
        if close is not None:
            close()
