"""Searching for users' regular expressions, without a risk for the agent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trackd_agent.monitor.contract import NoDataError
from trackd_agent.monitor.exposition.patterns import MAX_CHARACTERS, may_take_long
from trackd_agent.monitor.readers.probe import ProbeError, ProbeReader

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

#: How long one search may take in its own process.
SEARCH_S = 1.0
#: How long all searches for one pattern may take, in their own process, together.
PATTERN_S = 5.0
#: Patterns of which something is remembered.
MAX_PATTERNS = 512
#: A process that was asked so lately is there still: its first answer may take longer.
_WARM_S = 60.0


class PatternReader:
    """Searches at once where that is quick for certain, else in a process with a deadline."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._probe = ProbeReader("patterns", answer_s=SEARCH_S)
        self._clock = clock
        self._asked_s = float("-inf")
        #: Time spent so far for each pattern that may take long; None: it is quick.
        self._spent_s: dict[str, float | None] = {}

    def search(self, pattern: re.Pattern[str], text: str) -> bool:
        """Return whether a pattern is found in a text.

        Raises:
            TimeoutError: It takes too long to say, or it cannot be said.
        """
        if pattern.pattern not in self._spent_s:
            if len(self._spent_s) >= MAX_PATTERNS:
                self._spent_s.clear()
            self._spent_s[pattern.pattern] = 0.0 if may_take_long(pattern.pattern) else None
        spent_s = self._spent_s[pattern.pattern]
        if spent_s is None and len(text) <= MAX_CHARACTERS:
            return pattern.search(text) is not None
        if (spent_s or 0.0) > PATTERN_S:
            raise TimeoutError(f"{PATTERN_S:g} s for all texts until now")
        return self._search_outside(pattern.pattern, text)

    def close(self) -> None:
        """End the process, if there is one."""
        self._probe.close()

    def _search_outside(self, pattern: str, text: str) -> bool:
        try:
            if self._clock() - self._asked_s > _WARM_S:
                self._probe.ask({"pattern": "", "text": ""})
            began_s = self._asked_s = self._clock()
            found = self._probe.ask({"pattern": pattern, "text": text})["found"] is True
        except (ProbeError, NoDataError) as error:
            self._asked_s = float("-inf")
            raise TimeoutError(str(error)) from error
        spent_s = self._spent_s.get(pattern)
        if spent_s is not None:
            self._spent_s[pattern] = spent_s + self._clock() - began_s
        return found
