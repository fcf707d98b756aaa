"""A run in a notebook: how it shows itself, and a clock that stands still between cells."""

from __future__ import annotations

import importlib
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

from trackd.settings import in_jupyter

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd.runs.run import Run

_BUTTON = (
    "<button onClick=\"this.nextSibling.style.display='block';this.style.display='none';\">"
    "Display trackd run</button>"
)


def in_vscode() -> bool:
    """Return whether the notebook is shown by VS Code, which does not show frames."""
    return bool(getattr(_shell(), "user_ns", {}).get("__vsc_ipynb_file__"))


def in_notebook() -> bool:
    """Return whether this process runs cells: those of Jupyter or of IPython on a terminal."""
    return _shell() is not None


def display(run: Run, height: int, *, hidden: bool) -> bool:
    """Show a run in the notebook; return False where this is none."""
    if run.settings.silent or not in_jupyter() or in_vscode():
        return False
    shown: Any = importlib.import_module("IPython.display")
    forms = {"text/plain": repr(run), "text/html": to_html(run, height, hidden=hidden)}
    shown.display(forms, raw=True)  # its class for HTML warns of frames
    return True


def to_html(run: Run, height: int, *, hidden: bool) -> str:
    """Return a frame with the run's page, or, where it has none, what is known of the run."""
    import html  # most runs are in no notebook

    url = run.backend.url
    if in_vscode() or not url:
        where = f" in {run.sync_dir}" if run.sync_dir else ""
        return f"<p>{html.escape(f'{run!r}{where}')}</p>"
    hide = "display:none;" if hidden else ""
    style = f"border:none;width:100%;height:{height}px;{hide}"
    address = html.escape(f"{url}?jupyter=true", quote=True)
    frame = f'<iframe src="{address}" style="{style}"></iframe>'
    return f"{_BUTTON}{frame}" if hidden else frame


class Pause(Protocol):
    """Pauses something, or goes on."""

    def __call__(self, *, paused: bool) -> None:
        """Pause, or go on."""
        ...


class Cells:
    """Follows the cells of a notebook: time between two of them is no time of the run.

    Args:
        skip: takes that many seconds off the run's clock.
        begin: called at the begin of each cell.
        pause: called with `paused`: whether system metrics are of no interest for a while.
    """

    def __init__(
        self, skip: Callable[[float], None], begin: Callable[[], None], pause: Pause
    ) -> None:
        self._skip = skip
        self._begin = begin
        self._tell = pause
        self._paused_s: float | None = None
        self._events: Any = getattr(_shell(), "events", None)

    def follow(self) -> None:
        """Begin; does nothing outside a notebook."""
        if self._events is not None:
            self._events.register("pre_run_cell", self._go_on)
            self._events.register("post_run_cell", self._pause)

    def leave(self) -> None:
        """End."""
        if self._events is not None:
            self._events.unregister("pre_run_cell", self._go_on)
            self._events.unregister("post_run_cell", self._pause)
            self._events = None

    def _pause(self, *_: object) -> None:
        self._paused_s = time.monotonic()
        self._tell(paused=True)

    def _go_on(self, *_: object) -> None:
        self._begin()
        if self._paused_s is not None:
            self._skip(time.monotonic() - self._paused_s)
            self._paused_s = None
            self._tell(paused=False)


def _shell() -> Any:
    """Return the interactive shell of IPython, if this process has one."""
    get = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get() if get is not None else None
