"""A reserve on the disk: room that is given up when nothing else is left for a deletion or a start.

SQLite needs room to delete, too: it writes what changes to its log first. So a file of `BYTES` is
put beside the database when the disk gets tight. When the disk has less room than that, the first
deletion gives the file up (it stays, empty, so that the next start knows), and until there is room
again all other writing is refused: what was given up is for deletions alone.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

#: Twice what the log of the database has before it is folded.
BYTES = 32 * 1024 * 1024
#: Room that the disk must have for the file to be made: it shall not be given up at once.
ROOM_BYTES = 4 * BYTES
#: A disk that has less room is tight; one that has more needs no reserve yet.
TIGHT_BYTES = 10 * 1024**3


class Reserve:
    """The reserve of one database. For any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = str(path.parent)  # each deletion asks what room there is
        self._is_given_up = path.exists() and self.size_bytes() < BYTES

    def size_bytes(self) -> int:
        """Return what the reserve takes on the disk now."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    @property
    def is_needed(self) -> bool:
        """Tell whether all room that is left is for deletions."""
        return self._is_given_up and self._free_bytes() < BYTES

    def give_up(self) -> None:
        """Make room, if the disk has less than `BYTES` and the reserve is still there."""
        if self._is_given_up or self._free_bytes() >= BYTES:
            return
        try:
            os.truncate(self.path, 0)
        except FileNotFoundError:  # there never was room for it
            return
        self._is_given_up = True
        log.warning("reserve_given_up", extra={"facts": {"path": str(self.path), "bytes": BYTES}})

    def refill(self) -> None:
        """Take the room, if the disk is tight and has enough.

        Raises:
            OSError: There was not.
        """
        if self.size_bytes() != BYTES:
            if not ROOM_BYTES <= self._free_bytes() < TIGHT_BYTES:
                return
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, BYTES)
            except OSError:
                os.ftruncate(descriptor, 0)
                raise
            finally:
                os.close(descriptor)
        self._is_given_up = False

    def _free_bytes(self) -> int:
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize
