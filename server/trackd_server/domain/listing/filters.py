"""Filters of W&B's Public API (JSON text, in the style of MongoDB) as conditions of SQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import and_, false, func, not_, or_, true

from trackd_server.domain.errors import InvalidRequest
from trackd_server.domain.listing.fields import Field, listed

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    Condition = ColumnElement[bool]

#: Comparisons of one filter, and how deep it may be nested: SQLite refuses deep expressions.
MAX_CLAUSES = 200
MAX_DEPTH = 20

#: A list's fields by name. A function makes a field of what follows the name and a dot.
Fields = Mapping[str, Field | Callable[[str], Field]]


def condition(text: str | None, fields: Fields) -> Condition:
    """Return what a row must fulfil to pass a filter; everything passes an empty one."""
    if not text:
        return true()
    try:
        wanted: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"Invalid filters: no JSON text ({error}).") from error
    return _Reader(fields).all_of(wanted, 0) if wanted else true()


class _Reader:
    """Reads one filter and counts what it has met."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self._clauses = 0

    def all_of(self, wanted: Any, depth: int) -> Condition:
        if not isinstance(wanted, dict):
            raise InvalidRequest("Invalid filters: an object was expected.")
        if depth > MAX_DEPTH:
            raise InvalidRequest(f"Invalid filters: they are nested deeper than {MAX_DEPTH}.")
        clauses = cast("dict[str, Any]", wanted).items()
        return and_(true(), *(self._clause(key, value, depth) for key, value in clauses))

    def _clause(self, key: str, wanted: Any, depth: int) -> Condition:
        if key == "$not":
            return _negated(self.all_of(wanted, depth + 1))
        if key in ("$and", "$or", "$nor"):
            parts = [self.all_of(part, depth + 1) for part in listed(key, wanted)]
            if key == "$and":
                return and_(true(), *parts)
            return or_(false(), *parts) if key == "$or" else _negated(or_(false(), *parts))
        return self._comparison(self._field(key), wanted, depth)

    def _comparison(self, field: Field, wanted: Any, depth: int) -> Condition:
        self._clauses += 1
        if self._clauses > MAX_CLAUSES:
            raise InvalidRequest(f"Invalid filters: the most are {MAX_CLAUSES} comparisons.")
        if depth > MAX_DEPTH:
            raise InvalidRequest(f"Invalid filters: they are nested deeper than {MAX_DEPTH}.")
        if isinstance(wanted, list):
            return field.condition("$in", wanted)
        if not isinstance(wanted, dict):
            return field.condition("$eq", wanted)
        operators = cast("dict[str, Any]", wanted)
        if not operators or not all(name.startswith("$") for name in operators):
            raise InvalidRequest("Invalid filters: operators such as $eq and $in were expected.")
        return and_(
            true(),
            *(
                _negated(self._comparison(field, operand, depth + 1))
                if name == "$not"
                else self._operator(field, name, operand)
                for name, operand in operators.items()
            ),
        )

    def _operator(self, field: Field, name: str, operand: Any) -> Condition:
        if name == "$eq" and isinstance(operand, list):
            name = "$in"
        elif name == "$ne" and isinstance(operand, list):
            name = "$nin"
        return field.condition(name, operand)

    def _field(self, key: str) -> Field:
        root, _, rest = key.partition(".")
        found = self._fields.get(root)
        if found is None:
            known = ", ".join(sorted(self._fields))
            raise InvalidRequest(f"Invalid filters: no field {key[:100]!r}; there are {known}.")
        return found(rest) if callable(found) else found


def _negated(inner: Condition) -> Condition:
    """Return the opposite; a comparison with a missing value is false, not unknown."""
    return not_(func.coalesce(inner, false()))
