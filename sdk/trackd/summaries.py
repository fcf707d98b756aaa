"""`run.summary`: reads ask the agent, writes are records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from trackd.recording.values import to_summary
from trackd_proto.records import SummaryUpdate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, KeysView, Mapping


@dataclass(frozen=True, slots=True)
class SummaryStore:
    """Where a summary is read and written; differs by mode of the run."""

    read: Callable[[], dict[str, Any]]
    write: Callable[[SummaryUpdate], None]


class Summary:
    """The latest value of each metric, and what was written here explicitly."""

    __slots__ = ("_path", "_store")

    _path: tuple[str, ...]
    _store: SummaryStore

    def __init__(self, store: SummaryStore, path: tuple[str, ...] = ()) -> None:
        object.__setattr__(self, "_store", store)
        object.__setattr__(self, "_path", path)

    def __getitem__(self, key: str) -> Any:
        value = self._values()[key]
        return Summary(self._store, (*self._path, key)) if isinstance(value, dict) else value

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        return self[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __setattr__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __delitem__(self, key: str) -> None:
        self._store.write(SummaryUpdate(set=[], remove=[[*self._path, key]]))

    def __delattr__(self, key: str) -> None:
        del self[key]

    def __contains__(self, key: object) -> bool:
        return key in self.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Summary):
            return self._values() == other._values()
        return self._values() == other

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._values())

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or the default where there is none."""
        try:
            return self[key]
        except KeyError:
            return default

    def keys(self) -> KeysView[str]:
        """Return the names, without `_wandb`."""
        return {key: None for key in self._values() if key != "_wandb"}.keys()

    def update(self, values: Mapping[str, Any]) -> None:
        """Write several values.

        Raises:
            TypeError: a value cannot be recorded.
        """
        changes: list[tuple[list[str], Any]] = []
        for key, value in values.items():
            try:
                changes.append(([*self._path, str(key)], to_summary(value)))
            except TypeError as error:
                raise TypeError(
                    f"summary: {key!r} holds {error}: convert it to a number, text, list or "
                    "dictionary"
                ) from None
        self._store.write(SummaryUpdate(set=changes))

    def _values(self) -> dict[str, Any]:
        values: Any = self._store.read()
        for key in self._path:
            values = cast("dict[str, Any]", values).get(key, {})
        return cast("dict[str, Any]", values)


class MemorySummary:
    """The summary of a disabled run: last values, kept in this process only."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def store(self) -> SummaryStore:
        """Return the access to this summary."""
        return SummaryStore(read=lambda: self.values, write=self.write)

    def write(self, update: SummaryUpdate) -> None:
        """Apply explicit writes."""
        for path, value in update.set:
            parent = self.values
            for part in path[:-1]:
                parent = parent.setdefault(part, {})
            parent[path[-1]] = value
        for path in update.remove:
            parent = self.values
            for part in path[:-1]:
                parent = parent.get(part, {})
            parent.pop(path[-1], None)
