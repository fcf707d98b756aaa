"""What `log()` takes, converts and refuses."""

from __future__ import annotations

import datetime
import decimal
import enum
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.unit.sdk.small_agent import read_records

from trackd.errors import UsageError
from trackd.recording.recorder import Clock, FinishedRecorder, Recorder
from trackd.recording.row_check import MAX_ROW_BYTES, MAX_ROW_KEYS, MAX_RUN_KEYS
from trackd.recording.spool import Spool
from trackd_proto.records import ConfigUpdate, Kind, Row, RunUpdate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Desk:
    """A recorder and what came of it."""

    def __init__(self, folder: Path, *, strict: bool = False) -> None:
        self.warnings: list[str] = []
        self.folder = folder
        self.spool = Spool(folder, 1, 1)
        self.recorder = Recorder(self.spool, Clock(), self.warnings.append, strict=strict)

    def log(self, data: Any, step: Any = None, commit: Any = None) -> None:
        self.recorder.row(data, step, commit)

    def rows(self) -> list[Row]:
        return [record for record in read_records(self.folder) if isinstance(record, Row)]

    def kept(self, data: Any) -> dict[str, Any]:
        self.log(data)
        return self.rows()[-1].data


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "spool")
    yield made
    made.spool.close(delete=True)


@pytest.fixture
def strict_desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "strict", strict=True)
    yield made
    made.spool.close(delete=True)


def test_plain_rows_are_kept_as_they_are(desk: Desk) -> None:
    data = {"f": 0.5, "i": 3, "s": "täxt", "b": True, "n": None, "inf": math.inf}
    for _ in range(2):  # the careful way, then the fast one
        assert desk.kept(data) == data
    assert math.isnan(desk.kept({"f": math.nan})["f"])
    row = desk.rows()[0]
    assert row.time_s > 1e9
    assert 0 <= row.runtime_s < 60
    assert (row.step, row.commit) == (None, None)


def test_step_and_commit_are_passed_on(desk: Desk) -> None:
    desk.log({"a": 1}, 7)
    desk.log({"a": 1}, np.int64(9), True)
    desk.log({"a": 1}, None, False)
    assert [(row.step, row.commit) for row in desk.rows()] == [(7, None), (9, True), (None, False)]
    with pytest.raises(TypeError):
        desk.log({"a": 1}, "eight")


class Colour(enum.Enum):
    RED = 1


@dataclass
class Point:
    x: float = 1.0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.float64(0.1), 0.1),
        (np.float16(0.5), 0.5),
        (np.int8(-5), -5),
        (np.uint64(2**63), float(2**63)),
        (np.bool_(True), True),
        (np.array(3.5), 3.5),
        (np.array([[7]]), 7),
        (np.arange(6).reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
        (np.array([]), []),
        (np.arange(32), list(range(32))),
        (np.str_("t"), "t"),
        (2**70, float(2**70)),
        (10**400, math.inf),
        (-(10**400), -math.inf),
        ("\ud800x", "\ufffdx"),
        ({"a": {"b": 1, 2: 3, None: 4}}, {"a": {"b": 1, "2": 3, "None": 4}}),
        ((1, 2.5), [1, 2.5]),
        ({3}, [3]),
        (b"bytes", "bytes"),
        (datetime.date(2024, 1, 2), "2024-01-02"),
        (Colour.RED, 1),
        (decimal.Decimal("1.5"), "1.5"),
        (1 + 2j, "1+2j"),
        (Point(), {"x": 1.0}),
        (math.sqrt, "math.sqrt"),
        ([np.float32(1.5), {"a": np.int64(2)}], [1.5, {"a": 2}]),
        ({}, {}),
    ],
)
def test_values_become_json_like(desk: Desk, value: Any, expected: Any) -> None:
    kept = desk.kept({"v": value})["v"]
    assert kept == expected
    assert type(kept) is type(expected)


@pytest.mark.parametrize("value", [object(), range(3), np.array(["a"] * 33), {"deep": object()}])
def test_a_bad_value_is_named_and_the_others_are_kept(desk: Desk, value: Any) -> None:
    with pytest.raises(TypeError, match=r"'bad' holds .* convert it") as caught:
        desk.log({"good": 1, "bad": value, "also": np.float32(2)})
    assert type(caught.value) is TypeError
    assert [row.data for row in desk.rows()] == [{"good": 1, "also": 2.0}]


def test_a_value_whose_own_conversion_fails_costs_only_itself(desk: Desk) -> None:
    class Broken(enum.Enum):
        KEY = 1

        @property
        def value(self) -> int:
            raise LookupError("the device is gone")

    with pytest.raises(LookupError, match="the device is gone") as caught:
        desk.log({"good": 1, "bad": Broken.KEY})
    assert "'bad' could not be converted" in caught.value.__notes__[0]
    assert [row.data for row in desk.rows()] == [{"good": 1}]


