"""`run.summary`: reads ask the agent, writes are records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from trackd.recording.recordable import Slot
from trackd.recording.rich_values import summary_value
from trackd.recording.row_check import fault, is_storage_failure
from trackd.recording.texts import clean_text, type_name
from trackd_proto.records import Kind, SummaryUpdate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, KeysView, Mapping

    from trackd.backends import RecordSink


class SummaryStore(Protocol):
    """Where a summary is read and written; differs by mode of the run."""

    def read(self) -> dict[str, Any]:
        """Return the values."""
        ...

    def write(self, values: list[tuple[tuple[str, ...], Any]]) -> None:
        """Set values, as the user gave them, by path."""
        ...

    def remove(self, path: tuple[str, ...]) -> None:
        """Remove what is at a path."""
        ...


class RecordedSummary:
    """A summary whose writes are records.

    Args:
        read: returns the values; None where nobody can tell them now.
        sink: returns what takes records now.
    """

    def __init__(
        self, read: Callable[[], dict[str, Any] | None], sink: Callable[[], RecordSink]
    ) -> None:
        self._read = read
        self._sink = sink
        #: What was read last, and written since: training must find what it wrote, whatever
        #: becomes of the agent.
        self._known = MemorySummary()

    def read(self) -> dict[str, Any]:
        """Return the values; where nobody can tell them, those that this process knows of."""
        found = self._read()
        if found is not None:
            self._known.values = found
        return self._known.values

    def write(self, values: list[tuple[tuple[str, ...], Any]]) -> None:
        """Record values by path.

        Raises:
            TypeError: a value cannot be recorded.
            ValueError: the content of a value cannot be recorded.
        """
        sink = self._sink()
        changes: list[tuple[list[str], Any]] = []
        for path, value in values:
            key = ".".join(path)
            try:
                plain = summary_value(value, sink.place, Slot(clean_text(key), "summary"))
            except Exception as error:  # noqa: BLE001 - raised again, with the key
                if not is_storage_failure(error) or sink.place is None:
                    raise fault(f"summary: {key!r}", error) from None
                sink.place.warn(f"summary: {key!r} is left out, its file is not stored: {error}")
            else:
                changes.append((list(map(clean_text, path)), plain))
        sink.record(Kind.SUMMARY, SummaryUpdate(set=changes))
        self._known.write([(tuple(path), plain) for path, plain in changes])

    def remove(self, path: tuple[str, ...]) -> None:
        """Record that what is at a path is gone."""
        self._sink().record(Kind.SUMMARY, SummaryUpdate(set=[], remove=[list(path)]))
        self._known.remove(path)


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
        self._store.remove((*self._path, key))

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

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (self._values(),)  # copies and pickles are plain dictionaries

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

        Args:
            values: by name: numbers, text, lists, nested dictionaries, arrays, media.

        Raises:
            TypeError: a value cannot be recorded.
            ValueError: the content of a value cannot be recorded.
            UsageError: the run is finished.
        """
        for key in values:
            if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(
                    f"summary: the key {key!r} is of type {type_name(key)}: "
                    f"keys are text, use {str(key)!r}"
                )
        self._store.write([((*self._path, key), value) for key, value in values.items()])

    def _values(self) -> dict[str, Any]:
        values: Any = self._store.read()
        for key in self._path:
            values = cast("dict[str, Any]", values).get(key) if isinstance(values, dict) else None
        # What was a mapping when this object was made may have been replaced by a number.
        return cast("dict[str, Any]", values) if isinstance(values, dict) else {}


class MemorySummary:
    """The summary of a disabled run: last values as given, kept in this process only."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """Return the values."""
        return self.values

    def write(self, values: list[tuple[tuple[str, ...], Any]]) -> None:
        """Set values by path."""
        for path, value in values:
            parent = self.values
            for part in path[:-1]:
                if not isinstance(parent.get(part), dict):
                    parent[part] = {}
                parent = parent[part]
            parent[path[-1]] = value

    def remove(self, path: tuple[str, ...]) -> None:
        """Remove what is at a path."""
        parent = self.values
        for part in path[:-1]:
            below = parent.get(part)
            parent = cast("dict[str, Any]", below) if isinstance(below, dict) else {}
        parent.pop(path[-1], None)
