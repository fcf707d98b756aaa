"""How versions end: deleted by somebody, or because their time is over.

Each deletion is one transaction; what a large version leaves is cleared away in further short ones,
so that no writer waits long.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from trackd_server.domain.artifacts import (
    collection_removal,
    lifetimes,
    remains,
    removal,
    versions,
)
from trackd_server.domain.storage import NOTHING_FREED
from trackd_server.store import DatabaseBusy, DatabaseFull

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd_server.domain.storage import Freed, Storage
    from trackd_server.store import Database

log = logging.getLogger(__name__)

#: Versions that one transaction deletes: 0.1 s.
DELETED_AT_ONCE = 500
#: How long a call clears what it left; the rest is for the background.
CLEARED_BEFORE_RETURN_S = 2.0
#: Pause between them: whoever waits for the database goes first.
PAUSE_S = 0.002


class Endings:
    """Ends versions of one server. Calls block."""

    def __init__(self, database: Database, storage: Storage) -> None:
        self._database = database
        self._storage = storage

    def delete(self, version_ids: Sequence[int], *, delete_aliases: bool = False) -> None:
        """Delete versions, a few hundred in one transaction.

        Their bytes are free when this returns, up to the bounds of `clear` and `Storage.finish`;
        the rest goes in the background.

        Raises:
            NotFound: One of them is gone, or its time is over.
            Conflict: See `removal.remove`.
        """
        for at in range(0, len(version_ids), DELETED_AT_ONCE):
            some = version_ids[at : at + DELETED_AT_ONCE]
            with self._database.freeing() as connection:
                for version_id in some:
                    versions.require_living(connection, version_id)
                freed = removal.remove(connection, some, delete_aliases=delete_aliases)
                more, is_done = remains.clear(connection)
            self.finish(freed + more, is_done=is_done)

    def delete_logged(self, run_number: int) -> None:
        """Delete all versions that a run logged, with their aliases, as `delete` does.

        Drafts go before the older versions that they are made from.

        Raises:
            Conflict: See `removal.remove`.
        """
        is_left = True
        while is_left:
            with self._database.freeing() as connection:
                some = versions.logged_by(connection, run_number, DELETED_AT_ONCE)
                freed = removal.remove(connection, some, delete_aliases=True)
                more, is_done = remains.clear(connection)
            self.finish(freed + more, is_done=is_done)
            is_left = len(some) == DELETED_AT_ONCE

    def delete_sequence(self, collection_id: int) -> None:
        """Delete a sequence with all its versions, drafts too; the oldest go first.

        The last transaction deletes the sequence; if the server dies before it, what is left of
        the sequence can be deleted as before.
        """
        freed, is_gone = NOTHING_FREED, False
        while not is_gone:
            with self._database.freeing() as connection:
                more, is_gone = collection_removal.remove_some(
                    connection, collection_id, DELETED_AT_ONCE
                )
            freed += more
            time.sleep(PAUSE_S)
        self.clear(freed)

    def clear(self, freed: Freed = NOTHING_FREED) -> bool:
        """Clear what commits and deletions left, for some seconds; tell if that was all.

        `freed` is what the caller's transaction let go of: given back together with the rest.
        """
        is_done = False
        end_s = time.monotonic() + CLEARED_BEFORE_RETURN_S
        while time.monotonic() < end_s:
            with self._database.read() as connection:  # most often there is nothing to write
                is_done = remains.count(connection) == 0
            if is_done:
                break
            try:
                with self._database.freeing() as connection:
                    more, _ = remains.clear(connection)
            except (DatabaseBusy, DatabaseFull) as error:  # the deletion stands: later
                log.warning("remains_not_cleared", extra={"facts": {"error": str(error)}})
                break
            freed += more
            time.sleep(PAUSE_S)
        self._storage.finish(freed)
        return is_done

    def sweep(self, pending_s: float, now: float | None = None) -> int:
        """Delete versions whose time is over; return how many.

        Among them those that are pending, and nobody went on with for `pending_s` seconds.
        """
        swept = 0
        while True:
            moment = time.time() if now is None else now
            with self._database.read() as connection:  # most often there is nothing to write
                if not lifetimes.ended(connection, moment, pending_s, 1):
                    return swept
            with self._database.freeing() as connection:
                ids = lifetimes.ended(connection, moment, pending_s, DELETED_AT_ONCE)
                freed = removal.remove(connection, ids, delete_aliases=True)
                more, is_done = remains.clear(connection)
            self.finish(freed + more, is_done=is_done)
            swept += len(ids)

    def finish(self, freed: Freed, *, is_done: bool) -> None:
        """Give back what a transaction let go of; clear what it left, unless that is done."""
        if is_done:  # the usual case: one look at the database less
            self._storage.finish(freed)
        else:
            self.clear(freed)
