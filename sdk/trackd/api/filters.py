"""Checking what a search is given: filters in the manner of MongoDB, and an order.

A filter is a dictionary of fields and values, or of `$and`, `$or`, `$nor`, `$not` over such. A
field may have a path behind a dot (`metadata.loss`). Names that users know are mapped to those of
the server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: `+field` or `-field`; without a sign it ascends.
_ORDER = re.compile(r"([+-])?([a-zA-Z_][a-zA-Z0-9_]*)")
_OF_MANY = ("$and", "$or", "$nor")
_OF_ONE = "$not"
#: Filters inside filters at most.
_MAX_DEPTH = 50


def names(*fields: str, **others: str) -> dict[str, str]:
    """Return a table of field names: `fields` are the server's own, `others` mean one of them."""
    return {field: field for field in fields} | others


def checked_order(order: str | None, fields: Mapping[str, str] | None = None) -> str | None:
    """Return an order as the server wants it, with its sign.

    Args:
        order: `+field`, `-field`, `field`; None: the server's own.
        fields: names that may be used and what the server calls them; None: any.

    Raises:
        ValueError: it is no order, or not of such a field.
        TypeError: it is no text.
    """
    if order is None:
        return None
    if not isinstance(order, str):  # pyright: ignore[reportUnnecessaryIsInstance] - users' values
        raise TypeError(f"order={order!r}: give a text such as '+name'")
    matched = _ORDER.fullmatch(order)
    if matched is None:
        raise ValueError(f"order={order!r} is no order: write '+field' or '-field'")
    sign, name = matched.groups()
    if fields is not None:
        if name not in fields:
            raise ValueError(f"order={order!r}: the fields are {', '.join(sorted(fields))}")
        name = fields[name]
    return f"{sign or '+'}{name}"


def checked_filter(
    given: Mapping[str, Any] | None,
    fields: Mapping[str, str],
    transform: Mapping[str, Callable[[Any], Any]] | None = None,
) -> dict[str, Any] | None:
    """Return a filter with the server's names.

    Args:
        given: the filter; None: there is none.
        fields: names that may be used and what the server calls them.
        transform: what becomes of the values of some fields.

    Raises:
        ValueError: it names a field that cannot be searched, or one twice, or is too deep.
        TypeError: it, or a filter in it, is no dictionary.
    """
    if given is None:
        return None
    if unknown := sorted({name for name in _fields(given) if name.partition(".")[0] not in fields}):
        raise ValueError(
            f"filter: {', '.join(unknown)} cannot be searched; the fields are "
            f"{', '.join(sorted(fields))}"
        )
    return _translated(given, fields, transform or {})


def as_json(given: Mapping[str, Any] | None) -> str | None:
    """Return a filter as it is sent."""
    return None if given is None else json.dumps(given)


def _fields(given: object, depth: int = 0) -> Iterator[str]:
    """Yield the names of the fields of a filter; check its form."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"filter: more than {_MAX_DEPTH} filters inside one another")
    if not isinstance(given, Mapping):
        raise TypeError(f"filter: {given!r} has to be a dictionary")
    for key, value in cast("Mapping[str, Any]", given).items():
        if key in _OF_MANY:
            if not isinstance(value, list | tuple):
                raise TypeError(f"filter: {key} has to be a list of filters")
            for part in cast("list[object]", value):
                yield from _fields(part, depth + 1)
        elif key == _OF_ONE:
            yield from _fields(value, depth + 1)
        elif not key.startswith("$"):
            yield key


def _translated(
    given: Mapping[str, Any],
    fields: Mapping[str, str],
    transform: Mapping[str, Callable[[Any], Any]],
) -> dict[str, Any]:
    translated: dict[str, Any] = {}
    for key, value in given.items():
        if key in _OF_MANY:
            name, meant = key, [_translated(part, fields, transform) for part in value]
        elif key == _OF_ONE:
            name, meant = key, _translated(value, fields, transform)
        elif key.startswith("$"):
            name, meant = key, value
        else:
            root, dot, rest = key.partition(".")
            name = f"{fields[root]}{dot}{rest}"
            meant = transform[name](value) if name in transform else value
        if name in translated:
            raise ValueError(f"filter: {key!r} is the second name of {name!r} in it: use one")
        translated[name] = meant
    return translated


def each_name(change: Callable[[str], str]) -> Callable[[Any], Any]:
    """Return what changes the names in the value of a filter, and leaves patterns alone."""

    def changed(value: Any) -> Any:
        if isinstance(value, str):
            return change(value)
        if isinstance(value, dict):
            parts = cast("dict[str, Any]", value)
            return {op: each if op == "$regex" else changed(each) for op, each in parts.items()}
        if isinstance(value, list | tuple):
            return [changed(each) for each in cast("list[Any]", value)]
        return value

    return changed
