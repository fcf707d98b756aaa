"""How bodies flow in: in blocks, each worked on in threads while the next one is read.

All bodies together hold a bounded number of bytes in memory, and occupy a bounded number of
worker threads.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import anyio

from trackd_server.domain import threads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator

#: Bytes of bodies in memory; how many copies of a block one body holds at its worst (pieces that
#: are joined to the next one, the one in work and what is cut of it); and the bounds of a block.
#: (More than 100 large bodies at once hold more than the sum.)
MEMORY_BYTES = 32 * 1024 * 1024
COPIES = 5
MIN_BLOCK_BYTES = 64 * 1024
MAX_BLOCK_BYTES = 2 * 1024 * 1024
#: Worker threads of all bodies.
WORKERS = 6

P = ParamSpec("P")
T = TypeVar("T")


class Flow:
    """All bodies that arrive at one server."""

    def __init__(self) -> None:
        self._limiter: anyio.CapacityLimiter | None = None
        self._active = 0

    @contextmanager
    def blocks(self, body: AsyncIterator[bytes]) -> Generator[Blocks]:
        """Take part in the flow with one body."""
        self._active += 1
        try:
            yield Blocks(self, body)
        finally:
            self._active -= 1

    @property
    def block_bytes(self) -> int:
        """Return how large a block may be now."""
        share = MEMORY_BYTES // (COPIES * max(1, self._active))
        return min(MAX_BLOCK_BYTES, max(MIN_BLOCK_BYTES, share))

    async def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call in one of the flow's threads; being cancelled waits for its end."""
        if self._limiter is None:  # made late: it wants a running event loop
            self._limiter = anyio.CapacityLimiter(WORKERS)
        return await threads.call(partial(function, *args, **kwargs), limiter=self._limiter)


class Blocks:
    """The blocks of one body."""

    def __init__(self, flow: Flow, body: AsyncIterator[bytes]) -> None:
        self._flow = flow
        self._body = body

    async def read(self) -> bytes:
        """Return the next block; empty at the end."""
        pieces: list[bytes] = []
        size, wanted = 0, self._flow.block_bytes
        async for piece in self._body:
            pieces.append(piece)
            size += len(piece)
            if size >= wanted:
                break
        return b"".join(pieces)

    async def pump(self, waiting: list[bytes], *workers: Callable[[bytes], None]) -> None:
        """Give every block, after those that were read, to all workers, in order.

        For one block they run beside each other, and beside the reading of the next one.
        """

        async def work(worker: Callable[[bytes], None], block: bytes) -> None:
            await self._flow.call(worker, block)

        while waiting:
            block = waiting.pop(0)
            try:
                async with anyio.create_task_group() as tasks:
                    for worker in workers:
                        tasks.start_soon(work, worker, block)
                    if not waiting and (following := await self.read()):
                        waiting.append(following)
            except ExceptionGroup as group:
                raise group.exceptions[0] from None
