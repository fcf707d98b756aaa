"""A queue of texts whose writer pays for an append and nothing else, and which yet has a bound.

`print` writes twice a line, so whatever a wrapper of `write` does costs every line twice: to ask
a list for its length is a tenth of what `print` takes. A `deque` with a bound asks by itself: one
more element than it holds, and it drops the oldest. Here the oldest is an alarm, and being dropped
it tells.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: Dropped instead of texts when several threads go on writing to a batch that is full.
_SPARE = ("",) * 64


class _Alarm:
    """Calls when nobody holds it any more."""

    __slots__ = ("_call", "_number")

    def __init__(self, call: Callable[[int], None], number: int) -> None:
        self._call = call
        self._number = number

    def __del__(self) -> None:
        self._call(self._number)


class Batch:
    """A number of texts.

    Args:
        size: how many texts make it full.
        on_full: called with the number by the thread whose text was one too many, at once, and
            also when the batch is given up. It must be short: an exception that a signal raises
            in it is lost.
        number: of the batch.
    """

    __slots__ = ("_ballast", "_texts", "append")

    def __init__(self, size: int, on_full: Callable[[int], None], number: int) -> None:
        alarm = _Alarm(on_full, number)
        self._ballast = 1 + len(_SPARE)
        self._texts: deque[Any] = deque((alarm, *_SPARE), maxlen=self._ballast + size)
        #: Takes a text.
        self.append = self._texts.append

    def __len__(self) -> int:
        """Return about how many texts there are."""
        return max(0, len(self._texts) - self._ballast)

    def take(self) -> list[Any]:
        """Return the texts, once nobody begins to write to it any more.

        Who had begun already may write later; the next call returns that.
        """
        found = list(self._texts)
        self._texts.clear()
        self._ballast = 0
        if found and type(found[0]) is _Alarm:
            found[0] = ""
        return found
