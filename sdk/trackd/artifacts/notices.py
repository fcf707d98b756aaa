"""Lines for the user's terminal from code that knows no run."""

from __future__ import annotations


def warn(text: str) -> None:
    """Print a warning, as the settings of this process allow."""
    from trackd.session import session  # the session knows runs, which know artifacts
    from trackd.terminal import Terminal

    Terminal(session().set_up()).warn(text)
