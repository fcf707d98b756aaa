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
_COLOURED_PREFIX = "\x1b[34;1mtrackd\x1b[0m: "
_BLOCKS = "▁█"
#: Texts of `warn_once` that are remembered; they may hold names of files.
_MAX_REMEMBERED = 1000
_log = LOGGER


class Paint:
    """Gives parts of a line the look of what they are; does nothing where colours are off."""

    def __init__(self, *, uses_colour: bool) -> None:
        self._uses_colour = uses_colour

    def name(self, text: str) -> str:
        """Return the name of a run."""
        return self._painted("33", text)

    def link(self, text: str) -> str:
        """Return an address."""
        return self._painted("34;4", text)

    def path(self, text: str) -> str:
        """Return a file or a folder."""
        return self._painted("35;1", text)

    def command(self, text: str) -> str:
        """Return what one can type."""
        return self._painted("1", text)

    def _painted(self, codes: str, text: str) -> str:
        return f"\x1b[{codes}m{text}\x1b[0m" if self._uses_colour else text


class Terminal:
    """Prints what the settings allow.

    `quiet` hides information, `silent` everything; `show_info`, `show_warnings` and
    `show_errors` choose levels. What is hidden still goes to the `trackd` logger.
    """

    def __init__(self, settings: Settings) -> None:
        self._info = settings.show_info and not settings.quiet and not settings.silent
        self._warnings = settings.show_warnings and not settings.silent
        self._errors = settings.show_errors and not settings.silent
        self._colours = settings.show_colors
        self._warned: set[str] = set()
        self._lock = threading.RLock()  # a signal handler may log in the middle of `warn_once`

    @property
    def shows_info(self) -> bool:
        """Whether information is printed."""
        return self._info

    @property
    def draws(self) -> bool:
        """Whether block characters can be printed."""
        try:
            _BLOCKS.encode(getattr(sys.stderr, "encoding", None) or "ascii")
        except (UnicodeEncodeError, LookupError, TypeError):
            return False
        return True

    @property
    def paint(self) -> Paint:
        """What colours parts of lines."""
        return Paint(uses_colour=self._info and uses_colour(self._colours))

    def info(self, text: str) -> None:
        """Print one or more lines of information."""
        _log.info("%s", text)
        if self._info:
            self._print(text)

    def warn(self, text: str) -> None:
        """Print a warning."""
        _log.warning("%s", text)
        if self._warnings:
            self._print(f"WARNING {text}")

    def warn_once(self, text: str) -> None:
        """Print a warning unless the same text was printed before."""
        with self._lock:
            if text in self._warned:
                return
            if len(self._warned) < _MAX_REMEMBERED:
                self._warned.add(text)
        self.warn(text)

    def error(self, text: str) -> None:
        """Print an error."""
        _log.error("%s", text)
        if self._errors:
            self._print(f"ERROR {text}")

    def redraw(self, text: str) -> bool:
        """Replace the line at the cursor; return False where there is none to replace.

        Call it with the empty text at the end.
        """
        if not self._info or not is_terminal():
            return False
        import shutil  # takes the compression libraries along

        room = shutil.get_terminal_size().columns - len(_PREFIX) - 1
        line = f"{_prefix(self._colours)}{text[:room]}" if text else ""
        _put(f"\r\x1b[2K{line}")
        return True

    def mute(self) -> None:
        """Print nothing from now on; used in forked children."""
        self._info = self._warnings = self._errors = False
        self._lock = threading.RLock()  # another thread may have held it at the fork

    def _print(self, text: str) -> None:
        write(text, colours=self._colours)


def write(
    text: str, *, newline: bool = True, prefix: bool = True, colours: bool | None = None
) -> None:
    """Write lines to stderr; where that is closed the log has them.

    Args:
        text: one or more lines.
        newline: end the last one.
        prefix: say whose they are.
        colours: None: on a terminal.
    """
    start = _prefix(colours) if prefix else ""
    block = "\n".join(f"{start}{line}" for line in text.split("\n"))
    _put(f"{block}\n" if newline else block)


def _put(text: str) -> None:
    try:
        try:
            sys.stderr.write(text)
        except UnicodeEncodeError:
            encoding = getattr(sys.stderr, "encoding", None) or "ascii"
            sys.stderr.write(text.encode(encoding, "replace").decode(encoding))
        sys.stderr.flush()
    except Exception:  # noqa: BLE001 - closed, absent, or the user's own: the training goes on
        _log.debug("no terminal to print to")  # the log has the line


def _prefix(colours: bool | None) -> str:
    return _COLOURED_PREFIX if uses_colour(colours) else _PREFIX


def uses_colour(wanted: bool | None = None) -> bool:
    """Tell whether our lines are coloured.

    Args:
        wanted: what the settings say; None: on a terminal, unless NO_COLOR is set.
    """
    if wanted is not None:
        return wanted
    return not os.environ.get("NO_COLOR") and is_terminal()


def is_terminal() -> bool:
    """Tell whether stderr is a terminal that understands control sequences."""
    if os.environ.get("TERM") == "dumb":
        return False
    try:
        return bool(sys.stderr.isatty())
    except Exception:  # noqa: BLE001 - replaced by whatever it may be, or closed
        return False
