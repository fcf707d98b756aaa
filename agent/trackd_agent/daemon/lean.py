"""Keeps a daemon small: without what libraries load only to draw on terminals, and without memory
that was freed.

structlog and httpx import rich, pygments and click when they find them installed: together half
of an agent's start-up time, for colours that nobody sees. Both fall back when the import fails.
"""

from __future__ import annotations

import ctypes
import os
import sys

#: Parameters of `mallopt` as glibc numbers them (malloc.h); other libraries do not know them.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
#: Blocks from this size on have pages of their own, which go back when they are freed. Smaller
#: ones, such as pieces of files, would cost a page fault for each 4 KiB: a quarter of an MD5.
_OWN_PAGES_BYTES = 8 * 1024 * 1024
#: What may be free at the end of the heap before it goes back.
_KEPT_BYTES = 16 * 1024 * 1024
_NOT_FOR_DAEMONS = ("rich", "httpx._main")


def keep_out() -> None:
    """Make these modules count as not installed, in this process, where not loaded yet."""
    for name in _NOT_FOR_DAEMONS:
        if name not in sys.modules:
            sys.modules[name] = None  # pyright: ignore[reportArgumentType] - documented meaning
    # pydantic searches all installed packages for plugins; we have none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def give_back_memory() -> None:
    """Return what is freed to the system, up to a bound, as far as the C library can be told to.

    Otherwise glibc raises the size from which it does so with each large block, and pieces of files
    that threads have read stay in the heap of each thread. One heap costs nothing: Python runs one
    thread at a time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, _OWN_PAGES_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
