"""From what the monitor saw of a device to lines of the run, and what bounds them."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from structlog.testing import capture_logs
from tests.fakes.wandb_server import fake_server
from tests.support.frames import apply, start
from tests.support.rank import Rank
from tests.support.runs import running_registry, until

from trackd_agent.core.errors import JournalFull
from trackd_agent.monitor import Event
from trackd_agent.runs import monitored
from trackd_agent.runs.monitored import Monitored
from trackd_agent.runs.state.writer_state import WriterState
from trackd_proto import records

if TYPE_CHECKING:
    from pathlib import Path

    import msgspec

    from trackd_proto.records import Kind

XID = Event("xid", "GPU 0 reports Xid 79: it has fallen off the bus.", "gpu.0.xid", 79.0)


class Notebook:
    """Takes records as an agent's journal does."""

    def __init__(self) -> None:
        self.records: list[msgspec.Struct] = []
        self.now_s = 0.0
        self.is_full = False

    def record(self, kind: Kind, record: msgspec.Struct) -> None:
        assert isinstance(record, records.RECORD_TYPES[kind])
        if self.is_full:
            raise JournalFull("JOURNAL_FULL", "no space")
        self.records.append(record)

    def monitored(self) -> Monitored:
        return Monitored(self.record, "r", lambda: self.now_s)

    def count(self, type_: type[msgspec.Struct]) -> int:
        return sum(isinstance(record, type_) for record in self.records)


def test_an_event_becomes_a_line_that_charts_and_people_understand() -> None:
    state = WriterState(start(label="rank-1"))
    apply(state, records.Event(1010.5, *XID[:4]), records.Stats(1011.0, {"cpu": 3.0}))
    event, sample = state.take().events
    assert event == (
        '{"system.gpu.0.xid/l:rank-1":79.0,"_event":"xid",'
        '"_text":"GPU 0 reports Xid 79: it has fallen off the bus.",'
        '"_wandb":true,"_timestamp":1010.5,"_runtime":10.5}'
    )
    assert sample == (
        '{"system.cpu/l:rank-1":3.0,"_wandb":true,"_timestamp":1011.0,"_runtime":11.0}'
    )


def test_a_device_that_reports_without_end_fills_no_journal() -> None:
    notebook = Notebook()
    taking = notebook.monitored()
    for second in range(200):
        notebook.now_s = second
        taking.take_events(1000.0 + second, [XID] * 50)
    kept = notebook.count(records.Event)
    assert kept == monitored.MAX_BURST + 199
    assert notebook.count(records.Gap) <= 5, "nor is the rank told at every turn"
    taking.settle()
    gaps = [record for record in notebook.records if isinstance(record, records.Gap)]
    assert sum(gap.count for gap in gaps) == 200 * 50 - kept
    assert {gap.reason for gap in gaps} == {monitored.DROP_REASON}


def test_a_run_keeps_so_many_events_and_no_more() -> None:
    notebook = Notebook()
    taking = notebook.monitored()
    for turn in range(300):
        notebook.now_s = turn * 1000.0
        taking.take_events(1000.0, [XID] * 50)
    assert notebook.count(records.Event) == monitored.MAX_EVENTS


def test_long_texts_are_cut_and_values_that_no_chart_has_are_counted() -> None:
    notebook = Notebook()
    taking = notebook.monitored()
    taking.take_events(1.0, [XID._replace(text="x" * 10_000), XID._replace(value=math.nan)])
    taking.settle()
    event, gap = notebook.records
    assert isinstance(event, records.Event)
    assert len(event.text) == 1_000
    assert gap == records.Gap(1, monitored.DROP_REASON)


def test_a_full_disk_costs_events_and_samples_and_they_are_counted() -> None:
    notebook = Notebook()
    taking = notebook.monitored()
    notebook.is_full = True
    taking.take_events(1.0, [XID])
    with capture_logs() as logs:
        for second in range(3):
            taking.take_sample(float(second), {"cpu": 1.0})
    assert len(logs) == 1
    taking.settle()
    notebook.is_full = False
    taking.settle()
    taking.settle()
    assert notebook.records == [
        records.Gap(1, monitored.DROP_REASON),
        records.Gap(3, monitored.UNWRITTEN_REASON),
    ]


async def test_an_event_reaches_the_server_among_the_system_metrics(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path)
        writer = await rank.attach(registry)
        rank.log({"a": 1})
        rank.send()
        Monitored(writer.record, "").take_events(rank.facts["time_s"] + 2, [XID])
        await rank.finish()
        await until(lambda: ("r1", "", "wandb-events.jsonl") in server.lines)
        (text,) = server.lines["r1", "", "wandb-events.jsonl"].values()
        line = json.loads(text)
        assert line["system.gpu.0.xid"] == 79
        assert line["_event"] == "xid"
        assert math.isclose(line["_runtime"], 2, abs_tol=0.01)
