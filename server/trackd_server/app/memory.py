"""Memory that is freed is used again, as far as the C library lets us say so."""

from __future__ import annotations

import ctypes

#: Parameter of `mallopt` as glibc numbers it (malloc.h); other libraries do not know it.
_M_ARENA_MAX = -8


def share_one_heap() -> None:
    """Let all threads take memory from one heap: call it once, before there are threads.

    glibc gives each thread a heap of its own. There the blocks of bodies lay between small lasting
    pieces, each heap kept what its thread had once needed, and a server's memory grew with each
    version that came. One heap costs nothing: Python runs one thread at a time, SQLite has a lock
    around its memory anyway. (Mappings of their own for the blocks would give back some 20 MiB
    more, and cost half of the CPU of an upload again: each page of them is a fault.)
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
