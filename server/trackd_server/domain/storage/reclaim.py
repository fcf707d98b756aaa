"""Giving space back: deleting doomed blobs, and rewriting packs that hold dead bytes.

`finish` does it right after the transaction that let go of something, up to a bound; what is
beyond it is left to `work`, which the server runs in the background, and to the next start if the
server dies. Packs that disk or database refused to rewrite are tried again later. `progress` says
how much waits.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackd_server.domain.storage import contents
from trackd_server.domain.storage.chunk_rows import NOTHING_FREED
from trackd_server.domain.storage.moving import Mover
from trackd_server.store import DatabaseBusy, DatabaseFull

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackd_server.blobs import BlobFolder
    from trackd_server.domain.storage.chunk_rows import Freed
    from trackd_server.domain.storage.doomed import Doomed
    from trackd_server.store import Database

log = logging.getLogger(__name__)

#: What a call does itself before it returns: files deleted, and bytes copied out of packs.
FILES_BEFORE_RETURN = 1_000
COPIED_BEFORE_RETURN = 64 * 1024 * 1024
#: How long a call takes chunks from contents that are leaving.
TAKEN_APART_BEFORE_RETURN_S = 2.0
#: Pause between them: whoever waits for the database goes first.
PAUSE_S = 0.002
#: When packs that could not be rewritten are tried again.
RETRY_AFTER_S = 300.0


@dataclass(frozen=True)
class Progress:
    """What waits to be given back."""

    files: int
    packs: int


class Reclaimer:
    """Gives back what rows let go of. For any thread; one of them copies at a time."""

    def __init__(self, database: Database, blobs: BlobFolder, doomed: Doomed) -> None:
        self._database = database
        self._doomed = doomed
        self._mover = Mover(database, blobs, doomed)
        self._lock = threading.Lock()
        self._files: list[str] = []
        self._packs: set[int] = set()
        self._copying = threading.Lock()
        self._rows_freed = False
        self._leaving = False
        self._retry_s: float | None = None

    def finish(self, freed: Freed) -> None:
        """Give back what a committed transaction let go of.

        What the disk refuses now is left to `recover`: the transaction stands.
        """
        if freed.leaving:
            self._leaving = True
            more, refusal = self._take_apart()
            freed += more
            if refusal is not None:
                log.warning("contents_not_dropped", extra={"facts": {"error": str(refusal)}})
        self._give_back(freed)

    def _give_back(self, freed: Freed) -> None:
        with self._lock:
            self._rows_freed = True
            self._files += freed.keys[FILES_BEFORE_RETURN:]
            self._packs |= freed.wasteful
        self._doomed.delete(freed.keys[:FILES_BEFORE_RETURN])
        if freed.wasteful:
            self._rewrite_some(freed.wasteful, COPIED_BEFORE_RETURN)

    def recover(self) -> None:
        """Take up what a killed server left: call once at the start, before anything uploads."""
        with self._database.freeing() as connection:
            freed = contents.release(connection, dict.fromkeys(contents.arriving(connection), 1))
        self._doomed.delete(freed.keys)
        self._leaving = True
        self.find_waste()

    def find_waste(self) -> None:
        """Take up all packs that hold dead bytes, also those that could not be rewritten."""
        with self._database.read() as connection:
            query = "SELECT id FROM packs WHERE live_bytes < bytes"
            wasteful = {row.id for row in connection.exec_driver_sql(query)}
        with self._lock:
            self._packs |= wasteful

    def progress(self) -> Progress:
        """Return what waits."""
        with self._lock:
            return Progress(len(self._files), len(self._packs))

    def work(self) -> bool:
        """Do a part of what waits, for about a second; tell whether there is more.

        Raises:
            DatabaseBusy: Try again later.
            DatabaseFull: Try again later.
        """
        if self._leaving:
            freed, refusal = self._take_apart()
            self._give_back(freed)
            if refusal is not None:
                raise refusal
            return True
        if self._retry_s is not None and time.monotonic() >= self._retry_s:
            self._retry_s = None
            self.find_waste()
        with self._lock:
            keys, self._files = (
                self._files[:FILES_BEFORE_RETURN],
                self._files[FILES_BEFORE_RETURN:],
            )
            packs = set(self._packs)
        self._doomed.delete(keys)
        if packs:
            self._rewrite_some(packs, 4 * COPIED_BEFORE_RETURN)
        elif not keys and self._rows_freed:
            self._rows_freed = False
            self._doomed.tidy()
            self._database.reclaim()
        with self._lock:
            return bool(self._files or self._packs)

    def _take_apart(self) -> tuple[Freed, DatabaseBusy | DatabaseFull | None]:
        """Go on with contents that are leaving, for some seconds, or until that is refused."""
        freed, is_left = NOTHING_FREED, True
        end_s = time.monotonic() + TAKEN_APART_BEFORE_RETURN_S
        while is_left and time.monotonic() < end_s:
            self._leaving = False  # before looking: whoever sends one away from here on says so
            try:
                with self._database.freeing() as connection:
                    more, is_left = contents.take_apart(connection)
            except (DatabaseBusy, DatabaseFull) as error:
                return freed, error
            finally:
                if is_left:
                    self._leaving = True
            freed += more
            time.sleep(PAUSE_S)
        return freed, None

    def _rewrite_some(self, pack_ids: Iterable[int], budget: int) -> None:
        """Rewrite packs until so many bytes were copied."""
        with self._copying:
            for pack_id in sorted(pack_ids):
                if budget <= 0:
                    return
                try:
                    budget -= self._rewrite(pack_id, budget)
                except (OSError, DatabaseBusy, DatabaseFull) as error:
                    facts = {"pack": pack_id, "error": str(error)}
                    log.warning("pack_not_rewritten", extra={"facts": facts})
                    self._retry_s = time.monotonic() + RETRY_AFTER_S

    def _rewrite(self, pack_id: int, budget: int) -> int:
        """Copy what lives in a pack into a new one; return the bytes copied.

        They are copied as they are: so a deletion frees what was forecast.
        """
        with self._lock:  # before it is looked at: whoever makes waste in it from here on says so
            self._packs.discard(pack_id)
        pack = self._mover.look(pack_id)
        # A pack that is being cut is taken up again after its last cut.
        if pack is None or pack.live_bytes == pack.bytes or pack.is_uncut:
            return 0
        copied = sum(chunk.stored for chunk in pack.live)
        if pack.is_whole and copied > budget:
            self._add(pack_id)  # later, in the background
            return budget
        if not self._mover.move(pack):
            self._add(pack_id)
        return copied

    def _add(self, pack_id: int) -> None:
        with self._lock:
            self._packs.add(pack_id)
