"""Payloads that no client of ours writes: refused where they are decoded, not where they hurt."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from tests.support.frames import start

from trackd_proto import records
from trackd_proto.records import Kind


def payload(value: object) -> bytes:
    return msgspec.msgpack.encode(value)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"k": value}
    return value


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, 1e300, -1e300])
def test_a_time_that_no_calendar_has_is_refused(seconds: float) -> None:
    cases: list[tuple[Kind, Any]] = [
        (Kind.ROW, [seconds, 1.0, {}]),
        (Kind.ROW, [1.0, seconds, {}]),
        (Kind.CONSOLE, [seconds, 1, "text"]),
        (Kind.STATS, [seconds, {}]),
        (Kind.EVENT, [seconds, "xid", "text", "gpu.0.xid", 79.0]),
        (Kind.EXIT, [0, 1.0, seconds]),
        (Kind.FOLLOWED, ["file", 1, "", [[1.0, seconds, {}]]]),
    ]
    for kind, fields in cases:
        with pytest.raises(ValueError, match="float"):
            records.decode(kind, payload(fields))
    row: list[Any] = [1.0, seconds, {}]
    with pytest.raises(ValueError, match="float"):
        records.decode_row(payload(row))


@pytest.mark.parametrize(
    "value",
    [
        b"bytes",
        {1: "number as key"},
        {None: 1},
        [{b"k": 1}],
        datetime(2026, 1, 1, tzinfo=UTC),
        msgspec.msgpack.Ext(5, b"x"),
        nested(400),
    ],
    ids=["bytes", "int key", "no key", "bytes key", "time", "extension", "deep"],
)
def test_a_value_that_json_cannot_hold_is_refused(value: object) -> None:
    cases: list[tuple[Kind, Any]] = [
        (Kind.CONFIG, [[[["k"], value]]]),
        (Kind.SUMMARY, [[[["k"], value]]]),
        (Kind.FOLLOWED, ["file", 1, "", [], [], [[["k"], value]]]),
        (Kind.ARTIFACT, ["name", "type", "c", "s", "digest", [], None, {"k": value}]),
        (Kind.START, start(config={"k": value})),
        (Kind.START, start(environment={"k": value})),
        (Kind.START, start(summary={"k": value})),
    ]
    for kind, fields in cases:
        with pytest.raises(ValueError, match=r"value|key"):
            records.decode(kind, payload(fields))


def test_a_value_without_a_key_or_far_below_is_refused() -> None:
    paths: list[list[str]] = [[], ["k"] * 3000]
    for path in paths:
        with pytest.raises(ValueError, match=r"key|deep"):
            records.decode(Kind.CONFIG, payload([[[path, 1]]]))


def test_nonsense_nested_without_end_is_refused() -> None:
    for kind in (Kind.TENSORBOARD, Kind.SUMMARY, Kind.ROW):
        with pytest.raises(ValueError):
            records.decode(kind, b"\x91" * 100_000)


def test_values_of_json_pass() -> None:
    values: dict[str, Any] = {"a": [1, 2.5, None, True, "x", {"b": math.nan}], "c": {}}
    update = records.ConfigUpdate([(["k"], values)])
    assert records.encode(records.decode(Kind.CONFIG, records.encode(update))) == records.encode(
        update
    )


@pytest.mark.parametrize("number", [-(2**63), -(2**53) - 1, 2**53 + 1, 2**63])
def test_a_number_that_readers_of_json_cannot_tell_is_refused(number: int) -> None:
    cases: list[tuple[Kind, Any]] = [
        (Kind.GAP, [number, "why"]),
        (Kind.ROW, [1.0, 1.0, {}, number]),
    ]
    for kind, fields in cases:
        with pytest.raises(ValueError, match="int"):
            records.decode(kind, payload(fields))
    with pytest.raises(ValueError, match="int"):
        records.decode(Kind.GAP, payload([-1, "why"]))


@pytest.mark.parametrize("folder", ["", "runs", "../runs", "s3://bucket", "/with\0zero"])
def test_a_folder_of_event_files_is_absolute(folder: str) -> None:
    with pytest.raises(ValueError, match="regex"):
        records.decode(Kind.TENSORBOARD, payload([folder]))
