"""Saves that the user gave up: kept on disk, so that no agent after this one makes them."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: The latest ones are kept; a save ends soon after it was given up, and leaves then.
_MAX_KEPT = 1000


class GivenUp:
    """Client ids of artifacts. Everything here blocks.

    Args:
        folder: with an empty file for each.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, client_id: str) -> None:
        """A save is given up.

        Raises:
            OSError: that cannot be kept.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path_of(client_id).touch()
        paths = list(self._folder.iterdir())
        if len(paths) > _MAX_KEPT:
            for path in sorted(paths, key=lambda each: each.stat().st_mtime)[:-_MAX_KEPT]:
                path.unlink(missing_ok=True)

    def has(self, client_id: str) -> bool:
        """Whether a save was given up, and has not ended."""
        return self._path_of(client_id).exists()

    def forget(self, client_id: str) -> None:
        """The save has ended: logged again, the artifact is saved."""
        with contextlib.suppress(OSError):
            self._path_of(client_id).unlink(missing_ok=True)

    def _path_of(self, client_id: str) -> Path:
        return self._folder / hashlib.sha256(client_id.encode()).hexdigest()[:40]
