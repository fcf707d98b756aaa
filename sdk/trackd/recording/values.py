"""What may be recorded, and what becomes of it: Python values to JSON-like ones.

Three places take values, and the reference treats them differently:

* history (`to_history`): NaN stays NaN, an Enum is its value, large arrays are histograms;
* the summary (`to_summary`): NaN is null, an Enum is its name, large arrays are statistics;
* the configuration: what the user reads there (`to_config`) is nearly plain; foreign objects
  are their text. `config_record` makes the record of it.

Foreign libraries are never imported here. Plain scalars never come here on the fast path of
`log()`.
"""

from __future__ import annotations

import enum
import functools
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, cast

from trackd.messages.term import termwarn
from trackd.recording import arrays
from trackd.recording.recordable import Recordable
from trackd.recording.texts import (
    clean_text,
    complex_text,
    datetime_text,
    dotted_name,
    duration_text,
    kind_of,
    type_name,
)

#: Types that MessagePack and JSON know by themselves.
SCALARS = frozenset({int, float, str, bool, type(None)})
MAX_DEPTH = 64
#: An iterator with more items is taken to be endless.
MAX_ITERATED = 1_000_000
#: Types whose treatment is remembered; a program that makes types all the time fills no memory.
KNOWN_TYPES = 4096
#: Size from which on a value of the configuration or the summary is worth a warning.
LARGE_VALUE_BYTES = 100_000
_SMALL = frozenset({float, bool, type(None)})
_MAX_INT = 2**63 - 1
_MIN_INT = -(2**63)


class TooDeepError(ValueError):
    """A value is nested deeper than `MAX_DEPTH`."""


class Form(enum.Enum):
    """Where a value goes."""

    HISTORY = 1
    SUMMARY = 2


# Looking a member up in its class takes longer than the conversion of a number.
_HISTORY, _SUMMARY = Form.HISTORY, Form.SUMMARY


def to_history(value: Any, depth: int = 1) -> Any:
    """Return a value as it goes into a history row.

    Raises:
        TypeError: the value cannot be recorded.
        ValueError: its content cannot be recorded.
        TooDeepError: it is nested too deep.
    """
    if depth > MAX_DEPTH:
        check_depth(depth)
    return _find_converter(value.__class__)(value, _HISTORY, depth)  # `_plain`, one call less


def to_summary(value: Any, depth: int = 1) -> Any:
    """Return a value as it goes into the summary when it is written there explicitly.

    Raises:
        TypeError: the value cannot be recorded.
        ValueError: its content cannot be recorded.
        TooDeepError: it is nested too deep.
    """
    if isinstance(value, dict):
        check_depth(depth)
        items = cast("dict[Any, Any]", value).items()
        return {text_key(key): to_summary(item, depth + 1) for key, item in items}
    if isinstance(value, enum.Enum):
        return clean_text(value.name)
    if isinstance(value, date):
        return value.isoformat()
    warn_if_large(value)
    plain = _plain(value, _SUMMARY, depth)
    return None if arrays.is_nan(plain) else plain


def to_config(value: Any, depth: int = 1) -> Any:
    """Return a value as the user reads it from the configuration.

    Raises:
        TypeError: the value has no place in a configuration.
        TooDeepError: it is nested too deep.
    """
    check_depth(depth)
    if isinstance(value, dict):
        tree = cast("dict[Any, Any]", value)
        for key in tree:
            key_text(key)
        return {key: to_config(item, depth + 1) for key, item in tree.items()}
    if isinstance(value, slice):
        part = cast("slice[Any, Any, Any]", value)
        return {"slice_start": part.start, "slice_step": part.step, "slice_stop": part.stop}
    if isinstance(value, Recordable):
        raise TypeError(f"a value of type {type_name(value)}")
    value = _friendly(value)
    warn_if_large(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [to_config(item, depth + 1) for item in cast("Sequence[Any]", value)]
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_config(getattr(value, f.name), depth + 1) for f in fields(value)}
    if type(value) in SCALARS or type(value) is complex:
        return value
    return to_history(value) if type(value).__module__ == "builtins" else str(value)


def warn_if_large(value: Any) -> None:
    """Tell of a value of the configuration or the summary that every update sends whole."""
    if type(value) in _SMALL:
        return
    size_bytes = sys.getsizeof(value)
    if size_bytes > LARGE_VALUE_BYTES:
        termwarn(
            f"Serializing object of type {type(value).__name__} that takes {size_bytes} bytes: "
            "log it in a row, or save it as a file",
            repeat=False,
        )


