"""Which bytes of a file a request asks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trackd_server.domain.errors import RangeNotSatisfiable

if TYPE_CHECKING:
    from starlette.requests import Request

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def requested_range(request: Request, size: int) -> tuple[int, int, int]:
    """Return the bytes asked for, half-open, and the status that goes with them."""
    found = _RANGE.fullmatch(request.headers.get("range", ""))
    if not found or found[0] == "bytes=-":
        return 0, size, 200
    first, last = found.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    if start >= end:
        raise RangeNotSatisfiable(f"The range is outside of the file's {size} bytes.")
    return start, end, 206
