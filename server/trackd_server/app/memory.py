"""Memory that is freed goes back to the system, as far as the C library lets us say so."""

from __future__ import annotations

import ctypes

#: Parameters of `mallopt` as glibc numbers them (malloc.h); other libraries know none of them.
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
#: Larger pieces are mapped on their own and unmapped when freed: blocks of bodies, frames, answers.
OWN_MAPPING_BYTES = 128 * 1024


def give_back_freed() -> None:
    """Keep little of what is freed: call it once, before there are threads.

    glibc raises its bound for mappings as soon as a large piece was freed, and gives each thread
    a heap of its own. So large blocks lay between small lasting pieces, and a server's memory grew
    with each version that came. One heap costs nothing: Python runs one thread at a time, SQLite
    has a lock around its memory anyway.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, OWN_MAPPING_BYTES)
        mallopt(_M_ARENA_MAX, 1)