def config_record(values: dict[str, Any]) -> dict[str, Any]:
    """Return values that `to_config` gave, by name, as they are recorded.

    Keys of nested mappings become text and integers have 64 bits; the user reads both unchanged.
    """
    return {clean_text(str(key)): to_history(value) for key, value in values.items()}


def key_text(key: Any) -> str:
    """Return the key of a nested mapping as JSON writes it.

    Raises:
        TypeError: JSON has no form for such a key.
    """
    if isinstance(key, str):
        return clean_text(str.__str__(key))
    if isinstance(key, tuple):
        return ",".join(key_text(part) for part in cast("tuple[Any, ...]", key))
    if not isinstance(key, list | frozenset | dict | Path):
        plain = key if type(key) in SCALARS else to_history(key)
        if isinstance(plain, bool):
            return "true" if plain else "false"
        if plain is None or isinstance(plain, int | float | str):
            return str(plain)
    raise TypeError(f"a key of type {type_name(cast('object', key))} in a nested mapping")


def text_key(key: Any) -> str:
    """Return the key of a mapping in the summary, which takes text only.

    Raises:
        TypeError: it is no text.
    """
    if not isinstance(key, str):
        raise TypeError(f"a key of type {type_name(key)} in a nested mapping: use {str(key)!r}")
    return clean_text(str.__str__(key))


def check_depth(depth: int) -> None:
    """Refuse what is nested too deep.

    Raises:
        TooDeepError: it is.
    """
    if depth > MAX_DEPTH:
        raise TooDeepError(f"nested deeper than {MAX_DEPTH} levels")


def _friendly(value: Any) -> Any:
    """Return a configuration value nearer to JSON, one level deep."""
    if arrays.is_tensor(kind_of(value)):
        value = arrays.tensor_to_numpy(value)
    kind = kind_of(value)
    if arrays.is_numpy_array(kind):
        if value.size == 1:
            return value.flatten()[0]
        return value.tolist() if value.size <= arrays.MAX_ARRAY_ELEMENTS else value
    if arrays.is_numpy_scalar(kind):
        value = arrays.scalar_to_python(value)
    elif isinstance(value, bytes):
        return value.decode()
    elif isinstance(value, date):
        return value.isoformat()
    elif callable(value):
        return dotted_name(value)
    elif isinstance(value, set):
        return tuple(cast("set[Any]", value))
    elif isinstance(value, enum.Enum):
        return value.name
    return None if arrays.is_nan(value) else value


# --- history and summary ---------------------------------------------------------------------

_Converter = Callable[[Any, Form, int], Any]


def _plain(value: Any, form: Form, depth: int) -> Any:
    if depth > MAX_DEPTH:
        check_depth(depth)
    return _find_converter(value.__class__)(value, form, depth)


@functools.lru_cache(KNOWN_TYPES)
def _find_converter(kind: type[Any]) -> _Converter:
    if kind in _UNCHANGED:
        return _same
    for base, converter in _BY_BASE:
        if issubclass(kind, base):
            return converter
    names = {f"{base.__module__}.{base.__name__}" for base in kind.__mro__}
    for test, converter in _BY_TEST:
        if test(kind):
            return converter
    if not _WRITTEN_AS_TEXT.isdisjoint(names):
        return lambda value, _form, _depth: str(value)
    return _refuse


def _same(value: Any, _form: Form, _depth: int) -> Any:
    return value


def _enumeration(value: enum.Enum, form: Form, depth: int) -> Any:
    return _plain(value.value, form, depth)


def _integer(value: int, _form: Form, _depth: int) -> int | float:
    if _MIN_INT <= value <= _MAX_INT:
        return int(value)
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else -float("inf")


def _real(value: float, _form: Form, _depth: int) -> float:
    return float(value)


def _text(value: str, _form: Form, _depth: int) -> str:
    return clean_text(str.__str__(value))


def _bytes(value: bytes | bytearray, _form: Form, _depth: int) -> str:
    return bytes(value).decode()


def _mapping(value: dict[Any, Any], form: Form, depth: int) -> dict[str, Any]:
    return {key_text(key): _plain(item, form, depth + 1) for key, item in value.items()}


