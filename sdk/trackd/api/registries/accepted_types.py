"""Types of artifacts that a registry accepts: a list that only grows."""

from __future__ import annotations

from collections.abc import Iterable, MutableSequence, Sequence
from typing import cast, overload

from trackd.artifacts.rules import MAX_NAME_CHARACTERS


def checked_types(types: Iterable[str] | str | None) -> list[str]:
    """Return types of artifacts for a registry, each once.

    Raises:
        ValueError: one is too long, or has a `/` or `:`.
    """
    given = [types] if isinstance(types, str) else list(types or ())
    for each in given:
        if "/" in each or ":" in each or not each or len(each) > MAX_NAME_CHARACTERS:
            raise ValueError(
                f"artifact type {each[:40]!r}: 1 to {MAX_NAME_CHARACTERS} characters without '/' "
                "and ':' are allowed"
            )
    return list(dict.fromkeys(given))


class ArtifactTypeList(MutableSequence[str]):
    """Types that the server knows, which stay, and behind them those that were added since."""

    def __init__(self, saved: Iterable[str] = ()) -> None:
        self._saved = tuple(saved)
        self._draft: list[str] = []

    def __repr__(self) -> str:
        return f"ArtifactTypeList(saved={list(self._saved)!r}, draft={self._draft!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return list(self) == list(cast("Sequence[object]", other))

    __hash__ = None  # type: ignore[assignment] - it changes

    @property
    def draft(self) -> tuple[str, ...]:
        """What was added and is not saved."""
        return tuple(self._draft)

    def __len__(self) -> int:
        return len(self._saved) + len(self._draft)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        return [*self._saved, *self._draft][index]

    @overload
    def __setitem__(self, index: int, value: str) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[str]) -> None: ...
    def __setitem__(self, index: int | slice, value: str | Iterable[str]) -> None:
        place = self._draft_index(index)
        (checked,) = checked_types([value] if isinstance(value, str) else value)
        if checked not in self:
            self._draft[place] = checked

    @overload
    def __delitem__(self, index: int) -> None: ...
    @overload
    def __delitem__(self, index: slice) -> None: ...
    def __delitem__(self, index: int | slice) -> None:
        del self._draft[self._draft_index(index)]

    def insert(self, index: int, value: str) -> None:
        """Add a type, unless it is there.

        Raises:
            ValueError: it may not be called so.
            IndexError: the place is among the saved types.
        """
        (checked,) = checked_types([value])
        if checked in self:
            return
        place = min(index, len(self)) if index >= 0 else max(0, len(self) + index)
        if place < len(self._saved):
            raise IndexError(f"index {index}: types that are saved keep their places; append")
        self._draft.insert(place - len(self._saved), checked)

    def remove(self, value: str) -> None:
        """Take back a type that is not saved yet.

        Raises:
            ValueError: it is saved, and stays; or it is not there.
        """
        if value in self._saved:
            raise ValueError(f"artifact type {value!r} is saved in the registry: it stays there")
        if value not in self._draft:
            raise ValueError(f"artifact type {value!r} is not in the list")
        self._draft.remove(value)

    def _draft_index(self, index: int | slice) -> int:
        """Return a place among the types that are not saved.

        Raises:
            TypeError: it is a slice.
            IndexError: there is no such place.
            ValueError: it is among the saved types.
        """
        if isinstance(index, slice):
            raise TypeError("slices of artifact types cannot be changed: change one at a time")
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index}: there are {len(self)} types")
        place = index % len(self) - len(self._saved)
        if place < 0:
            raise ValueError(f"index {index}: types that are saved cannot be changed or removed")
        return place
