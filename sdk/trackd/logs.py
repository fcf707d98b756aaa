"""The SDK's own log: the standard logger `trackd`, and `logs/debug.log` of each run."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LOGGER = logging.getLogger("trackd")
# Without a handler of their own, libraries' warnings would reach the user's terminal.
LOGGER.addHandler(logging.NullHandler())
# A script that sets up logging wants to see its own lines; ours are on the terminal already, and
# handlers of others must not fail in the middle of `log()`.
LOGGER.propagate = False


class _DebugLog(logging.FileHandler):
    """A log that gives way: where a line cannot be written, the training hears nothing of it."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Drop the line."""
        del record


def open_debug_log(folder: Path, level: int = logging.INFO) -> logging.Handler:
    """Write what the logger gets to `debug.log` in a folder too, until `close_debug_log`.

    Args:
        folder: of the run's logs.
        level: lowest level that is written; 20 is information, 10 everything.
    """
    handler = _DebugLog(folder / "debug.log", delay=True, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(process)d %(message)s"))
    LOGGER.addHandler(handler)
    handler.setLevel(level)
    if LOGGER.level == logging.NOTSET or level < LOGGER.level:
        LOGGER.setLevel(level)
    return handler


def close_debug_log(handler: logging.Handler) -> None:
    """Close what `open_debug_log` opened."""
    LOGGER.removeHandler(handler)
    with contextlib.suppress(OSError):  # what a full disk did not take is not worth a word
        handler.close()
