"""Odd values in history, summary and configuration: what the reference makes of them, so do we.

The functions of the installed reference that convert values are asked directly. The last tests
show where we differ on purpose.
"""

from __future__ import annotations

import json
import logging
import math
import warnings
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from tests.unit.sdk.values import odd_values

from trackd.recording.values import config_record, to_config, to_history, to_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SETS: dict[str, Callable[[], dict[str, Callable[[], Any]]]] = {
    "standard": lambda: odd_values.STANDARD,
    "containers": lambda: odd_values.CONTAINERS,
    "numpy": lambda: odd_values.NUMPY,
    "pandas": odd_values.pandas_values,
    "jax": odd_values.jax_values,
    "torch": odd_values.torch_values,
}
CASES = [
    (set_name, value_name)
    for set_name in ("standard", "containers", "numpy")
    for value_name in SETS[set_name]()
]
NAMES_OF_OPTIONAL = {"pandas": 15, "jax": 20, "torch": 15}


@pytest.fixture(scope="module")
def reference() -> Iterator[dict[str, Callable[[Any], Any]]]:
    """The reference's ways from a value to JSON, by the place that takes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from wandb import util
        from wandb.sdk import wandb_config
        from wandb.sdk.data_types import utils
        from wandb.sdk.interface import interface, summary_record

    logging.getLogger("wandb").setLevel(logging.CRITICAL)
    parts: Any = (util, wandb_config, utils, interface, summary_record)
    util_, config_, utils_, interface_, summary_ = parts

    def history(value: Any) -> Any:
        row = utils_.history_dict_to_json(None, {"k": value}, step=0)
        return util_.json_dumps_safer_history(row["k"])

    def config(value: Any) -> Any:
        made = config_.Config()
        made.update({"k": value})
        return util_.json_dumps_safer(util_.json_friendly(made.as_dict()["k"])[0])

    class Interface:
        _summary_encode = interface_.InterfaceBase._summary_encode

    def summary(value: Any) -> Any:
        record, item = summary_.SummaryRecord(), summary_.SummaryItem()
        item.key, item.value = ("k",), value
        record.update.append(item)
        made = interface_.InterfaceBase._make_summary(Interface(), record, run=object())
        return made.update[0].value_json

    yield {"history": history, "config": config, "summary": summary}


OURS_BY_PLACE: dict[str, Callable[[Any], Any]] = {
    "history": to_history,
    "config": lambda value: config_record({"k": to_config(value)})["k"],
    "summary": to_summary,
}


def comparable(value: Any) -> Any:
    """Return a value such that equal JSON is equal: NaN is itself, integers are floats."""
    if isinstance(value, float) and math.isnan(value):
        return "<NaN>"
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, list):
        return [comparable(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {key: comparable(item) for key, item in items}
    return value


def outcome(convert: Callable[[Any], Any], value: Any, *, is_text: bool) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numpy, about casts
        try:
            made = convert(value)
        except Exception as error:  # noqa: BLE001 - its kind is what is compared
            return f"raises {type(error).__name__}"
    return comparable(json.loads(made if is_text else json.dumps(made)))


def check(make: Callable[[], Any], place: str, reference: dict[str, Callable[[Any], Any]]) -> None:
    expected = outcome(reference[place], make(), is_text=True)
    assert outcome(OURS_BY_PLACE[place], make(), is_text=False) == expected


@pytest.mark.parametrize("place", sorted(OURS_BY_PLACE))
@pytest.mark.parametrize(("set_name", "value_name"), CASES)
def test_an_odd_value_becomes_what_the_reference_makes_of_it(
    reference: dict[str, Callable[[Any], Any]], set_name: str, value_name: str, place: str
) -> None:
    check(SETS[set_name]()[value_name], place, reference)


@pytest.mark.parametrize("place", sorted(OURS_BY_PLACE))
@pytest.mark.parametrize("set_name", sorted(NAMES_OF_OPTIONAL))
def test_values_of_a_library_become_what_the_reference_makes_of_them(
    reference: dict[str, Callable[[Any], Any]], set_name: str, place: str
) -> None:
    values = SETS[set_name]()
    assert len(values) == NAMES_OF_OPTIONAL[set_name]
    for make in values.values():
        check(make, place, reference)


def test_where_the_reference_fails_for_no_reason_we_record() -> None:
    assert to_history(np.ma.masked) is None  # a circular reference there
    assert to_history(np.ma.array([1], mask=[True])) is None
    assert to_history(np.clongdouble(1 + 2j)) == "1+2j"  # endless recursion there


def test_tensors_that_the_reference_refuses() -> None:
    torch: Any = pytest.importorskip("torch")
    assert to_history(torch.tensor([1.5, 2.5], dtype=torch.bfloat16)) == [1.5, 2.5]
    assert to_history(torch.nn.Parameter(torch.ones(2))) == [1.0, 1.0]
    assert to_history(torch.tensor([1 + 2j, 2]).conj()) == ["1-2j", "2-0j"]


def test_text_that_utf8_cannot_hold_is_mended() -> None:
    assert to_history("a\ud800b") == "a\ufffdb"
    assert to_history({"\ud800": "\ud83d\ude00"}) == {"\ufffd": "😀"}


def test_integers_beyond_any_float_are_infinite() -> None:
    assert to_history(10**400) == math.inf
    assert to_history(-(10**400)) == -math.inf


def test_an_endless_iterator_is_refused() -> None:
    from itertools import count

    with pytest.raises(ValueError, match="iterator of more than"):
        to_history(count())


def test_the_configuration_reads_as_it_was_written() -> None:
    kept = to_config({"names": {0: "cat", 1: "dog"}, "big": 2**70, "c": 1 + 2j, "t": (1, {2})})
    assert kept == {"names": {0: "cat", 1: "dog"}, "big": 2**70, "c": 1 + 2j, "t": [1, [2]]}
    assert config_record(kept) == {
        "names": {"0": "cat", "1": "dog"},
        "big": float(2**70),
        "c": "1+2j",
        "t": [1, [2]],
    }
