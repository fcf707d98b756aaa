"""From disk to the event loop: blocks of entries, and work of many workers, in bounded pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

    from trackd_agent.artifacts.saves.order import SaveOrder
    from trackd_proto.records import ArtifactEntry

T = TypeVar("T")


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


async def work_through(
    items: Iterable[T], worker: Callable[[T], Awaitable[None]], parallel: int
) -> None:
    """Work on items, so many at a time; the first failure ends all of it and is raised."""
    failure: Exception | None = None
    left = iter(items)

    async def work(tasks: anyio.abc.TaskGroup) -> None:
        nonlocal failure
        for item in left:
            try:
                await worker(item)
            except Exception as error:  # noqa: BLE001 - raised below, without a group around it
                failure = failure or error
                tasks.cancel_scope.cancel()
                return

    async with anyio.create_task_group() as tasks:
        for _ in range(parallel):
            tasks.start_soon(work, tasks)
    if failure is not None:
        raise failure
