"""Searches for regular expressions that may take for ever; the agent ends the process then."""

from __future__ import annotations

import re
from typing import Any


def open(options: dict[str, Any]) -> Patterns:
    """Return the probe."""
    del options
    return Patterns()


class Patterns:
    """Python's own engine."""

    def read(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return whether `pattern` is `found` in `text`."""
        return {"found": re.search(request["pattern"], request["text"]) is not None}

    def describe(self) -> dict[str, Any]:
        """Return nothing: there is no device."""
        return {}
