"""Warnings about values that the reference gives to Python's root logger.

There they are lines of the script's own console, so a console records the same under both only
if they have the same form. The root logger is never set up here: that is the script's business.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress


def root_warning(text: str) -> None:
    """Give a warning to the root logger; without handlers it goes to stderr in the usual form."""
    root = logging.getLogger()
    if root.handlers:
        root.warning(text)
    elif root.isEnabledFor(logging.WARNING):
        with suppress(OSError, ValueError, AttributeError):  # closed, or there is none
            sys.stderr.write(f"WARNING:root:{text}\n")
