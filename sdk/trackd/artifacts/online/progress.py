"""A line that tells how far a long transfer is: redrawn on a terminal, absent elsewhere."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from trackd.terminal import Terminal, is_terminal

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from trackd.settings import Settings

#: What keeps a transfer from moving is told where there is no line, after so long, in seconds.
_TROUBLE_S = 5.0
#: Transfers that end sooner leave the terminal alone; then so often the line changes, in seconds.
_QUIET_S = 0.5
_REDRAW_S = 0.1
_MIB = 1024 * 1024
_BAR_CELLS = 20


class Progress:
    """Shows one transfer; use it as a context manager, so that its line goes in the end.

    Args:
        settings: what may be printed.
        what: such as `downloading model:v3`.
        quiet_s: so long the terminal is left alone; None: half a second.
    """

    def __init__(self, settings: Settings, what: str, quiet_s: float | None = None) -> None:
        self._terminal = Terminal(settings)
        self._what = what
        self._next_s = time.monotonic() + (_QUIET_S if quiet_s is None else quiet_s)
        self._is_drawn = False
        self._most_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_drawn:
            self._terminal.redraw("")

    def show(self, files: tuple[int, int], size: tuple[int, int], state: str = "") -> None:
        """Show how many files and bytes are done of how many; a bar never goes back.

        Args:
            files: done, and all.
            size: bytes done, and all.
            state: a word for where it stands.
        """
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + _REDRAW_S
        self._most_bytes = max(self._most_bytes, size[0])
        line = f"{self._what} {_bar(files, (self._most_bytes, size[1]))} {state}"
        if self._terminal.redraw(line.rstrip()):
            self._is_drawn = True


class Trouble:
    """Says once why nothing moves, where no line shows it; use it as a context manager.

    Args:
        settings: what may be printed.
        what: waits, such as `artifact 'model'`.
    """

    def __init__(self, settings: Settings, what: str) -> None:
        self._terminal = Terminal(settings)
        self._what = what
        self._why = ""
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.note("")

    def note(self, why: str) -> None:
        """Take in why nothing moves; the empty text: it moves again."""
        self._why = why
        if self._timer is None and why and not is_terminal():
            self._timer = threading.Timer(_TROUBLE_S, self._tell)
            self._timer.daemon = True
            self._timer.start()
        elif self._timer is not None and not why:
            self._timer.cancel()
            self._timer = None

    def _tell(self) -> None:
        if why := self._why:
            self._terminal.warn(f"{self._what} waits: {why}")


def _bar(files: tuple[int, int], size: tuple[int, int]) -> str:
    """Return a bar with its figures; nothing where it is not known yet how much there is."""
    done, total = size if size[1] else files
    if not total:
        return "..."
    filled = min(_BAR_CELLS, done * _BAR_CELLS // total)
    bar = "#" * filled + "." * (_BAR_CELLS - filled)
    of_all = f"/{size[1] / _MIB:.1f}" if size[1] else ""
    return f"[{bar}] {files[0]}/{files[1]} files, {size[0] / _MIB:.1f}{of_all} MiB"
