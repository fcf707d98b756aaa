"""The records in the frames: round trips, growth of the format, refusals."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackd_proto import records
from trackd_proto.records import Kind, Row, Start

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab/._\0é"), inner),
    max_leaves=20,
)


def same(one: Any, other: Any) -> bool:
    """Compare with NaN equal to NaN, and 1 different from 1.0 and True."""
    return repr(one) == repr(other)


@given(data=st.dictionaries(st.text("abc/"), VALUES), time_s=st.floats(-1e10, 1e11))
def test_a_row_comes_back_as_it_was(data: dict[str, Any], time_s: float) -> None:
    row = Row(time_s, 1.5, data, step=7, commit=False)
    assert same(records.decode(Kind.ROW, records.encode(row)), row)
    assert same(records.decode_row(records.encode(row)), row)


def example_of(kind: Kind) -> msgspec.Struct:
    """Return a record with every required field set by its type."""
    type_ = records.RECORD_TYPES[kind]
    examples: dict[Any, Any] = {str: "/text", int: 3, float: 1.25, dict: {"a": 1}, list: []}
    values: list[Any] = []
    for field in msgspec.structs.fields(type_):
        if field.required:
            origin = getattr(field.type, "__origin__", field.type)
            values.append(examples[origin])
    return type_(*values)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_record_comes_back(kind: Kind) -> None:
    record = example_of(kind)
    assert records.decode(kind, records.encode(record)) == record
    assert records.decode(int(kind), memoryview(records.encode(record))) == record


@pytest.mark.parametrize("kind", list(Kind))
def test_a_newer_writer_may_have_added_fields(kind: Kind) -> None:
    record = example_of(kind)
    fields = msgspec.msgpack.decode(records.encode(record))
    newer = msgspec.msgpack.encode([*fields, "a field of the future", 42])
    assert records.decode(kind, newer) == record


@pytest.mark.parametrize("kind", list(Kind))
@given(payload=st.binary(max_size=60))
def test_no_payload_makes_decoding_fail_with_anything_but_a_value_error(
    kind: Kind, payload: bytes
) -> None:
    with contextlib.suppress(ValueError):
        records.decode(kind, payload)


def test_an_unknown_kind_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="200"):
        records.decode(200, b"")


def test_nan_and_infinities_are_plain_floats() -> None:
    row = Row(0.0, 0.0, {"a": math.nan, "b": math.inf, "c": -math.inf})
    data = records.decode_row(records.encode(row)).data
    assert math.isnan(data["a"])
    assert (data["b"], data["c"]) == (math.inf, -math.inf)


@pytest.mark.parametrize(
    ("value", "error"),
    [(object(), TypeError), (2**64, OverflowError), ("\ud800", UnicodeEncodeError)],
)
def test_what_cannot_be_encoded_says_so(value: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        records.encode(Row(0.0, 0.0, {"a": value}))


def test_a_start_keeps_its_place_in_the_array() -> None:
    """Fields are found by position: the order here is the format."""
    names = [field.name for field in msgspec.structs.fields(Start)]
    assert names[:12] == [
        "run_id",
        "project",
        "entity",
        "label",
        "mode",
        "run_dir",
        "time_s",
        "pid",
        "sdk_version",
        "python_version",
        "host",
        "program",
    ]
    assert names.index("parent_producer") == 22
    assert [kind.value for kind in Kind] == list(range(1, 20))