def test_a_row_of_bad_values_alone_is_no_row(desk: Desk) -> None:
    with pytest.raises(TypeError, match="'x' holds a value of type object"):
        desk.log({"x": object()})
    with pytest.raises(TypeError, match="the key 1 is of type int: keys are text, use '1'"):
        desk.log({1: 2})
    with pytest.raises(TypeError, match="a dictionary with text keys, got int"):
        desk.log(5)
    assert desk.rows() == []
    desk.log({})
    assert desk.rows()[0].data == {}


def test_a_step_key_of_the_user_is_dropped(desk: Desk) -> None:
    assert desk.kept({"_step": 5, "a": 1}) == {"a": 1}


def nested(depth: int) -> dict[str, Any]:
    tree: dict[str, Any] = {"leaf": 1}
    for _ in range(depth - 1):
        tree = {"d": tree}
    return tree


def test_limits_are_counted_and_said_once(desk: Desk) -> None:
    desk.log({"a": 1, "deep": nested(100)})
    desk.log({"a": 2, "deep": nested(5000)})
    endless: list[Any] = []
    endless.append(endless)
    desk.log({"a": 3, "endless": endless})
    desk.log({"k" * 1025: 1, "a": 4})
    desk.log({"big": "x" * (MAX_ROW_BYTES + 1), "a": 5})
    desk.log({f"k{i}": i for i in range(MAX_ROW_KEYS + 5)})
    assert desk.recorder.refused == {
        "too_deep": 3,
        "key_length": 1,
        "row_bytes": 1,
        "row_keys": 5,
    }
    assert len(desk.warnings) == 4
    assert [row.data.get("a") for row in desk.rows()[:5]] == [1, 2, 3, 4, 5]
    assert len(desk.rows()[5].data) == MAX_ROW_KEYS
    assert desk.kept(nested(64))


def test_a_run_has_a_bounded_number_of_keys(desk: Desk) -> None:
    for start in range(0, MAX_RUN_KEYS, 5000):
        desk.log({f"k{i}": i for i in range(start, start + 5000)})
    desk.log({"k0": 1, "one more": 2, "and": {"nested": 3}})
    assert desk.rows()[-1].data == {"k0": 1}
    assert desk.recorder.refused == {"run_keys": 2}
    assert "100000 different keys" in desk.warnings[0]


def test_strict_raises_after_the_rest_was_stored(strict_desk: Desk) -> None:
    with pytest.raises(UsageError, match="'deep' is nested deeper than 64 levels: flatten it"):
        strict_desk.log({"deep": nested(100), "a": 1})
    assert [row.data for row in strict_desk.rows()] == [{"a": 1}]


def test_a_finished_recorder_refuses_everything() -> None:
    recorder = FinishedRecorder("r1", 3)
    with pytest.raises(UsageError, match="run r1 is finished"):
        recorder.row({"a": 1}, None, None)
    with pytest.raises(UsageError, match=r"trackd.init"):
        recorder.record(Kind.PREEMPTING, Row(0, 0, {}))


def test_texts_that_utf8_cannot_hold_are_kept_as_far_as_possible(desk: Desk) -> None:
    desk.recorder.record(Kind.RUN, RunUpdate(notes="a\ud800b", tags=["\udfff"]))
    desk.recorder.record(Kind.CONFIG, ConfigUpdate(set=[(["k\ud800"], {"v": ["\ud800", 1]})]))
    update, config = read_records(desk.folder)
    assert isinstance(update, RunUpdate) and isinstance(config, ConfigUpdate)
    assert (update.notes, update.tags) == ("a\ufffdb", ["\ufffd"])
    [(path, value)] = config.set
    assert (path, value) == (["k\ufffd"], {"v": ["\ufffd", 1]})


@pytest.mark.parametrize("step", [2**70, -(2**70)])
def test_a_step_beyond_all_counting_is_refused_and_changes_nothing(desk: Desk, step: int) -> None:
    with pytest.raises(UsageError, match="is too large"):
        desk.recorder.row({"a": 1}, step, None)
    assert desk.kept({"a": 2}) == {"a": 2}
    assert desk.recorder.step == 1


@pytest.mark.parametrize(
    ("step", "commit"), [(True, None), (1.0, None), ("1", None), (None, "yes"), (3, 0.5)]
)
def test_a_step_is_a_whole_number_and_a_commit_a_bool(desk: Desk, step: Any, commit: Any) -> None:
    with pytest.raises(TypeError, match=r"step=|commit="):
        desk.log({"a": 1}, step=step, commit=commit)
    assert (desk.rows(), desk.recorder.step) == ([], 0)
    desk.log({"a": 1}, step=np.int64(2), commit=np.bool_(True))
    assert [(row.step, row.commit) for row in desk.rows()] == [(2, True)]


def test_the_local_step_follows_the_rules(desk: Desk) -> None:
    desk.log({"a": 1})
    desk.log({"a": 1}, commit=False)
    assert desk.recorder.step == 1
    desk.log({"a": 1}, step=10)
    assert desk.recorder.step == 10
    desk.log({"a": 1}, step=10, commit=True)
    assert desk.recorder.step == 11
