"""Keeps a daemon small: without what libraries load only to draw on terminals, and without memory
that was freed.

structlog and httpx import rich, pygments and click when they find them installed: together half
of an agent's start-up time, for colours that nobody sees. Both fall back when the import fails.
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress

#: `mallopt` of glibc: blocks from this size on get pages of their own, which go back when freed.
_M_MMAP_THRESHOLD = -3
_OWN_PAGES_BYTES = 1024 * 1024
_NOT_FOR_DAEMONS = ("rich", "httpx._main")


def keep_out() -> None:
    """Make these modules count as not installed, in this process, where not loaded yet."""
    for name in _NOT_FOR_DAEMONS:
        if name not in sys.modules:
            sys.modules[name] = None  # pyright: ignore[reportArgumentType] - documented meaning
    # pydantic searches all installed packages for plugins; we have none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def give_back_memory() -> None:
    """Return large freed blocks to the system, as far as the C library can be told to.

    Otherwise glibc raises the size from which it does so with each such block, and pieces of files
    that threads have read stay in the heap of each thread.
    """
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _OWN_PAGES_BYTES)
