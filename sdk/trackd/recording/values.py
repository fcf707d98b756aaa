"""What may be logged, and what becomes of it: Python values to JSON-like ones.

numpy, torch and the like are never imported here: their scalars and arrays are known by what
they can do (`dtype` with `tolist`, `detach` with `cpu`), so that the SDK costs nothing where
they are absent. Plain scalars never come here on the fast path of `log()`.
"""

from __future__ import annotations

import enum
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from decimal import Decimal
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, cast

#: Types that MessagePack and JSON know by themselves.
SCALARS = frozenset({int, float, str, bool, type(None)})
MAX_DEPTH = 64
#: Arrays with more elements are histograms, which a later version records.
MAX_ARRAY_ELEMENTS = 32
_MAX_INT = 2**63 - 1
_MIN_INT = -(2**63)


class TooDeepError(ValueError):
    """A value is nested deeper than `MAX_DEPTH`."""


def to_history(value: Any, depth: int = 1) -> Any:
    """Return a value as it goes into a history row.

    Raises:
        TypeError: the value cannot be recorded.
        TooDeepError: it is nested too deep.
    """
    if depth > MAX_DEPTH:
        raise TooDeepError(f"nested deeper than {MAX_DEPTH} levels")
    return _convert(value, depth, to_history)


def to_config(value: Any, depth: int = 1) -> Any:
    """Return a value as it goes into the configuration: foreign objects become their text."""
    if depth > MAX_DEPTH:
        raise TooDeepError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, slice):
        sliced = cast("slice[Any, Any, Any]", value)
        parts = {"slice_start": sliced.start, "slice_step": sliced.step, "slice_stop": sliced.stop}
        return {name: to_config(part, depth + 1) for name, part in parts.items()}
    try:
        plain = _convert(value, depth, to_config)
    except TypeError:
        return clean_text(str(value))
    return None if isinstance(plain, float) and math.isnan(plain) else plain


def to_summary(value: Any, depth: int = 1) -> Any:
    """Return a value as it goes into the summary when it is written there explicitly.

    Raises:
        TypeError: the value cannot be recorded.
        TooDeepError: it is nested too deep.
    """
    if depth > MAX_DEPTH:
        raise TooDeepError(f"nested deeper than {MAX_DEPTH} levels")
    plain = _convert(value, depth, to_summary)
    return None if isinstance(plain, float) and math.isnan(plain) else plain


