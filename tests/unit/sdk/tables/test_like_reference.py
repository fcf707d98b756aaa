"""Types and cells of random tables, compared with what the real `wandb` makes of them."""

from __future__ import annotations

import datetime
import decimal
import importlib
import json
import logging
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trackd
from trackd.tables.cells import artifact_rows, run_rows

wandb: Any = pytest.importorskip("wandb")

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(width=16),
    st.sampled_from(["", "x", "é", "wandb-artifact://a/b"]),
    st.sampled_from([datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2, 3, 4, 5, 67)]),
    st.just(datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC)),
    st.sampled_from([np.int8(1), np.float16("nan"), np.bool_(False), np.datetime64("2024")]),
    st.sampled_from([b"b", 1j, np.zeros(2), np.zeros((2, 2)), np.array(3), object, len]),
    st.sampled_from([decimal.Decimal("1.5"), datetime.timedelta(1), np.str_("s"), range(2)]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        # The reference never returns from an empty list in a column of arrays; we do.
        st.lists(inner, min_size=1, max_size=3),
        st.tuples(inner),
        st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    ),
    max_leaves=5,
)
DTYPES = st.sampled_from([None, int, str, [int], dict, {"a": int}, [str, int], 1, bool, list])


@pytest.fixture(autouse=True)
def quiet() -> Any:
    """The reference logs what its faster encoder cannot do."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def types_of(module: Any, rows: list[Any], dtype: Any, *, optional: bool) -> Any:
    """Return which rows are refused, and the types in the end; None where it cannot be said."""
    wish: Any = [dtype] if isinstance(dtype, list) else dtype
    try:
        table = module.Table(columns=["c"], dtype=wish, optional=optional)
    except TypeError:
        return "refused"
    refused: list[int] = []
    for number, value in enumerate(rows):
        try:
            table.add_data(value)
        except TypeError:
            refused.append(number)
        except ValueError:  # the reference compares arrays in lists with None
            return None
    if module is wandb:
        types = table._column_types.to_json(None)
    else:
        types = table.column_type().columns.to_json(trackd.Artifact("a", "t"))
    return refused, json.loads(json.dumps(types, default=str))


@settings(max_examples=100)
@given(st.lists(VALUES, max_size=6), DTYPES, st.booleans())
def test_types_are_those_of_the_reference(rows: list[Any], dtype: Any, optional: bool) -> None:
    expected = types_of(wandb, rows, dtype, optional=optional)
    if expected is not None:
        assert types_of(trackd, rows, dtype, optional=optional) == expected


def shown(make: Any) -> Any:
    """Return JSON as values; `refused` where there is none."""
    try:
        return json.loads(make())
    except (TypeError, ValueError):
        return "refused"


@settings(max_examples=100)
@given(VALUES)
def test_cells_of_an_artifact_are_those_of_the_reference(value: Any) -> None:
    utils: Any = importlib.import_module("wandb.sdk.data_types.utils")
    expected = shown(lambda: json.dumps(utils._json_helper(value, None)))
    ours = shown(lambda: json.dumps(artifact_rows([[value]], None, set())[0][0]))  # pyright: ignore[reportArgumentType]
    assert repr(ours) == repr(expected)


@settings(max_examples=100)
@given(VALUES)
def test_cells_of_a_file_are_those_of_the_reference(value: Any) -> None:
    media: Any = importlib.import_module("wandb.sdk.data_types.base_types.media")
    expected = shown(
        lambda: wandb.util.json_dumps_safer(media._numpy_arrays_to_lists({"d": [[value]]}))
    )
    ours = shown(lambda: json.dumps({"d": run_rows([[value]])}))
    assert repr(ours) == repr(expected)
