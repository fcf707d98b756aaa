"""Numbers of bytes on the command line."""

from __future__ import annotations

import re

_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?)b?", re.IGNORECASE)
_POWERS = ("", "k", "m", "g", "t", "p")


def byte_count(text: str) -> int:
    """Return a number of bytes: 1000000, 500GB (powers of 1000) or 1.5GiB (powers of 1024).

    Raises:
        ValueError: The text has none of these forms.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no number of bytes: write 500GB, 1.5GiB or 1000000.")
    number, unit, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** _POWERS.index(unit.lower()))