def _sequence(value: Any, form: Form, depth: int) -> list[Any]:
    kinds = set(map(type, value))
    if kinds <= _UNCHANGED:
        return list(value)
    if kinds == {int} and min(value) >= _MIN_INT and max(value) <= _MAX_INT:
        return list(value)
    return [_plain(item, form, depth + 1) for item in value]


def _iterated(value: Iterator[Any], form: Form, depth: int) -> list[Any]:
    items = list(islice(value, MAX_ITERATED + 1))
    if len(items) > MAX_ITERATED:
        raise ValueError(f"an iterator of more than {MAX_ITERATED} items")
    return _sequence(items, form, depth)


def _datetime(value: datetime, _form: Form, _depth: int) -> str:
    return datetime_text(value)


def _date(value: date | time, _form: Form, _depth: int) -> str:
    return value.isoformat()


def _duration(value: timedelta, _form: Form, _depth: int) -> str:
    return duration_text(value)


def _decimal(value: Decimal, _form: Form, _depth: int) -> str:
    return str(value)


def _complex(value: complex, _form: Form, _depth: int) -> str:
    return complex_text(value)


def _callable(value: Any, _form: Form, _depth: int) -> str:
    return dotted_name(value)


def _path(value: Path, _form: Form, _depth: int) -> str:
    return clean_text(str(value))


def _pattern(value: Any, form: Form, depth: int) -> Any:
    return _plain(value.pattern, form, depth)


def _dataclass(value: Any, form: Form, depth: int) -> dict[str, Any]:
    return {f.name: _plain(getattr(value, f.name), form, depth + 1) for f in fields(value)}


def _model(value: Any, form: Form, depth: int) -> Any:
    return _plain(value.model_dump(), form, depth)


def _tensor(value: Any, form: Form, depth: int) -> Any:
    return _array_of(arrays.tensor_to_numpy(value), kind_of(value), form, depth)


def _array(value: Any, form: Form, depth: int) -> Any:
    return _array_of(value, kind_of(value), form, depth)


def _array_of(array: Any, kind: type[Any], form: Form, depth: int) -> Any:
    """Convert a numpy array, or what else a tensor without dimensions became."""
    if not arrays.is_numpy_array(kind_of(array)):
        return _plain(array, form, depth)
    if array.size == 1:
        return _plain(arrays.only_element(array), form, depth)
    if array.size <= arrays.MAX_ARRAY_ELEMENTS:
        return _plain(array.tolist(), form, depth)
    if form is _HISTORY:
        return _plain(arrays.histogram(array), form, depth)
    return _plain(arrays.statistics(array, kind), form, depth)


def _array_scalar(value: Any, form: Form, depth: int) -> Any:
    """Numpy scalars, the most usual guests of a row."""
    item = value.item()
    if type(item) is float:
        return None if form is _SUMMARY and item != item else item
    return _plain(arrays.scalar_to_python(value), form, depth)


def _refuse(value: Any, _form: Form, _depth: int) -> Any:
    raise TypeError(f"a value of type {type_name(value)}")


_UNCHANGED = frozenset({bool, type(None), float})
_BY_BASE: tuple[tuple[type[Any] | tuple[type[Any], ...], _Converter], ...] = (
    (enum.Enum, _enumeration),
    (str, _text),
    (int, _integer),
    (float, _real),
    ((bytes, bytearray), _bytes),
    (dict, _mapping),
    ((list, tuple, set, frozenset, deque), _sequence),
    (datetime, _datetime),
    ((date, time), _date),
    (timedelta, _duration),
    (Decimal, _decimal),
    (complex, _complex),
    (Path, _path),
    (Iterator, _iterated),
)
_BY_TEST: tuple[tuple[Callable[[type[Any]], bool], _Converter], ...] = (
    (arrays.is_numpy_array, _array),
    (arrays.is_numpy_scalar, _array_scalar),
    (arrays.is_tensor, _tensor),
    (is_dataclass, _dataclass),
    (lambda kind: kind.__module__ == "re" and kind.__name__ == "Pattern", _pattern),
    (lambda kind: hasattr(kind, "__pydantic_serializer__"), _model),
    (lambda kind: any("__call__" in vars(base) for base in kind.__mro__), _callable),
)
#: Types of the standard library that few programs load, by name.
_WRITTEN_AS_TEXT = frozenset(
    {"fractions.Fraction", "uuid.UUID"}
    | {f"ipaddress.IPv{v}{what}" for v in "46" for what in ("Address", "Network", "Interface")}
)
