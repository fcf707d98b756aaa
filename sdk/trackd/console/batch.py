"""A queue of texts whose writer pays for an append and nothing else, and which yet has a bound.

`print` writes twice a line, so whatever a wrapper of `write` does costs every line twice: to ask
a list for its length is a tenth of what `print` takes. A `deque` with a bound asks by itself: one
more element than it holds, and it drops the oldest. Here the oldest ones are alarms, and being
dropped they tell.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: One would do for one thread; another may write while the first is about to tell.
_ALARMS = 8


class _Alarm:
    """Calls when nobody holds it any more."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call

    def silence(self) -> None:
        """Call no more."""
        self._call = _do_nothing

    def __del__(self) -> None:
        self._call()


def _do_nothing() -> None:
    pass


class Batch:
    """A number of texts.

    Args:
        size: how many texts make it full.
        on_full: called by the thread whose text was one too many, at once. It has to see to it
            that nobody writes to the batch any more, and must be short: an exception that a
            signal raises in it is lost.
    """

    __slots__ = ("_texts", "append")

    def __init__(self, size: int, on_full: Callable[[], None]) -> None:
        alarms = [_Alarm(on_full) for _ in range(_ALARMS)]
        self._texts: deque[Any] = deque(alarms, maxlen=_ALARMS + size)
        #: Takes a text.
        self.append = self._texts.append

    def __len__(self) -> int:
        """Return about how many texts there are."""
        return max(0, len(self._texts) - _ALARMS)

    def take(self) -> list[Any]:
        """Return the texts and forget them; to be called when nobody writes to it any more."""
        found = list(self._texts)
        self._texts.clear()
        alarms = 0
        while alarms < len(found) and isinstance(alarm := found[alarms], _Alarm):
            alarm.silence()
            alarms += 1
        return found[alarms:]
