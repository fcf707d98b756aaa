"""Fields that a filter may name, and how each compares: one class for each kind of value.

A field turns an operator of the MongoDB-like language of W&B's Public API into a condition of SQL.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, cast

from sqlalchemy import Text, and_, case, exists, false, func, not_, or_, select, true

from trackd_server.domain import names
from trackd_server.domain.errors import InvalidRequest
from trackd_server.store import patterns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import ColumnElement, FromClause

    Condition = ColumnElement[bool]

#: Values of one `$in`, and characters of one regular expression.
MAX_VALUES = 1_000


class Field(Protocol):
    """Something that a list can be filtered by."""

    def condition(self, operator: str, operand: Any) -> Condition:
        """Return what a row must fulfil; InvalidRequest if the operator does not fit."""
        ...


class Scalar:
    """A column of texts or numbers; subclasses say how an operand is read."""

    def __init__(self, column: ColumnElement[Any]) -> None:
        self.column = column

    def read(self, operand: Any) -> Any:
        """Return an operand as the column stores it."""
        return storable(operand)

    def condition(self, operator: str, operand: Any) -> Condition:
        """Return what a row must fulfil."""
        if operator in _SETS:
            values = [self.read(value) for value in listed(operator, operand)]
            found = or_(self.column.in_(values), _null_among(self.column, values))
            return not_(func.coalesce(found, false())) if operator == "$nin" else found
        if operator in _EQUALITY:
            same = self.column.is_not_distinct_from(self.read(operand))
            return not_(same) if operator == "$ne" else same
        if operator in ORDERS:
            return ORDERS[operator](self.column, self.read(operand))
        if operator == "$exists":
            return self.column.is_not(None) if operand else self.column.is_(None)
        if operator in _TEXTUAL:
            return _TEXTUAL[operator](self.text(), operand)
        raise InvalidRequest(f"Invalid filters: {operator} does not fit this field.")

    def text(self) -> ColumnElement[Any]:
        """Return the value as texts are searched."""
        return self.column


class Moment(Scalar):
    """A time: Unix seconds in the table, ISO 8601 or seconds in a filter."""

    def read(self, operand: Any) -> float | None:
        """Return a time in Unix seconds."""
        if not isinstance(operand, str):
            return storable(operand)
        try:
            found = datetime.fromisoformat(operand)
        except ValueError as error:
            raise InvalidRequest(
                f"Invalid filters: {operand[:100]!r} is no time; write 2026-01-31T12:00:00."
            ) from error
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


class Number(Scalar):
    """The id of a row: plain, or as the server showed it to clients."""

    def __init__(self, column: ColumnElement[Any], *kinds: str) -> None:
        super().__init__(column)
        self._kinds = kinds

    def read(self, operand: Any) -> Any:
        """Return the number behind an id; -1, which no row has, for what is none."""
        if not isinstance(operand, str):
            return storable(operand)
        if operand.isdecimal() and len(operand) < 19:
            return int(operand)
        for kind in self._kinds:
            try:
                return names.row_number(kind, operand)
            except InvalidRequest:
                continue
        return -1


class Version(Scalar):
    """A version: its number in the table, `v3`, `3` or 3 in a filter."""

    def read(self, operand: Any) -> Any:
        """Return the number of a version; -1, which none has, for what is none."""
        if not isinstance(operand, str):
            return storable(operand)
        digits = operand.removeprefix("v")
        return int(digits) if digits.isdecimal() and len(digits) < 19 else -1

    def text(self) -> ColumnElement[Any]:
        """Return `v3`."""
        return func.printf("v%d", self.column)


class Document(Scalar):
    """A value inside a column of JSON text, at a path such as `metadata.loss.final`."""

    def __init__(self, document: ColumnElement[Any], path: str) -> None:
        if '"' in path:
            raise InvalidRequest("Invalid filters: a key with quotes cannot be asked for.")
        place = "$" + "".join(f'."{part}"' for part in path.split(".")) if path else "$"
        sound = func.json_valid(document)
        super().__init__(case((sound, func.json_extract(document, storable(place)))))
        self._kind = case((sound, func.json_type(document, storable(place))))

    def condition(self, operator: str, operand: Any) -> Condition:
        """Return what a row must fulfil; SQL would hold any text for greater than any number."""
        found = super().condition(operator, operand)
        if operator in ORDERS:
            kinds = ("text",) if isinstance(operand, str) else ("integer", "real")
            return and_(self._kind.in_(kinds), found)
        if operator == "$exists":  # a key whose value is null is there
            return self._kind.is_not(None) if operand else self._kind.is_(None)
        return found

    def text(self) -> ColumnElement[Any]:
        """Return numbers as texts."""
        return self.column.cast(Text)


class Many:
    """Several values of a row in a table of their own, such as tags and aliases."""

    def __init__(self, table: FromClause, value: ColumnElement[Any], owned: Condition) -> None:
        self._table = table
        self._value = Scalar(value)
        self._owned = owned

    def condition(self, operator: str, operand: Any) -> Condition:
        """Return what a row's values must fulfil: one of them, for `$ne` and `$nin` none."""
        if operator == "$ne":
            return not_(self.condition("$eq", operand))
        if operator == "$nin":
            return not_(self.condition("$in", operand))
        if operator == "$exists":
            return self._any(true()) if operand else not_(self._any(true()))
        if operator == "$all":
            each = [self.condition("$eq", one) for one in listed(operator, operand)]
            return and_(*each) if each else false()
        if operator == "$size":
            count = select(func.count()).select_from(self._table).where(self._owned)
            return count.scalar_subquery() == storable(operand)
        return self._any(self._value.condition(operator, operand))

    def _any(self, inner: Condition) -> Condition:
        return exists(select(1).select_from(self._table).where(self._owned, inner))


