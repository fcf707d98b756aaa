"""Values that leave more than numbers and text: media, lists of media, tables and figures.

They count at the top of a row and in nested mappings, as in the reference; elsewhere (inside
lists with other things) they cannot be recorded.
"""

from __future__ import annotations

import functools
import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from trackd.messages.root_logger import root_warning
from trackd.recording.recordable import Recordable, RunPlace, Slot
from trackd.recording.texts import clean_text, kind_of, type_name
from trackd.recording.values import (
    KNOWN_TYPES,
    MAX_DEPTH,
    check_depth,
    key_text,
    text_key,
    to_history,
    to_summary,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MATPLOTLIB = "matplotlib"
_LISTS = (list, tuple, range)


def row_value(value: Any, place: RunPlace | None, slot: Slot, depth: int = 1) -> Any:
    """Record a value of a row; return what stands for it there.

    Args:
        value: anything.
        place: the run; None where values leave nothing but themselves.
        slot: its innermost key, and the process's count of rows.
        depth: of nested mappings.

    Raises:
        TypeError: it cannot be recorded.
        ValueError: its content cannot be recorded.
        OSError: a file of it cannot be written.
    """
    if not isinstance(value, dict):
        found, plain = _record_rich(value, place, slot)
        return to_history(plain if found else value)
    check_depth(depth)
    tree: dict[str, Any] = {}
    for key, item in cast("dict[Any, Any]", value).items():
        name = key if key.__class__ is str and key.isascii() else key_text(key)
        if item.__class__ is float and depth < MAX_DEPTH:
            tree[name] = item
        elif is_rich(item.__class__):
            own = Slot(clean_text(str(key)), slot.step)
            tree[name] = row_value(item, place, own, depth + 1)
        else:
            tree[name] = to_history(item, depth + 1)
    return tree


def summary_value(value: Any, place: RunPlace | None, slot: Slot, depth: int = 1) -> Any:
    """Record a value that is written to the summary; return what stands for it there.

    Args:
        value: anything.
        place: the run; None where values leave nothing but themselves.
        slot: all its keys, joined with dots, and `summary`.
        depth: of nested mappings.

    Raises:
        TypeError: it cannot be recorded.
        ValueError: its content cannot be recorded.
        OSError: a file of it cannot be written.
    """
    if isinstance(value, dict):
        check_depth(depth)
        return {
            text_key(key): summary_value(
                item, place, Slot(f"{slot.key}.{clean_text(key)}", slot.step), depth + 1
            )
            for key, item in cast("dict[Any, Any]", value).items()
        }
    found, plain = _record_rich(value, place, slot)
    return to_summary(plain if found else value)


@functools.lru_cache(KNOWN_TYPES)
def is_rich(kind: type[Any]) -> bool:
    """Tell whether values of this type may leave more than numbers and text."""
    return issubclass(kind, (dict, ModuleType, *_LISTS)) or _find_maker(kind) is not None


def _record_rich(value: Any, place: RunPlace | None, slot: Slot) -> tuple[bool, Any]:
    """Record a value if it is rich; tell whether it is, and what stands for it."""
    kind = kind_of(value)
    if issubclass(kind, _LISTS):
        items = cast("Sequence[Any]", value)
        if not all(isinstance(item, Recordable) for item in items):
            return False, None
        return True, _record_list(items, _needed(place, items), slot) if items else []
    make = _find_maker(value if isinstance(value, ModuleType) else kind)
    if make is None:
        return False, None
    return True, make(value).to_history(_needed(place, value), slot)


def _record_list(items: Sequence[Any], place: RunPlace, slot: Slot) -> Any:
    """Record a list of recordables: as one object where all are of a type that has such a form."""
    first = cast("type[Recordable]", type(items[0]))
    limit = first.max_batch
    if not limit or not all(isinstance(item, first) for item in items):
        return [item.to_history(place, slot) for item in items]
    if len(items) > limit:
        root_warning(f"Only {limit} {first.__name__} will be uploaded.")
    return first.batch_to_history(items[:limit], place, slot)


def _needed(place: RunPlace | None, value: object) -> RunPlace:
    if place is None:
        raise TypeError(f"a value of type {type_name(value)} outside a run")
    return place


@functools.lru_cache(KNOWN_TYPES)
def _find_maker(kind: type[Any] | ModuleType) -> Callable[[Any], Recordable] | None:
    """Return what makes a recordable of values of this type; None where none does."""
    if isinstance(kind, ModuleType):
        is_figure = kind.__name__ == f"{_MATPLOTLIB}.pyplot"
        return _figure if is_figure else None
    if issubclass(kind, Recordable):
        return _itself
    for base in kind.__mro__:
        package = base.__module__.partition(".")[0]
        if package == "pandas" and base.__name__ == "DataFrame":
            return _table
        if package in (_MATPLOTLIB, "plotly"):
            return _figure
    return None


def _itself(value: Recordable) -> Recordable:
    return value


def _table(frame: Any) -> Recordable:
    return _load("trackd.tables", "Table")(dataframe=frame)


def _figure(figure: Any) -> Recordable:
    return _load("trackd.media.plotly", "Plotly").make_plot_media(figure)


def _load(module: str, name: str) -> Any:
    """Return a class of a room above this one, which only such values need."""
    return getattr(importlib.import_module(module), name)
