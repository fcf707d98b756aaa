"""Console capture: what the process prints becomes records of the run.

`sys.stdout.write` and `sys.stderr.write` are wrapped, so that output goes to the terminal as
before and a copy of every completed line into the spool. The text is kept raw; the agent
understands carriage returns and escape sequences.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: Longer pieces are split.
MAX_RECORD_CHARACTERS = 64 * 1024
_STALE_S = 0.5
_STREAMS = ((1, "stdout"), (2, "stderr"))

Record = "Callable[[float, int, str], None]"


class StreamCapture:
    """Copies what is written to one text stream."""

    def __init__(self, stream: Any, number: int, record: Callable[[float, int, str], None]) -> None:
        self._stream = stream
        self._number = number
        self._record = record
        self._lock = threading.RLock()  # a signal handler may print inside `_copy`
        self._pending: list[str] = []
        self._since_s = 0.0
        self._original: Callable[[str], int] = stream.write
        self._wrapped = self._make_write()
        stream.write = self._wrapped

    def _make_write(self) -> Callable[[str], int]:
        original, copy = self._original, self._copy

        def write(text: str) -> int:
            result = original(text)
            copy(text)
            return result

        return write

    def _copy(self, text: str) -> None:
        if type(text) is not str or not text:
            return
        with self._lock:
            pending = self._pending
            if not pending:
                self._since_s = time.time()
            pending.append(text)
            if text[-1] == "\n" or len(text) > MAX_RECORD_CHARACTERS:
                self._flush()

    def _flush(self) -> None:
        pieces, self._pending = self._pending, []
        text = "".join(pieces)
        if len(text) <= MAX_RECORD_CHARACTERS:
            self._record(self._since_s, self._number, text)
            return
        for start in range(0, len(text), MAX_RECORD_CHARACTERS):
            self._record(self._since_s, self._number, text[start : start + MAX_RECORD_CHARACTERS])

    def flush(self, older_than_s: float = 0.0) -> None:
        """Record an incomplete line that has waited for so long."""
        if self._pending and time.time() - self._since_s >= older_than_s:
            with self._lock:
                if self._pending:
                    self._flush()

    def remove(self) -> None:
        """Stop copying. A wrapper that somebody put around ours stays and works."""
        self._record = _ignore
        if self._stream.__dict__.get("write") is self._wrapped:
            del self._stream.write
        self._pending = []


class ConsoleCapture:
    """Copies both standard streams, as far as they can be wrapped."""

    def __init__(self, record: Callable[[float, int, str], None]) -> None:
        self._captures = [
            StreamCapture(stream, number, record)
            for number, name in _STREAMS
            if (stream := getattr(sys, name, None)) is not None and hasattr(stream, "__dict__")
        ]

    def flush_stale(self) -> None:
        """Record incomplete lines that nobody completed for a while; called by the sender."""
        for capture in self._captures:
            capture.flush(_STALE_S)

    def finish(self) -> None:
        """Record what is incomplete and stop."""
        for capture in self._captures:
            capture.flush()
            capture.remove()

    def abandon(self) -> None:
        """Stop without recording anything; used in forked children."""
        for capture in self._captures:
            capture.remove()


def _ignore(time_s: float, stream: int, text: str) -> None:
    del time_s, stream, text
