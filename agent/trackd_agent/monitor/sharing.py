"""What several subjects share, for as long as any of them is watched."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

K = TypeVar("K")
T = TypeVar("T")


class Shared(Generic[K, T]):
    """Values by key, each made when first wanted and dropped when its last subject is gone.

    May be used from several threads: a subject goes while a collector is at work.
    """

    def __init__(self, make: Callable[[K], T]) -> None:
        self._make = make
        self._lock = threading.Lock()  # held for look-ups alone
        self._values: dict[K, tuple[T, set[str]]] = {}

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K, subjects: Iterable[str]) -> T:
        """Return the value of a key, which these subjects want from now on."""
        with self._lock:
            known = self._values.get(key)
            if known is None:
                known = self._values[key] = (self._make(key), set())
            known[1].update(subjects)
            return known[0]

    def peek(self, key: K) -> T | None:
        """Return the value of a key if anybody wants it."""
        with self._lock:
            known = self._values.get(key)
            return known[0] if known else None

    def values(self) -> list[T]:
        """Return all values that somebody wants."""
        with self._lock:
            return [value for value, _ in self._values.values()]

    def forget(self, subject: str) -> list[T]:
        """Drop what only this subject wanted, and return it."""
        dropped: list[T] = []
        with self._lock:
            for key, (value, subjects) in list(self._values.items()):
                subjects.discard(subject)
                if not subjects:
                    del self._values[key]
                    dropped.append(value)
        return dropped

    def clear(self) -> list[T]:
        """Drop everything, and return it."""
        with self._lock:
            values, self._values = self._values, {}
        return [value for value, _ in values.values()]
