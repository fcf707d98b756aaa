"""Work on many items, a bounded number at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

T = TypeVar("T")


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
