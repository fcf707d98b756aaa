"""Our own lines on the user's terminal: stderr, prefixed `trackd: `."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

from trackd.logs import LOGGER

if TYPE_CHECKING:
    from trackd.settings import Settings

_PREFIX = "trackd: "
_log = LOGGER


class Terminal:
    """Prints what the settings allow.

    `quiet` hides information, `silent` everything; `show_info`, `show_warnings` and
    `show_errors` choose levels. What is hidden still goes to the `trackd` logger.
    """

    def __init__(self, settings: Settings) -> None:
        self._info = settings.show_info and not settings.quiet and not settings.silent
        self._warnings = settings.show_warnings and not settings.silent
        self._errors = settings.show_errors and not settings.silent
        self._warned: set[str] = set()
        self._lock = threading.RLock()  # a signal handler may log in the middle of `warn_once`

    def info(self, text: str) -> None:
        """Print one or more lines of information."""
        _log.info("%s", text)
        if self._info:
            _print(text)

    def warn(self, text: str) -> None:
        """Print a warning."""
        _log.warning("%s", text)
        if self._warnings:
            _print(f"WARNING {text}")

    def warn_once(self, text: str) -> None:
        """Print a warning unless the same text was printed before."""
        with self._lock:
            if text in self._warned:
                return
            self._warned.add(text)
        self.warn(text)

    def error(self, text: str) -> None:
        """Print an error."""
        _log.error("%s", text)
        if self._errors:
            _print(f"ERROR {text}")

    def mute(self) -> None:
        """Print nothing from now on; used in forked children."""
        self._info = self._warnings = self._errors = False
        self._lock = threading.RLock()  # another thread may have held it at the fork


def _print(text: str) -> None:
    try:
        prefix = "\x1b[34;1mtrackd\x1b[0m: " if _uses_colour() else _PREFIX
        block = "".join(f"{prefix}{line}\n" for line in text.splitlines())
        sys.stderr.write(block)
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        # The terminal is closed or absent (a daemon, interpreter shutdown): the log has the line.
        _log.debug("no terminal to print to")


def _uses_colour() -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(getattr(sys.stderr, "isatty", lambda: False)())
