"""The last resort: a process whose event loop does not turn is worth less than a fresh one."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_LOOK_S = 1.0
#: The watchdog itself slept so much longer than it meant to: the whole process was stopped
#: (SIGSTOP, a suspended machine), which says nothing about the loop.
_OVERSLEPT_S = 5.0


class LoopWatchdog:
    """Aborts the process, with the stacks of all threads in the log, when the loop is stuck.

    Nothing acknowledged is lost by that: ranks and service managers start a new agent.
    """

    def __init__(self, patience_s: float = 30.0) -> None:
        self._patience_s = patience_s
        self._alive_s = time.monotonic()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loop-watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._alive_s = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def loop_turned(self) -> None:
        """The event loop is well; to be called from it at least every few seconds."""
        self._alive_s = time.monotonic()

    def _watch(self) -> None:
        looked_s = time.monotonic()
        while not self._done.wait(_LOOK_S):
            now_s = time.monotonic()
            if now_s - looked_s > _LOOK_S + _OVERSLEPT_S:
                self._alive_s = now_s
            looked_s = now_s
            if now_s - self._alive_s > self._patience_s:
                sys.stderr.write(f"trackd agent: event loop stuck for {self._patience_s:g} s\n")
                faulthandler.dump_traceback(all_threads=True)
                os.abort()
