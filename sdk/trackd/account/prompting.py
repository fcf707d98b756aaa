"""Asks for a secret on the terminal: what is typed is not shown."""

from __future__ import annotations

import select
import sys
import termios


def ask_secret(question: str, timeout_s: float | None = None) -> str:
    """Return a line typed on the terminal, without blanks at its ends.

    Args:
        question: what to show.
        timeout_s: how long to wait; None: for ever.

    Raises:
        TimeoutError: nothing was typed in time.
    """
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    quiet = [*before]
    quiet[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(terminal, termios.TCSADRAIN, quiet)
        sys.stderr.write(question)  # not before: what is typed at once would be shown
        sys.stderr.flush()
        if not select.select([sys.stdin], [], [], timeout_s)[0]:
            raise TimeoutError(f"nothing was typed within {timeout_s:g} s")
        return sys.stdin.readline().strip()
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        sys.stderr.write("\n")
