"""Values of cells as JSON: in the run's file of a table, and in its artifact.

The two differ: the file shows media by the name of their class and times as ISO text, the
artifact holds the media's files and times as milliseconds since 1970.
"""

from __future__ import annotations

import datetime
import enum
import functools
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from trackd.recording.recordable import Recordable
from trackd.recording.values import KNOWN_TYPES, key_text, to_history, type_name
from trackd.tables.column_types import BooleanType, NumberType, is_array, numpy_scalar_type

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackd.artifacts import Artifact

_KEPT = frozenset({str, int, bool, type(None)})
_SCALARS = _KEPT | {float}
_NANOSECONDS_PER_MS = 1_000_000
_NOT_IN_PYTHON = frozenset({"longdouble", "clongdouble", "complex64", "complex128"})


@functools.lru_cache(KNOWN_TYPES)
def _is_number(kind: type[Any]) -> bool:
    """Say whether values of a class are numbers of numpy that Python has, too."""
    is_scalar = isinstance(numpy_scalar_type(kind), NumberType | BooleanType)
    return is_scalar and kind.__name__ not in _NOT_IN_PYTHON


def run_rows(rows: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
    """Return rows as the run's file holds them; NaN stays.

    Raises:
        TypeError: a value has no JSON form.
    """
    return [
        row if _SCALARS.issuperset(map(type, row)) else [_run_cell(value) for value in row]
        for row in rows
    ]


def artifact_rows(
    rows: Iterable[Sequence[Any]], artifact: Artifact, left_out: set[int]
) -> list[Sequence[Any]]:
    """Return rows as the artifact holds them; NaN becomes null.

    Args:
        rows: of the table.
        artifact: takes the files of media.
        left_out: numbers of columns that are stored elsewhere, as null.

    Raises:
        TypeError: a value has no JSON form.
    """
    shown: list[Sequence[Any]] = []
    for row in rows:
        kinds = set(map(type, row))
        if kinds <= _KEPT and not left_out:
            shown.append(row)
        elif kinds <= _SCALARS and not left_out:
            shown.append([None if value != value else value for value in row])
        else:
            shown.append(
                [
                    None if index in left_out else artifact_cell(value, artifact)
                    for index, value in enumerate(row)
                ]
            )
    return shown


def _run_cell(value: Any) -> Any:
    if _is_number(cast("type[Any]", type(value))):
        return value.item()
    if type(value) in _SCALARS or isinstance(value, str):
        return to_history(value) if isinstance(value, enum.Enum) else value
    if isinstance(value, Recordable):
        return type(value).__name__
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {key_text(key): _run_cell(item) for key, item in items}
    if isinstance(value, Sequence | set | frozenset):  # bytes, too: a list of numbers
        return [_run_cell(item) for item in cast("Iterable[Any]", value)]
    if hasattr(value, "tolist") or hasattr(value, "__array__"):
        plain = _plain_array(value)
        is_bare_array = is_array(value) and not isinstance(plain, list)
        return [_run_cell(plain)] if is_bare_array else _run_cell(plain)
    try:
        return to_history(value)
    except TypeError:
        raise _refusal(value) from None


def artifact_cell(value: Any, artifact: Artifact) -> Any:
    """Return one value as an artifact's JSON holds it.

    Raises:
        TypeError: it has no JSON form.
    """
    if _is_number(cast("type[Any]", type(value))):
        value = value.item()
    elif isinstance(value, enum.Enum):
        return value.name
    if type(value) in _KEPT or isinstance(value, str):
        return value
    if isinstance(value, float):
        return float(value) if value == value else None
    if to_artifact := getattr(value, "to_artifact", None):
        return to_artifact(artifact)
    if type(value) is dict:
        items = cast("dict[Any, Any]", value).items()
        return {key: artifact_cell(item, artifact) for key, item in items}
    if isinstance(value, list | tuple | set | frozenset):
        return [artifact_cell(item, artifact) for item in cast("Iterable[Any]", value)]
    if hasattr(value, "tolist") or hasattr(value, "__array__"):
        plain = _plain_array(value)
        is_fine = type(value).__name__ == "datetime64" and isinstance(plain, int)
        return artifact_cell(plain / _NANOSECONDS_PER_MS if is_fine else plain, artifact)
    return _artifact_object(value)


def _plain_array(value: Any) -> Any:
    """Return the numbers of an array, tensor or scalar."""
    plain = value.tolist() if hasattr(value, "tolist") else value.__array__().tolist()
    if type(plain) is not type(value):
        return plain
    return complex(value) if type(value).__name__.startswith("c") else float(value)


def _artifact_object(value: Any) -> Any:
    """Return what is no number, text or container."""
    if isinstance(value, datetime.date):
        return _milliseconds(value)
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, int):  # of a class of its own, such as the row number of a table
        return int(value)
    if callable(value):
        return f"{value.__module__}.{getattr(value, '__qualname__', type(value).__name__)}"
    raise _refusal(value)


def _refusal(value: Any) -> TypeError:
    return TypeError(
        f"a cell holds {value!r:.60} of type {type_name(value)}, which a table cannot record: "
        "convert it to text, numbers, lists or media"
    )


def _milliseconds(moment: datetime.date) -> int:
    """Return milliseconds since 1970; times without a zone are UTC."""
    if not isinstance(moment, datetime.datetime):
        moment = datetime.datetime(moment.year, moment.month, moment.day)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return int(moment.timestamp() * 1000)
