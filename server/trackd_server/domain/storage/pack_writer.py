"""Writing one pack: chunks one after another into a new blob, in large writes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trackd_proto.chunk_encoding import RAW
from trackd_server.domain.storage.chunk_rows import Placed

if TYPE_CHECKING:
    from trackd_server.blobs import BlobFolder

#: Chunks handed to the kernel at once (its limit is 1,024).
WRITTEN_AT_ONCE = 512


class PackWriter:
    """A pack that is being written; blocks, for one worker thread at a time.

    The caller owns `key` and what becomes of the blob; leaving by `close` is needed in any case.
    """

    def __init__(self, blobs: BlobFolder, key: str) -> None:
        self.key = key
        self.placed: list[Placed] = []
        self.bytes = 0
        self._descriptor = blobs.create(key)
        self._waiting: list[memoryview] = []
        self._names: set[bytes] = set()

    def __contains__(self, name: bytes) -> bool:
        return name in self._names

    def add(self, name: bytes, data: memoryview) -> None:
        """Put a chunk behind the others; its bytes are held until `flush` or `close`."""
        self.put(name, data, len(data), RAW)

    def put(self, name: bytes, stored: memoryview, length: int, encoding: str) -> None:
        """Put a chunk of some length behind the others in any encoding; held as those of `add`."""
        self.placed.append(Placed(name, self.bytes, length, len(stored), encoding))
        self._names.add(name)
        self.bytes += len(stored)
        self._waiting.append(stored)

    def flush(self) -> None:
        """Hand the chunks' bytes to the kernel.

        Raises:
            OSError: There is no room, or the disk fails.
        """
        waiting, self._waiting = self._waiting, []
        for at in range(0, len(waiting), WRITTEN_AT_ONCE):
            write_all(self._descriptor, waiting[at : at + WRITTEN_AT_ONCE])

    def close(self) -> None:
        """Write what waits and close the file; may be called again."""
        if self._descriptor < 0:
            return
        try:
            self.flush()
        finally:
            os.close(self._descriptor)
            self._descriptor = -1

    def abandon(self) -> None:
        """Close the file and write no more; may be called again, also after `close`."""
        self._waiting = []
        self.close()


def write_all(descriptor: int, views: list[memoryview]) -> None:
    """Write at most `WRITTEN_AT_ONCE` pieces to a file; OSError if it does not take them all."""
    wanted = sum(len(view) for view in views)
    done = os.writev(descriptor, views)
    while done < wanted:  # a full disk takes part of it, then fails
        data = b"".join(views)
        done += os.write(descriptor, memoryview(data)[done:])
