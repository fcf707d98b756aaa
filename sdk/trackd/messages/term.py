"""`termlog`, `termwarn`, `termerror`, `termsetup`: lines of a script in our form, on stderr."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from trackd import terminal

if TYPE_CHECKING:
    import logging

    from trackd.settings import Settings

_MAX_REMEMBERED = 1000


class _Term:
    """What `termsetup` said, and what was printed once."""

    def __init__(self) -> None:
        self.settings: Settings | None = None
        self.logger: logging.Logger | Any = None
        self._seen: set[str] = set()

    def say(self, level: str, text: str, *, newline: bool, repeat: bool, prefix: bool) -> None:
        """Print a text, or give it to the logger where the settings hide it."""
        if not repeat:
            if text in self._seen:
                return
            if len(self._seen) < _MAX_REMEMBERED:
                self._seen.add(text)
        settings = self.settings
        word = {"warning": "WARNING ", "error": "ERROR "}.get(level, "")
        shown = {"info": "show_info", "warning": "show_warnings", "error": "show_errors"}[level]
        if settings is not None and (settings.silent or not getattr(settings, shown)):
            if self.logger is not None:
                getattr(self.logger, level)(text)
            return
        marked = "\n".join(f"{word}{line}" for line in text.split("\n"))
        terminal.write(marked, newline=newline, prefix=prefix)


@functools.cache
def _term() -> _Term:
    return _Term()


def termsetup(settings: Settings, logger: logging.Logger | None) -> None:
    """Let `silent` and `show_info`, `show_warnings`, `show_errors` decide what is printed.

    Args:
        settings: of the session or a run.
        logger: gets what is not printed; None: nobody does.
    """
    _term().settings = settings
    _term().logger = logger


def termlog(
    string: str = "", newline: bool = True, repeat: bool = True, prefix: bool = True
) -> None:
    """Print information to stderr.

    Args:
        string: one or more lines.
        newline: end it with a line feed.
        repeat: False prints the same text once only.
        prefix: begin each line with `trackd: `.
    """
    _term().say("info", string, newline=newline, repeat=repeat, prefix=prefix)


def termwarn(string: str, newline: bool = True, repeat: bool = True, prefix: bool = True) -> None:
    """Print a warning to stderr.

    Args:
        string: one or more lines.
        newline: end it with a line feed.
        repeat: False prints the same text once only.
        prefix: begin each line with `trackd: `.
    """
    _term().say("warning", string, newline=newline, repeat=repeat, prefix=prefix)


def termerror(string: str, newline: bool = True, repeat: bool = True, prefix: bool = True) -> None:
    """Print an error to stderr.

    Args:
        string: one or more lines.
        newline: end it with a line feed.
        repeat: False prints the same text once only.
        prefix: begin each line with `trackd: `.
    """
    _term().say("error", string, newline=newline, repeat=repeat, prefix=prefix)
