"""Regular expressions of clients: what one search may take is bounded.

A short expression can keep Python's `re` busy for ever, and every other thread waiting, because it
does not let go of the interpreter. The package `regex` knows most of these traps, searches with
other threads beside it, and gives up after a while.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import regex

MAX_PATTERN_CHARS = 500
#: Processor time of one search; names and facts are short, an honest one takes microseconds.
SEARCH_TIMEOUT_S = 0.1
KEPT_PATTERNS = 128


class InvalidPattern(ValueError):
    """The text is no regular expression, or one that takes too long."""


def require_valid(pattern: str) -> None:
    """Check an expression.

    Raises:
        InvalidPattern: It is none, or too long.
    """
    if len(pattern) > MAX_PATTERN_CHARS:
        raise InvalidPattern(
            f"Invalid regular expression: it has {len(pattern)} characters, the most are "
            f"{MAX_PATTERN_CHARS}."
        )
    try:
        _compiled(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        raise InvalidPattern(f"Invalid regular expression {pattern!r}: {error}.") from error


def is_found(pattern: str, text: object) -> bool | None:
    """Whether an expression matches somewhere in a text (the REGEXP of our SQL).

    What is no text is unknown, as in SQL.

    Raises:
        InvalidPattern: The search took too long.
    """
    if not isinstance(text, str):
        return None
    try:
        found = _compiled(pattern).search(text, timeout=SEARCH_TIMEOUT_S, concurrent=True)
    except TimeoutError as error:
        raise InvalidPattern(
            f"The regular expression {pattern!r} takes too long: make it simpler, without repeats "
            "inside of repeats."
        ) from error
    return found is not None


@lru_cache(KEPT_PATTERNS)
def _compiled(pattern: str) -> Any:
    return regex.compile(pattern)
