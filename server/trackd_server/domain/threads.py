"""Blocking calls in worker threads: whoever is cancelled waits for the end of its call.

So what it does then (deleting a file that it wrote, closing one that it read) never runs beside a
thread that is still at it. `anyio.to_thread.run_sync` alone waits only if a scope of anyio is
cancelled, not if the task is, as at the end of the server.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: How often somebody who is cancelled looks whether the call has ended.
LOOK_EVERY_S = 0.005


async def call(
    function: Callable[..., T], /, *args: object, limiter: anyio.CapacityLimiter | None = None
) -> T:
    """Run a blocking call in a worker thread, as `anyio.to_thread.run_sync` does."""
    work = _Work(function, args)
    try:
        return await anyio.to_thread.run_sync(work, limiter=limiter)
    except asyncio.CancelledError:
        await work.end()
        raise


async def clean_up(function: Callable[[], None], /) -> None:
    """Run a blocking call that must not be left out: who is cancelled runs it to its end, too."""
    cancelled: asyncio.CancelledError | None = None
    while True:
        work = _Work(function, ())
        try:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(work)
        except asyncio.CancelledError as error:
            await work.end()
            cancelled = error
        if work.has_begun:
            break
    if cancelled is None:
        return
    if work.error is not None:
        raise work.error
    raise cancelled


class _Work(Generic[T]):
    """One call: it has not begun, goes on, or has ended."""

    __slots__ = ("_args", "_function", "_going", "_lock", "_unwanted", "error", "has_begun")

    def __init__(self, function: Callable[..., T], args: tuple[object, ...]) -> None:
        self._function = function
        self._args = args
        self._lock = threading.Lock()
        self._going = False
        self._unwanted = False
        self.has_begun = False
        self.error: BaseException | None = None

    def __call__(self) -> T:
        with self._lock:
            if self._unwanted:
                raise RuntimeError("Whoever wanted this call was cancelled.")
            self._going = self.has_begun = True
        try:
            return self._function(*self._args)
        except BaseException as error:
            self.error = error
            raise
        finally:
            self._going = False

    async def end(self) -> None:
        """Keep the call from beginning, or wait for its end, whatever is cancelled meanwhile."""
        with self._lock:
            self._unwanted = True
        with anyio.CancelScope(shield=True):
            while self._going:
                try:
                    await asyncio.sleep(LOOK_EVERY_S)
                except asyncio.CancelledError:
                    continue
