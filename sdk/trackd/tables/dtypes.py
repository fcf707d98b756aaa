"""What users may give as the type of a column."""

from __future__ import annotations

from typing import Any, cast

from trackd.tables.column_types import (
    SIMPLE,
    ColumnType,
    ConstType,
    ListType,
    PythonObjectType,
    TypedDictType,
    UnionType,
    is_numpy,
    media_type,
    numpy_scalar_type,
)
from trackd.tables.image_type import ImageType


def type_from(dtype: Any) -> ColumnType:
    """Return the type that a user's `dtype` means.

    Args:
        dtype: a type of this module, a class (`int`, `str`, `list`, `trackd.Image`, ...), a list
            of one such (a list of it) or of more (one of them), a dictionary of such by key, or
            any other value, which then is the only one.

    Raises:
        TypeError: the class needs more than its name, such as the shape of an array.
    """
    if isinstance(dtype, ColumnType):
        return dtype
    if isinstance(dtype, type):
        return _type_from_class(cast("type[Any]", dtype))
    if isinstance(dtype, list):
        parts = [type_from(part) for part in cast("list[Any]", dtype)]
        return UnionType(parts) if len(parts) > 1 else ListType(next(iter(parts), None))
    if isinstance(dtype, dict):
        given = cast("dict[Any, Any]", dtype)
        return TypedDictType({key: type_from(part) for key, part in given.items()})
    return ConstType(dtype)


def _type_from_class(kind: type[Any]) -> ColumnType:
    if issubclass(kind, ColumnType):
        return kind()
    if hasattr(kind, "empty_column_type"):
        return kind.empty_column_type()
    if kind in SIMPLE:
        return SIMPLE[kind]
    if kind is dict:
        return TypedDictType()
    if kind in (list, tuple, set, frozenset):
        return ListType()
    if is_numpy(kind, "ndarray"):
        raise TypeError("dtype=numpy.ndarray tells no shape: leave dtype out, the values tell it")
    if getattr(kind, "log_type", None) == ImageType.name:
        return ImageType()
    return media_type(kind) or numpy_scalar_type(kind) or PythonObjectType(kind.__name__)
