"""Records beyond the size of a frame: what is too large costs nothing but itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.sdk.small_agent import read_records

from trackd.recording.recorder import Clock, Recorder
from trackd.recording.spool import Spool
from trackd_proto.frames import MAX_FRAME_PAYLOAD_BYTES
from trackd_proto.records import ConfigUpdate, Gap, Kind, Start, SummaryUpdate

if TYPE_CHECKING:
    from pathlib import Path

HUGE = "x" * (MAX_FRAME_PAYLOAD_BYTES + 1)
LARGE = "y" * (MAX_FRAME_PAYLOAD_BYTES // 3)


class Desk:
    """A recorder and what came of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warnings: list[str] = []
        self.recorder = Recorder(Spool(folder, 1, 1), Clock(), self.warnings.append)

    def values(self, kind: type[ConfigUpdate | SummaryUpdate]) -> dict[str, object]:
        records = [record for record in read_records(self.folder) if isinstance(record, kind)]
        return {".".join(path): value for record in records for path, value in record.set}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "spool")


def a_start(**facts: object) -> Start:
    named = {"run_id": "r", "project": "p", "entity": "", "label": "", "mode": "online"}
    process = {"run_dir": "/r", "time_s": 1.0, "pid": 1, "sdk_version": "1"}
    return Start(**named, **process, python_version="3", host="h", program="", **facts)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("kind", "type_"), [(Kind.CONFIG, ConfigUpdate), (Kind.SUMMARY, SummaryUpdate)]
)
def test_a_value_that_fits_no_record_costs_only_itself(
    desk: Desk, kind: Kind, type_: type[ConfigUpdate | SummaryUpdate]
) -> None:
    desk.recorder.record(kind, type_(set=[(["a"], 1), (["b", "c"], HUGE), (["d"], 2)]))
    assert desk.values(type_) == {"a": 1, "d": 2}
    [warning] = desk.warnings
    assert "'b.c'" in warning
    assert "save it as a file" in warning


def test_values_that_fit_no_record_together_are_recorded_in_several(desk: Desk) -> None:
    given = {f"k{number}": LARGE for number in range(7)}
    update = ConfigUpdate(set=[([key], value) for key, value in given.items()], remove=[["gone"]])
    desk.recorder.record(Kind.CONFIG, update)
    assert desk.values(ConfigUpdate) == given
    assert not desk.warnings
    records = [r for r in read_records(desk.folder) if isinstance(r, ConfigUpdate)]
    assert [r.remove for r in records if r.remove] == [[["gone"]]]
    assert records[-1].remove


def test_a_run_keeps_its_first_record_whatever_init_was_given(desk: Desk) -> None:
    facts = {"notes": HUGE, "tags": [HUGE], "environment": {"args": [HUGE]}}
    values = {"config": {"a": HUGE, "b": 1}, "summary": {"c": 2}}
    desk.recorder.record(Kind.START, a_start(**facts, **values))
    first, *others = read_records(desk.folder)
    assert isinstance(first, Start)
    assert first.run_id == "r"
    assert HUGE.startswith(first.notes or "?")
    assert desk.values(ConfigUpdate) == {"b": 1}
    assert desk.values(SummaryUpdate) == {"c": 2}
    assert [record for record in others if isinstance(record, Gap)] == [Gap(1, "record_too_large")]
    assert len(desk.warnings) == 1
