"""Keeps out of a daemon what libraries load only to draw on terminals.

structlog and httpx import rich, pygments and click when they find them installed: together half
of an agent's start-up time, for colours that nobody sees. Both fall back when the import fails.
"""

from __future__ import annotations

import os
import sys

_NOT_FOR_DAEMONS = ("rich", "httpx._main")


def keep_out() -> None:
    """Make these modules count as not installed, in this process, where not loaded yet."""
    for name in _NOT_FOR_DAEMONS:
        if name not in sys.modules:
            sys.modules[name] = None  # pyright: ignore[reportArgumentType] - documented meaning
    # pydantic searches all installed packages for plugins; we have none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
