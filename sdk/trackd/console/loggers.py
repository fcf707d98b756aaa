"""Records of Python loggers as console lines of a run (`capture_loggers`)."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from trackd.logs import LOGGER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class _RunHandler(logging.Handler):
    """Writes what a logger gets to the run."""

    def __init__(self, write_logs: Callable[[str], None], level: int | str) -> None:
        super().__init__(level)
        self.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
        self._write_logs = write_logs
        self._emitting = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        # What we log about recording must not be recorded in turn.
        if record.name == LOGGER.name or getattr(self._emitting, "now", False):
            return
        self._emitting.now = True
        try:
            self._write_logs(self.format(record))
        except Exception:  # noqa: BLE001 - the way of `logging`: report, and go on
            self.handleError(record)
        finally:
            self._emitting.now = False


class LoggerCapture:
    """The handlers of one run.

    Args:
        levels: lowest level by logger name; the empty name is the root logger.
        write_logs: takes a formatted record.
    """

    def __init__(self, levels: Mapping[str, int | str], write_logs: Callable[[str], None]) -> None:
        self._handlers = [
            (logging.getLogger(name), _RunHandler(write_logs, level))
            for name, level in levels.items()
        ]
        for logger, handler in self._handlers:
            logger.addHandler(handler)

    def remove(self) -> None:
        """Hear nothing more."""
        for logger, handler in self._handlers:
            logger.removeHandler(handler)
        self._handlers = []


def check_levels(levels: Mapping[str, int | str]) -> None:
    """Refuse levels that `logging` does not know.

    Raises:
        ValueError: names the logger.
    """
    for name, level in levels.items():
        try:
            logging.Handler(level)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"setting 'capture_loggers': {level!r} for {name!r} is no level: use DEBUG, INFO, "
                "WARNING, ERROR, CRITICAL or a number"
            ) from error
