"""What is remembered of heads: bounded by bytes, the least recently used forgotten first."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")

#: What Python needs for an entry besides the bytes of the head, roughly.
_ENTRY_BYTES = 200


class Heads(Generic[T]):
    """A mapping from heads in two generations, so that a hit costs nothing but the look-up.

    What is found in the older generation moves to the younger one; when that is full, the older
    one is forgotten. So whatever was used since the last change of generations is kept.
    """

    def __init__(self, max_bytes: int) -> None:
        """Remember `max_bytes` in each of the two generations."""
        #: The younger generation, to be looked into directly; always the same object.
        self.young: dict[bytes, T] = {}
        self._old: dict[bytes, T] = {}
        self._young_bytes = 0
        self._max_bytes = max_bytes

    def __len__(self) -> int:
        return len(self.young) + len(self._old)

    def recall(self, head: bytes) -> T | None:
        """Return what an older generation knows, which makes it young again."""
        meaning = self._old.pop(head, None)
        if meaning is not None:
            self.put(head, meaning)
        return meaning

    def put(self, head: bytes, meaning: T) -> None:
        """Remember the meaning of a head."""
        if self._young_bytes >= self._max_bytes:
            self._old = dict(self.young)
            self.young.clear()
            self._young_bytes = 0
        self.young[head] = meaning
        self._young_bytes += len(head) + _ENTRY_BYTES
