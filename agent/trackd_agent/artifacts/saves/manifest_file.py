"""The manifest as the server gets it, written piece by piece.

Compact JSON with sorted paths. Of each entry it has `digest`, `ref`, `size`, `birthArtifactID` and
`extra`, and nothing about this machine.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import tempfile
from typing import IO, TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import msgspec

from trackd_agent.artifacts.saves.failures import SaveFailed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path
    from types import TracebackType

    from trackd_proto.records import ArtifactEntry

#: Up to here it stays in memory.
_IN_MEMORY_BYTES = 4 * 1024 * 1024
_PIECE_BYTES = 1024 * 1024


class _Entry(msgspec.Struct, omit_defaults=True, rename={"birth_id": "birthArtifactID"}):
    digest: str
    ref: str | None = None
    size: int | None = None
    birth_id: str | None = None
    extra: dict[str, Any] | None = None


_encode = msgspec.json.Encoder().encode


class ManifestFile:
    """Async context manager around one manifest while it is made and sent.

    Args:
        folder: where a large one lies meanwhile.
        storage_region: where the server is to keep the files; empty: where it likes.
    """

    def __init__(self, folder: Path, storage_region: str) -> None:
        self.size_bytes = 0
        self._folder = folder
        self._storage_region = storage_region
        self._digest = hashlib.md5(usedforsecurity=False)
        self._file: IO[bytes] | None = None
        self._has_entries = False

    @property
    def md5(self) -> str:
        """Digest of what was written, in base64."""
        return base64.b64encode(self._digest.digest()).decode()

    async def __aenter__(self) -> ManifestFile:
        await anyio.to_thread.run_sync(self._begin)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._file.close)

    async def add(self, entries: list[ArtifactEntry], births: Mapping[str, str]) -> None:
        """Append entries; they come in the order of their paths.

        Args:
            entries: of the manifest.
            births: ids of the versions that first had the bytes, by path, where they are known.

        Raises:
            SaveFailed: the disk is full.
        """
        await anyio.to_thread.run_sync(self._add, entries, births)

    async def finish(self) -> None:
        """Write what ends a manifest."""
        await anyio.to_thread.run_sync(self._write, b"}}")

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Yield the whole manifest."""
        file = self._file
        assert file is not None
        await anyio.to_thread.run_sync(file.seek, 0)
        while piece := await anyio.to_thread.run_sync(file.read, _PIECE_BYTES):
            yield piece

    # -- in threads ------------------------------------------------------------------------

    def _begin(self) -> None:
        with contextlib.suppress(OSError):  # small ones never lie there
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed by __aexit__
            _IN_MEMORY_BYTES, dir=str(self._folder)
        )
        config = {"storageLayout": "V2"}
        if self._storage_region:
            config["storageRegion"] = self._storage_region
        head = {
            "version": 1,
            "storagePolicy": "wandb-storage-policy-v1",
            "storagePolicyConfig": config,
        }
        self._write(_encode(head)[:-1] + b',"contents":{')

    def _add(self, entries: list[ArtifactEntry], births: Mapping[str, str]) -> None:
        lines = [
            _encode(entry.path)
            + b":"
            + _encode(
                _Entry(
                    entry.digest,
                    entry.ref,
                    entry.size or 0,  # as the reference writes what a store did not tell
                    entry.birth_artifact_id or births.get(entry.path),
                    entry.extra or None,
                )
            )
            for entry in entries
        ]
        if lines:
            self._write((b"," if self._has_entries else b"") + b",".join(lines))
            self._has_entries = True

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        try:
            self._file.write(data)
        except OSError as error:
            raise SaveFailed(
                "DISK_FULL" if error.errno == errno.ENOSPC else "MANIFEST_UNWRITABLE",
                f"the manifest cannot be put together in {self._folder}: {error.strerror}; make "
                "room there and log the artifact again",
            ) from error
        self._digest.update(data)
        self.size_bytes += len(data)
