"""Files on their way into a draft: shown while that takes long, and stopped by Ctrl-C."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

from trackd.artifacts.online.progress import Progress
from trackd.errors import Error

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

#: What ends sooner is not shown, in seconds.
_QUIET_S = 1.0


class Stopped(Exception):
    """The files are not wanted any more."""


class Intake:
    """The reading of some files, by any number of threads; use it as a context manager.

    Args:
        what: is added, for people.
        files_total: how many files.
        bytes_total: how large they are together; 0: nobody counted.
    """

    def __init__(self, what: str, files_total: int, bytes_total: int = 0) -> None:
        self._what = what
        self._total = files_total, bytes_total
        self._files = self._bytes = 0
        self._show_s = time.monotonic() + _QUIET_S
        self._progress: Progress | None = None
        self._is_stopped = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_stopped = error is not None
        if self._progress is not None:
            self._progress.__exit__(kind, error, trace)

    def stop(self) -> None:
        """Let the threads end at their next block."""
        self._is_stopped = True

    def take(self, count_bytes: int) -> None:
        """So many bytes were read.

        Raises:
            Stopped: that was enough.
        """
        if self._is_stopped:
            raise Stopped
        self._count(0, count_bytes)

    def end_file(self, unread_bytes: int = 0) -> None:
        """A file is done, of which so much need not be read; whoever has its copy keeps it."""
        self._count(1, unread_bytes)

    def _count(self, files: int, count_bytes: int) -> None:
        with self._lock:
            self._files += files
            self._bytes += count_bytes
            if time.monotonic() >= self._show_s:
                self._show()

    def _show(self) -> None:
        if self._progress is None:
            from trackd.session import session  # the session knows runs, which know artifacts

            try:
                settings = session().set_up()
            except (Error, ValueError, OSError):  # whoever starts a run is told what is wrong
                self._show_s = math.inf
                return
            self._progress = Progress(settings, f"adding {self._what}", quiet_s=0)
        (files, size), done = self._total, (self._files, self._bytes)
        self._progress.show((done[0], files), (done[1], size))
