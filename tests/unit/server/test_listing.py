"""Filters and pages of long lists, against a table in SQLite."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    Column,
    Float,
    Integer,
    MetaData,
    Table,
    Text,
    create_engine,
    insert,
    literal,
    select,
)

from trackd_server.domain.errors import InvalidRequest
from trackd_server.domain.listing import filters, pages
from trackd_server.domain.listing.fields import Document, Many, Moment, Number, Scalar, Version
from trackd_server.domain.listing.pages import Order, Range
from trackd_server.store import Database, SearchTooSlow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

metadata = MetaData()
things = Table(
    "things",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text),
    Column("made", Float),
    Column("index", Integer),
    Column("facts", Text),
)
labels = Table("labels", metadata, Column("thing", Integer), Column("label", Text))

FIELDS: filters.Fields = {
    "id": Number(things.c.id, "Thing"),
    "name": Scalar(things.c.name),
    "made": Moment(things.c.made),
    "version": Version(things.c.index),
    "label": Many(labels, labels.c.label, labels.c.thing == things.c.id),
    "metadata": lambda path: Document(things.c.facts, path),
}
ROWS: list[dict[str, Any]] = [
    {
        "id": 1,
        "name": "alpha",
        "made": 100.0,
        "index": 0,
        "facts": '{"acc": 0.5, "deep": {"a": 1}}',
    },
    {"id": 2, "name": "beta", "made": 200.0, "index": 1, "facts": '{"acc": "high", "on": true}'},
    {"id": 3, "name": "Gamma", "made": 300.0, "index": 2, "facts": '{"acc": 0.9, "on": null}'},
    {"id": 4, "name": None, "made": 400.0, "index": 12, "facts": "no JSON"},
]
LABELS = [(1, "x"), (1, "y"), (2, "y"), (3, "z z")]


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as opened:
        metadata.create_all(opened)
        opened.execute(insert(things), ROWS)
        opened.execute(insert(labels), [{"thing": a, "label": b} for a, b in LABELS])
        yield opened
    engine.dispose()


def found(connection: Connection, wanted: Any) -> list[int]:
    where = filters.condition(json.dumps(wanted), FIELDS)
    return list(
        connection.execute(select(things.c.id).where(where).order_by(things.c.id)).scalars()
    )


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, [1, 2, 3, 4]),
        ({"name": "beta"}, [2]),
        ({"name": None}, [4]),
        ({"name": {"$ne": "beta"}}, [1, 3, 4]),
        ({"name": {"$in": ["beta", None]}}, [2, 4]),
        ({"name": {"$nin": ["beta"]}}, [1, 3, 4]),
        ({"name": ["alpha", "beta"]}, [1, 2]),
        ({"name": {"$regex": "^(al|be)"}}, [1, 2]),
        ({"name": {"$contains": "AM"}}, [3]),
        ({"name": {"$exists": False}}, [4]),
        ({"name": {"$not": {"$regex": "a$"}}}, [4]),
        ({"$not": {"name": "beta"}}, [1, 3, 4]),
        ({"$or": [{"name": "alpha"}, {"id": 3}]}, [1, 3]),
        ({"$nor": [{"name": "alpha"}, {"id": 3}]}, [2, 4]),
        ({"$and": [{"id": {"$gt": 1}}, {"id": {"$lte": 3}}]}, [2, 3]),
        ({"id": {"$gte": 2, "$lt": 4}}, [2, 3]),
        ({"id": "VGhpbmc6Mg=="}, [2]),
        ({"id": "2"}, [2]),
        ({"id": "nonsense"}, []),
        ({"made": {"$gt": "1970-01-01T00:03:19"}}, [2, 3, 4]),
        ({"made": {"$lt": "1970-01-01T01:03:20+01:00"}}, [1]),
        ({"version": "v12"}, [4]),
        ({"version": {"$in": ["v0", 2, "1"]}}, [1, 2, 3]),
        ({"version": {"$gte": "v2"}}, [3, 4]),
        ({"version": {"$regex": "v1"}}, [2, 4]),
        ({"version": "latest"}, []),
        ({"label": "y"}, [1, 2]),
        ({"label": {"$ne": "y"}}, [3, 4]),
        ({"label": {"$in": ["x", "z z"]}}, [1, 3]),
        ({"label": {"$nin": ["x", "z z"]}}, [2, 4]),
        ({"label": {"$all": ["x", "y"]}}, [1]),
        ({"label": {"$all": []}}, []),
        ({"label": {"$size": 1}}, [2, 3]),
        ({"label": {"$exists": False}}, [4]),
        ({"label": {"$regex": "z"}}, [3]),
        ({"metadata.acc": 0.5}, [1]),
        ({"metadata.acc": {"$gt": 0.1}}, [1, 3]),
        ({"metadata.acc": {"$gte": "a"}}, [2]),
        ({"metadata.deep.a": 1}, [1]),
        ({"metadata.on": True}, [2]),
        ({"metadata.on": {"$exists": True}}, [2, 3]),
        ({"metadata.acc": {"$regex": "ig"}}, [2]),
        ({"id": 1 << 80}, []),
    ],
)
def test_a_filter_finds_what_mongo_would(
    connection: Connection, wanted: Any, ids: list[int]
) -> None:
    assert found(connection, wanted) == ids


@pytest.mark.parametrize(
    "wanted",
    [
        "no JSON",
        "[1]",
        '{"colour": 1}',
        '{"name": {"$near": 1}}',
        '{"name": {"$regex": "("}}',
        '{"name": {"a": 1}}',
        '{"name": {"$in": "alpha"}}',
        '{"$and": {"name": 1}}',
        '{"made": "yesterday"}',
        '{"name": "\\ud800"}',
        '{"metadata.a\\"b": 1}',
        json.dumps({"name": {"$in": ["a"] * 1_001}}),
        json.dumps({"name": {"$regex": "a" * 501}}),
        json.dumps({"$or": [{"name": "a"}] * 201}),
        '{"$and": [' * 30 + "{}" + "]}" * 30,
        '{"name": {"$not": ' * 30 + '"a"' + "}}" * 30,
        '{"$and": [' * 2_000 + "{}" + "]}" * 2_000,
    ],
)
def test_what_makes_no_sense_is_refused(wanted: str) -> None:
    with pytest.raises(InvalidRequest, match="Invalid"):
        filters.condition(wanted, FIELDS)


def test_a_regular_expression_may_not_search_for_ever(tmp_path: Path) -> None:
    database = Database(tmp_path / "trackd.sqlite")
    database.migrate()
    name = Scalar(literal("a" * 60, Text))
    endless = "((((((((((a{1,99}){1,99}){1,99}){1,99}))))))){1,99}b"
    with pytest.raises(SearchTooSlow, match="too long"), database.read() as connection:
        repeats = filters.condition(json.dumps({"name": {"$regex": endless}}), {"name": name})
        connection.execute(select(1).where(repeats)).all()
    with database.read() as connection:  # honest ones find what they always did
        wanted = filters.condition('{"name": {"$regex": "^(?!b)a+$"}}', {"name": name})
        assert connection.execute(select(1).where(wanted)).all()
    database.close()


@pytest.mark.parametrize("descending", [True, False])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    values=st.lists(st.sampled_from([1.0, 2.0, 2.5]), max_size=30),
    size=st.integers(min_value=1, max_value=7),
)
def test_pages_hold_each_row_once_in_order(
    connection: Connection, descending: bool, values: list[float], size: int
) -> None:
    connection.execute(things.delete())
    if values:
        connection.execute(insert(things), [{"made": value} for value in values])
    by = Order("made", things.c.made, descending)
    seen, after = list[int](), None
    while True:
        page = pages.page(connection, select(things.c.id), things.c.id, by, Range(after, size))
        seen += page.ids
        if not page.has_more:
            break
        assert len(page.ids) == size
        after = page.cursors[-1]
    rows = connection.execute(select(things.c.made, things.c.id)).all()
    assert seen == [row[1] for row in sorted(map(tuple, rows), reverse=descending)]


def test_rows_that_come_and_go_neither_repeat_nor_hide_others(connection: Connection) -> None:
    by = Order("id", things.c.id)
    first = pages.page(connection, select(things.c.id), things.c.id, by, Range(None, 2))
    connection.execute(insert(things), [{"id": 9}])
    connection.execute(things.delete().where(things.c.id == 3))
    rest = pages.page(connection, select(things.c.id), things.c.id, by, Range(first.cursors[-1], 9))
    assert (first.ids, rest.ids, rest.has_more) == ([4, 3], [2, 1], False)


@pytest.mark.parametrize("cursor", ["x", "bm9uZQ==", "WyItaWQiLCAxXQ==", "é"])
def test_a_foreign_cursor_is_refused(connection: Connection, cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        pages.page(
            connection,
            select(things.c.id),
            things.c.id,
            Order("id", things.c.id),
            Range(cursor, 1),
        )


def test_an_unknown_order_names_the_known_ones() -> None:
    with pytest.raises(InvalidRequest, match="ordered by made"):
        pages.order("-colour", {"made": things.c.made}, Order("id", things.c.id))