def clean_text(text: str) -> str:
    """Return text that UTF-8 can hold: lone surrogates become U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def clean_texts(value: Any) -> Any:
    """Return lists and dictionaries of plain values with every text in them cleaned."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list | tuple):
        return [clean_texts(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {clean_texts(key): clean_texts(item) for key, item in items}
    return value


def key_text(key: Any) -> str:
    """Return the key of a nested mapping as JSON writes it.

    Raises:
        TypeError: JSON has no form for such a key.
    """
    if isinstance(key, str):
        return clean_text(key)
    if key is None:
        return "null"
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, int | float):
        return str(key)
    raise TypeError(f"a key of type {type_name(cast('object', key))} in a nested mapping")


def type_name(value: object) -> str:
    """Return the type of a value as an error message shows it."""
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


_Convert = Callable[[Any, int], Any]


def _convert(value: Any, depth: int, recurse: _Convert) -> Any:
    kind = cast("type[Any]", type(value))
    return _find_converter(kind)(value, depth, recurse)


_Converter = Callable[[Any, int, _Convert], Any]


@functools.cache
def _find_converter(kind: type[Any]) -> _Converter:
    if kind in _UNCHANGED:
        return _same
    for base, converter in _BY_BASE:
        if issubclass(kind, base):
            return converter
    if is_dataclass(kind):
        return _dataclass
    if hasattr(kind, "detach") and hasattr(kind, "cpu"):
        return _tensor
    if hasattr(kind, "dtype") and hasattr(kind, "tolist"):
        is_scalar = any(base.__name__ == "generic" for base in kind.__mro__)
        return _array_scalar if is_scalar else _array
    if hasattr(kind, "__array__") and hasattr(kind, "dtype"):
        return _foreign_array
    return _refuse


def _same(value: Any, _depth: int, _recurse: _Convert) -> Any:
    return value


def _enumeration(value: enum.Enum, depth: int, recurse: _Convert) -> Any:
    # As the reference has it: rows hold the value, configurations the name.
    return recurse(value.value, depth) if recurse is to_history else value.name


def _integer(value: int, _depth: int, _recurse: _Convert) -> int | float:
    if _MIN_INT <= value <= _MAX_INT:
        return int(value)
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _real(value: float, _depth: int, _recurse: _Convert) -> float:
    return float(value)


def _text(value: str, _depth: int, _recurse: _Convert) -> str:
    return clean_text(str.__str__(value))


def _bytes(value: bytes | bytearray, _depth: int, _recurse: _Convert) -> str:
    return bytes(value).decode("utf-8", "replace")


def _mapping(value: Mapping[Any, Any], depth: int, recurse: _Convert) -> dict[str, Any]:
    return {key_text(key): recurse(item, depth + 1) for key, item in value.items()}


def _sequence(value: Any, depth: int, recurse: _Convert) -> list[Any]:
    if recurse is to_history and _UNCHANGED.issuperset(map(type, value)):
        return list(value)
    return [recurse(item, depth + 1) for item in value]


def _date(value: date, _depth: int, _recurse: _Convert) -> str:
    return value.isoformat()


def _decimal(value: Decimal, _depth: int, _recurse: _Convert) -> str:
    return str(value)


def _complex(value: complex, _depth: int, _recurse: _Convert) -> str:
    return str(value).strip("()")


def _callable(value: Any, _depth: int, _recurse: _Convert) -> str:
    return f"{value.__module__}.{value.__qualname__}"


def _dataclass(value: Any, depth: int, recurse: _Convert) -> dict[str, Any]:
    return {f.name: recurse(getattr(value, f.name), depth + 1) for f in fields(value)}


def _tensor(value: Any, depth: int, recurse: _Convert) -> Any:
    """Torch: numbers of at most 32 elements, brought to the host."""
    tensor = value.detach().cpu()
    if tensor.numel() > MAX_ARRAY_ELEMENTS:
        raise _too_long(tensor.numel())
    if tensor.numel() == 1:
        return recurse(tensor.item(), depth)
    return recurse(tensor.tolist(), depth)


def _foreign_array(value: Any, depth: int, recurse: _Convert) -> Any:
    return _array(value.__array__(), depth, recurse)


def _array_scalar(value: Any, depth: int, recurse: _Convert) -> Any:
    """Numpy scalars, the most usual guests of a row."""
    item = value.item()
    if type(item) is float and recurse is to_history:
        return item
    return _array(value, depth, recurse)


def _array(value: Any, depth: int, recurse: _Convert) -> Any:
    """Numpy scalars and arrays, and whatever offers the same methods."""
    size = int(value.size)
    if size > MAX_ARRAY_ELEMENTS:
        raise _too_long(size)
    if size != 1:
        return recurse(value.tolist(), depth)
    item = value.item()
    if type(item) is type(value):  # numpy's long double returns itself
        item = complex(item) if value.dtype.kind == "c" else float(item)
    if value.dtype.kind == "M":  # a date finer than microseconds comes as a plain integer
        return str(value.astype("datetime64[us]").item().isoformat())
    return recurse(item, depth)


def _refuse(value: Any, _depth: int, _recurse: _Convert) -> Any:
    raise TypeError(f"a value of type {type_name(value)}")


def _too_long(elements: int) -> TypeError:
    return TypeError(
        f"an array of {elements} elements (at most {MAX_ARRAY_ELEMENTS} are recorded as numbers)"
    )


_BY_BASE: tuple[tuple[type[Any] | tuple[type[Any], ...], _Converter], ...] = (
    (enum.Enum, _enumeration),
    (str, _text),
    (int, _integer),
    (float, _real),
    ((bytes, bytearray), _bytes),
    (Mapping, _mapping),
    ((list, tuple, set, frozenset), _sequence),
    (date, _date),
    (Decimal, _decimal),
    (complex, _complex),
    ((FunctionType, BuiltinFunctionType, MethodType, type), _callable),
)

_UNCHANGED = frozenset({bool, type(None), float})
