"""Taking in files that become a blob of their own, as they are: the files of runs."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from trackd_server.blobs import Stored
from trackd_server.domain import threads
from trackd_server.domain.storage.pack_writer import write_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trackd_server.blobs import BlobFolder
    from trackd_server.domain.storage.flow import Flow


class _Blob:
    """One blob that is being written; blocks, for one worker thread at a time."""

    def __init__(self, blobs: BlobFolder, key: str) -> None:
        self._blobs = blobs
        self._key = key
        self._descriptor = -1
        self._digest = hashlib.md5(usedforsecurity=False)
        self._bytes = 0

    def hash(self, block: bytes) -> None:
        self._digest.update(block)

    def write(self, block: bytes) -> None:
        if self._descriptor < 0:
            self._descriptor = self._blobs.create(self._key)
        write_all(self._descriptor, [memoryview(block)])
        self._bytes += len(block)

    def end(self) -> Stored:
        self.close()
        return Stored(self._key, self._bytes, self._digest.hexdigest())

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def whole(self, data: bytes) -> Stored:
        try:
            self.hash(data)
            self.write(data)
        finally:
            self.close()
        return self.end()


async def write(flow: Flow, blobs: BlobFolder, key: str, body: AsyncIterator[bytes]) -> Stored:
    """Store a body under a key of `Doomed`; when this ends, however it does, no thread writes.

    Raises:
        OSError: There is no room, or the disk fails; the caller deletes what is there.
    """
    with flow.blocks(body) as blocks:
        blob = _Blob(blobs, key)
        first = await blocks.read()
        second = await blocks.read() if first else b""
        if not second:
            return await flow.call(blob.whole, first)
        try:
            await blocks.pump([first, second], blob.hash, blob.write)
            return await flow.call(blob.end)
        finally:
            await threads.clean_up(blob.close)
