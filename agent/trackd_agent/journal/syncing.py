"""The sync policy: every journal that was written to reaches the disk once an interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import structlog

from trackd_agent.core.errors import JournalFull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trackd_agent.journal.journal import Journal

log = structlog.get_logger()


async def keep_synced(journals: Callable[[], Iterable[Journal]], interval_s: float) -> None:
    """Sync dirty journals every `interval_s` in a worker thread; runs until it is cancelled.

    What it is cancelled in is left to `sync_all`, which the owner calls last of all.
    """
    while True:
        await anyio.sleep(interval_s)
        await sync_all(journals())


async def sync_all(journals: Iterable[Journal]) -> bool:
    """Sync the journals that need it; return whether all of them reached the disk.

    A refusal is logged and stays marked in its journal: the next call tries again.
    """
    dirty = [journal for journal in journals if journal.is_dirty]
    return not dirty or await anyio.to_thread.run_sync(_sync, dirty)


def _sync(journals: list[Journal]) -> bool:
    all_synced = True
    for journal in journals:
        try:
            journal.sync()
        except JournalFull as error:
            all_synced = False
            log.warning("journal_sync_failed", folder=str(journal.folder), error=str(error))
    return all_synced
