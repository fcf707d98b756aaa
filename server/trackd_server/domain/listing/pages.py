"""Pages of long lists: a page goes on after the last row's key, so that page 1,000 costs as page 1.

A cursor holds the order, the value and the id of a row. Rows that come or go meanwhile neither
repeat nor hide others.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import tuple_

from trackd_server.domain.errors import InvalidRequest
from trackd_server.domain.listing.fields import storable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement, Connection, Select

#: Entries of a page when the client names no number, and the most it gets.
DEFAULT_PAGE = 50
MAX_PAGE = 10_000


@dataclass(frozen=True)
class Order:
    """By what a list is sorted; the value is never null, rows of equal value go by id."""

    name: str
    column: ColumnElement[Any]
    descending: bool = True


@dataclass(frozen=True)
class Page:
    """The ids of one page, a cursor for each, and whether more follow."""

    ids: list[int]
    cursors: list[str]
    has_more: bool


@dataclass(frozen=True)
class Range:
    """Which page is asked for."""

    after: str | None = None
    first: int | None = None

    @property
    def count(self) -> int:
        """Return how many rows the page may have."""
        return min(max(DEFAULT_PAGE if self.first is None else self.first, 0), MAX_PAGE)


def order(text: str | None, columns: Mapping[str, ColumnElement[Any]], default: Order) -> Order:
    """Return the order that a client writes as `+name` or `-name`."""
    if not text or not text.strip():
        return default
    name = text.strip()
    found = columns.get(name.lstrip("+-"))
    if found is None:
        known = ", ".join(sorted(columns))
        raise InvalidRequest(f"Invalid order {text[:100]!r}; lists can be ordered by {known}.")
    return Order(name.lstrip("+-"), found, name.startswith("-"))


def page(
    connection: Connection,
    rows: Select[*tuple[Any, ...]],
    id_: ColumnElement[Any],
    by: Order,
    asked: Range,
) -> Page:
    """Return the page of `rows` (a select of anything; its columns are replaced)."""
    key = tuple_(by.column, id_)
    if asked.after:
        last = tuple_(*_read(asked.after, by))
        rows = rows.where(key < last if by.descending else key > last)
    direction = (by.column.desc(), id_.desc()) if by.descending else (by.column, id_)
    chosen = rows.with_only_columns(id_, by.column).order_by(*direction).limit(asked.count + 1)
    found = connection.execute(chosen).all()
    shown = found[: asked.count]
    return Page(
        [row[0] for row in shown],
        [_cursor(by, row[1], row[0]) for row in shown],
        len(found) > len(shown),
    )


def _cursor(by: Order, value: Any, id_: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([_mark(by), value, id_]).encode()).decode()


def _read(cursor: str, by: Order) -> tuple[Any, int]:
    try:
        mark, value, id_ = json.loads(base64.urlsafe_b64decode(cursor))
        if mark == _mark(by) and isinstance(id_, int):
            return storable(value), storable(id_)
    except (ValueError, TypeError, RecursionError):
        pass
    raise InvalidRequest(
        f"Invalid cursor {cursor[:100]!r}: it was not made by this server for this order."
    )


def _mark(by: Order) -> str:
    return ("-" if by.descending else "+") + by.name
