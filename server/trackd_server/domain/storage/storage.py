"""The storage of one server: what others call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd_server.domain.storage.adopting import Adoption
from trackd_server.domain.storage.compressing import Compressor
from trackd_server.domain.storage.flow import Flow
from trackd_server.domain.storage.indexing import Indexer
from trackd_server.domain.storage.packing import PackIntake
from trackd_server.domain.storage.reading import Reader
from trackd_server.domain.storage.receive import Expected, Keep, Received, Receiver, Tools
from trackd_server.domain.storage.verifying import Verifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from trackd_server.blobs import BlobFolder, Stored
    from trackd_server.domain.storage.chunk_rows import Freed
    from trackd_server.store import Database


class Storage:
    """Contents in, contents out, and space given back."""

    def __init__(self, database: Database, blobs: BlobFolder) -> None:
        self.database = database
        self.blobs = blobs
        tools = Tools.of(database, blobs)
        self.doomed = tools.doomed
        self.reclaimer = tools.reclaimer
        flow = Flow()
        self._receiver = Receiver(tools, flow)
        self.verifier = Verifier(database, blobs)
        self._reader = Reader(database, blobs, self.verifier.mark_unreadable)
        self.packs = PackIntake(tools, flow, self.verifier)
        self.indexer = Indexer(tools)
        self.adoption = Adoption(tools, self.indexer)
        self.compressor = Compressor(tools)

    def recover(self) -> int:
        """Clear away what a killed server left; return the files deleted. Only at the start."""
        swept = self.doomed.sweep()
        self.adoption.inbox.clear()
        self.reclaimer.recover()
        self.indexer.recover()
        return swept

    async def receive(
        self, body: AsyncIterator[bytes], expected: Expected | None, keep: Keep
    ) -> Received:
        """Store a whole file: see `Receiver.receive`."""
        return await self._receiver.receive(body, expected, keep)

    async def write(self, key: str, body: AsyncIterator[bytes]) -> Stored:
        """Store a file as a blob of its own: see `Receiver.write`."""
        return await self._receiver.write(key, body)

    async def join(
        self, parts: Sequence[tuple[int, int]], expected: Expected | None, keep: Keep
    ) -> Received:
        """Store the file that contents make one after another: pairs of id and length."""

        async def pieces() -> AsyncIterator[bytes]:
            for content_id, length in parts:
                async for piece in self.stream(content_id, 0, length):
                    yield piece

        return await self.receive(pieces(), expected, keep)

    def stream(self, content_id: int, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes `start` to `end` (exclusive) of a content."""
        return self._reader.stream(content_id, start, end)

    def read(self, content_id: int, start: int, end: int) -> bytes:
        """Return a small range of a content; blocks."""
        return self._reader.read(content_id, start, end)

    def finish(self, freed: Freed) -> None:
        """Give back what a transaction let go of, once it is committed. Blocks."""
        self.reclaimer.finish(freed)
