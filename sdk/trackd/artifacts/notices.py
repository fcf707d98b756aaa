"""Lines for the user's terminal from code that knows no run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trackd.terminal import Terminal


def warn(text: str) -> None:
    """Print a warning, as the settings of this process allow."""
    _terminal().warn(text)


def info(text: str) -> None:
    """Print a line, as the settings of this process allow."""
    _terminal().info(text)


def _terminal() -> Terminal:
    from trackd.session import session  # the session knows runs, which know artifacts
    from trackd.terminal import Terminal

    return Terminal(session().set_up())
