"""What the server does on its own while it serves: one loop for each of its duties."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import anyio

from trackd_server.domain import threads
from trackd_server.store import DatabaseBusy, DatabaseFull

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd_server.domain.artifacts import Artifacts
    from trackd_server.domain.storage import Storage
    from trackd_server.store import Database

log = logging.getLogger(__name__)

#: How long after a deletion the rest of its space is given back, and after a failure tried again.
RECLAIM_EVERY_S = 1.0
#: How long a file that was taken over waits to be cut.
INDEX_EVERY_S = 0.5
#: How often is looked whether a pack has waited enough to be compressed.
COMPRESS_EVERY_S = 1.0
PAUSE_AFTER_FAILURE_S = 30.0
#: How long bytes of an expired version may stay; it is hidden at once.
EXPIRE_EVERY_S = 5.0
#: How often is looked whether the disk is tight and the reserve is there; it is a `statvfs`.
RESERVE_EVERY_S = 10.0


async def give_back(storage: Storage) -> None:
    """Give back what deletions left to do; for ever."""
    limiter = anyio.CapacityLimiter(1)
    while True:
        more = await attempted("reclaim", storage.reclaimer.work, limiter)
        if not more:
            await anyio.sleep(RECLAIM_EVERY_S)


async def index(storage: Storage) -> None:
    """Cut what was taken over whole; for ever."""
    limiter = anyio.CapacityLimiter(1)
    while True:
        if not await attempted("index", storage.indexer.work, limiter):
            await anyio.sleep(INDEX_EVERY_S)


async def compress(storage: Storage) -> None:
    """Make packs smaller, with half of a core at most; for ever."""
    limiter = anyio.CapacityLimiter(1)
    while True:
        begun_s = time.monotonic()
        more = await attempted("compress", storage.compressor.work, limiter)
        await anyio.sleep(time.monotonic() - begun_s if more else COMPRESS_EVERY_S)


async def expire(artifacts: Artifacts, pending_s: float) -> None:
    """Delete versions whose time is over, and drafts that nobody finished; for ever.

    What deletions left to be cleared away goes, too.
    """
    limiter = anyio.CapacityLimiter(1)

    def sweep() -> bool:
        artifacts.sweep(pending_s)
        return not artifacts.clear()

    while True:
        more = await attempted("expire", sweep, limiter)
        await anyio.sleep(RECLAIM_EVERY_S if more else EXPIRE_EVERY_S)


async def keep_reserve(database: Database) -> None:
    """Make the database's reserve on a tight disk, and again after it was given up; for ever."""
    limiter = anyio.CapacityLimiter(1)

    def refill() -> bool:
        database.reserve.refill()
        return False

    while True:
        await anyio.sleep(RESERVE_EVERY_S)
        await attempted("reserve", refill, limiter)


async def attempted(duty: str, work: Callable[[], bool], limiter: anyio.CapacityLimiter) -> bool:
    """Run one part of a duty in a thread; a disk or database that refuses is tried again later."""
    try:
        return await threads.call(work, limiter=limiter)
    except (OSError, DatabaseBusy, DatabaseFull) as error:
        log.warning("upkeep_failed", extra={"facts": {"duty": duty, "error": str(error)}})
    except Exception:  # a fault of ours: the duty goes on later, and the server meanwhile
        log.exception("upkeep_broken", extra={"facts": {"duty": duty}})
    await anyio.sleep(PAUSE_AFTER_FAILURE_S)
    return False
