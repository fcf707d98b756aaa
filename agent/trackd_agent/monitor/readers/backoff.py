"""When to try again what failed: after 1 s, then twice as long each time, up to 5 minutes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_S = 1.0
LONGEST_S = 300.0


class Backoff:
    """Spaces out attempts at something that keeps failing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next_s = FIRST_S
        self._until_s = float("-inf")
        self.reason = ""  # of the last failure; empty after a success

    def failed(self, reason: str) -> None:
        """Note a failure: the next attempt is due after the current delay."""
        self.reason = reason
        self._until_s = self._clock() + self._next_s
        self._next_s = min(2 * self._next_s, LONGEST_S)

    def succeeded(self) -> None:
        """Note a success: the next failure is the first one again."""
        self.reason = ""
        self._next_s = FIRST_S
        self._until_s = float("-inf")

    @property
    def wait_s(self) -> float:
        """Seconds until the next attempt, 0 if it is due."""
        return max(0.0, self._until_s - self._clock())