def listed(operator: str, operand: Any) -> list[Any]:
    """Return an operand that must be a list."""
    if not isinstance(operand, list):
        raise InvalidRequest(f"Invalid filters: {operator} wants a list.")
    values = cast("list[Any]", operand)
    if len(values) > MAX_VALUES:
        raise InvalidRequest(
            f"Invalid filters: {operator} has {len(values)} values, the most are {MAX_VALUES}."
        )
    return values


def storable(value: Any) -> Any:
    """Return a scalar that SQLite can compare, else refuse it."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidRequest("Invalid filters: a text is no valid Unicode.") from error
        return value
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return float(value) if abs(value) < 1 << 1000 else float("inf")
    if value is None or isinstance(value, bool | int | float):
        return value
    raise InvalidRequest("Invalid filters: a text, a number, true, false or null was expected.")


def _matches(text: ColumnElement[Any], operand: Any) -> Condition:
    pattern = str(operand)
    try:
        patterns.require_valid(storable(pattern))
    except patterns.InvalidPattern as error:
        raise InvalidRequest(str(error)) from error
    return text.regexp_match(pattern)


def _contains(text: ColumnElement[Any], operand: Any) -> Condition:
    return func.instr(func.lower(text), func.lower(storable(str(operand)))) > 0


def _null_among(column: ColumnElement[Any], values: list[Any]) -> Condition:
    return column.is_(None) if None in values else false()


_SETS = ("$in", "$nin")
_EQUALITY = ("$eq", "$ne")
ORDERS: Mapping[str, Callable[[ColumnElement[Any], Any], Condition]] = {
    "$gt": lambda column, value: column > value,
    "$gte": lambda column, value: column >= value,
    "$lt": lambda column, value: column < value,
    "$lte": lambda column, value: column <= value,
}
_TEXTUAL: Mapping[str, Callable[[ColumnElement[Any], Any], Condition]] = {
    "$regex": _matches,
    "$contains": _contains,
}
