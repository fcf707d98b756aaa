"""Offline run folders on their way to a server, over real HTTP."""

from __future__ import annotations

import fcntl
import json
from typing import TYPE_CHECKING

import anyio
import pytest
from tests.fakes.wandb_server import FakeServer, drop_after_apply, fake_server, status
from tests.support.frames import row, start, write_segment
from tests.support.runs import FAST
from tests.unit.runs.test_document import EXIT, journal, make_run

from trackd_agent.monitor import Monitor, MonitorConfig
from trackd_agent.runs.config import RunsConfig
from trackd_agent.runs.context import RoomConfigs, RunsContext
from trackd_agent.runs.folders.sync import SyncReport, sync_folder
from trackd_agent.upstream import Credentials, StaticEndpoint, UpstreamConfig, UpstreamPool
from trackd_proto import layout, records
from trackd_proto.layout import producer_name

if TYPE_CHECKING:
    from pathlib import Path


async def sync(run_dir: Path, data: Path, base_url: str, stall_s: float = 5.0) -> SyncReport:
    credentials = Credentials(data / "agent" / "credentials.json")
    await credentials.put(base_url, "k" * 40)
    endpoint = StaticEndpoint(base_url, credentials)
    async with UpstreamPool(UpstreamConfig(**FAST), credentials, endpoint, "there") as upstreams:
        context = RunsContext(
            data,
            RunsConfig(checkpoint_interval_s=0.0, upsert_interval_s=0.05),
            RoomConfigs(),
            upstreams,
            Monitor(MonitorConfig()),
            anyio.Lock(),
        )
        return await sync_folder(run_dir, "", context, stall_s)


def values(server: FakeServer, stream: str = "") -> list[int]:
    return [data["a"] for data in server.rows("r1", stream)]


async def test_a_folder_is_uploaded_once_and_stays_whole(tmp_path: Path) -> None:
    run_dir, data = make_run(tmp_path)
    journal(run_dir, 7, start(config={"lr": 1}), *(row({"a": n}) for n in range(50)), EXIT)
    before = {path.name: path.read_bytes() for path in run_dir.glob("journal/*/*.seg")}
    async with fake_server() as server:
        report = await sync(run_dir, data, server.base_url)
        assert (report.state, report.lost, report.is_whole) == ("synced", {}, True)
        assert values(server) == list(range(50))
        assert server.complete == {"r1": 0}
        again = await sync(run_dir, data, server.base_url)
        assert again.state == "already_synced"
        assert again.url == report.url
        assert values(server) == list(range(50))
    kept = {path.name: path.read_bytes() for path in run_dir.glob("journal/*/*.seg")}
    assert before.items() <= kept.items()


async def test_writers_keep_their_streams(tmp_path: Path) -> None:
    run_dir, data = make_run(tmp_path)
    journal(run_dir, 7, start(label="r0"), row({"a": 1}), EXIT)
    journal(run_dir, 8, start(label="r1"), row({"a": 2}), records.Exit(4, 1.0, 1.0))
    async with fake_server() as server:
        assert (await sync(run_dir, data, server.base_url)).is_whole
        assert values(server, producer_name(7)) == [1]
        assert values(server, producer_name(8)) == [2]
        assert server.complete == {"r1": 4}


async def test_damaged_records_are_skipped_and_counted(tmp_path: Path) -> None:
    run_dir, data = make_run(tmp_path)
    journal(run_dir, 7, start(), row({"a": 1}), row({"a": 2, "b": 2}), row({"a": 3}), EXIT)
    (segment,) = (run_dir / "journal").glob("*/*.seg")
    content = bytearray(segment.read_bytes())
    content[content.index(b"\xa1b\x02")] ^= 1
    segment.write_bytes(content)
    async with fake_server() as server:
        report = await sync(run_dir, data, server.base_url)
        assert report.state == "synced"
        assert report.lost == {"damaged": 1}
        assert not report.is_whole
        assert values(server) == [1, 3]


@pytest.mark.parametrize(("cut_bytes", "rows"), [(1, 3), (24, 3), (40, 3), (120, 2)])
async def test_a_torn_end_is_reported(tmp_path: Path, cut_bytes: int, rows: int) -> None:
    run_dir, data = make_run(tmp_path)
    journal(run_dir, 7, start(), *(row({"a": n, "text": "x" * 30}) for n in range(3)), EXIT)
    (segment,) = (run_dir / "journal").glob("*/*.seg")
    segment.write_bytes(segment.read_bytes().rstrip(b"\0")[:-cut_bytes])
    async with fake_server() as server:
        report = await sync(run_dir, data, server.base_url)
        assert (report.state, report.lost) == ("synced", {"torn": 1})
        assert values(server) == list(range(rows))


async def test_rubbish_behind_the_end_costs_nothing(tmp_path: Path) -> None:
    run_dir, data = make_run(tmp_path)
    journal(run_dir, 7, start(), row({"a": 1}), EXIT)
    (segment,) = (run_dir / "journal").glob("*/*.seg")
    segment.write_bytes(segment.read_bytes() + bytes(range(256)) * 20)
    async with fake_server() as server:
        assert (await sync(run_dir, data, server.base_url)).is_whole
        assert values(server) == [1]


async def test_a_damaged_first_record_costs_its_facts_only(tmp_path: Path) -> None:
    run_dir, data = make_run(tmp_path)
    journal(run_dir, 7, start(name="lost"), row({"a": 1}), EXIT)
    (segment,) = (run_dir / "journal").glob("*/*.seg")
    content = bytearray(segment.read_bytes())
    content[content.index(b"lost")] ^= 1
    segment.write_bytes(content)
    async with fake_server() as server:
        report = await sync(run_dir, data, server.base_url)
        assert report.lost == {"damaged": 1}
        assert values(server) == [1]


async def test_an_interrupted_sync_goes_on_where_it_was(tmp_path: Path) -> None:
    run_dir, data = make_run(tmp_path)
    journal(run_dir, 7, start(), *(row({"a": n}) for n in range(20)), EXIT)
    async with fake_server() as server:
        server.faults["file_stream"] = drop_after_apply  # all arrives, nothing is acknowledged
        server.history_line_count = 0
        report = await sync(run_dir, data, server.base_url, stall_s=0.3)
        assert report.state == "incomplete"
        server.faults.clear()
        server.history_line_count = 20  # the lines of the first attempt count by now
        assert (await sync(run_dir, data, server.base_url)).is_whole
        assert values(server) == list(range(20))
        assert not server.rewritten


async def test_a_run_made_with_resume_from_rewinds_what_the_server_has(tmp_path: Path) -> None:
    run_dir, data = make_run(tmp_path)
    rows = [row({"a": n}) for n in range(3)]
    journal(run_dir, 7, start(rewind_to=("r1", 4), first_step=5), *rows, EXIT)
    async with fake_server() as server:
        server.history_line_count = 20
        server.faults["file_stream"] = status(503)
        assert (await sync(run_dir, data, server.base_url, stall_s=0.3)).state == "incomplete"
        server.faults.clear()
        assert (await sync(run_dir, data, server.base_url)).is_whole
        names = [name for name, _ in server.operations]
        [rewind] = [given for name, given in server.operations if name == "RewindRun"]
        assert names.index("RewindRun") < names.index("UpsertBucket")
        assert (rewind["runName"], rewind["metricValue"]) == ("r1", 4.0)
        lines = server.lines["r1", "", "wandb-history.jsonl"]
        assert {n: json.loads(line)["_step"] for n, line in lines.items()} == {5: 5, 6: 6, 7: 7}


async def test_a_server_that_does_not_answer_leaves_the_folder_unmarked(tmp_path: Path) -> None:
    run_dir, data = make_run(tmp_path)
    journal(run_dir, 7, start(), row({"a": 1}), EXIT)
    report = await sync(run_dir, data, "http://127.0.0.1:9", stall_s=0.3)
    assert report.state == "incomplete"
    assert report.problem
    assert not report.is_whole
    async with fake_server() as server:
        assert (await sync(run_dir, data, server.base_url)).is_whole
        assert values(server) == [1]


async def test_a_crashed_writer_makes_a_failed_run(tmp_path: Path) -> None:
    run_dir, data = make_run(tmp_path)
    journal(run_dir, 7, start(), row({"a": 1}), row({"a": 2}, commit=False))
    async with fake_server() as server:
        assert (await sync(run_dir, data, server.base_url)).is_whole
        assert values(server) == [1, 2]
        assert server.complete == {"r1": 255}


async def test_what_cannot_be_synced_says_why(tmp_path: Path) -> None:
    run_dir, data = make_run(tmp_path)
    report = await sync(run_dir, data, "http://127.0.0.1:9")
    assert "no record" in report.problem
    spool = layout.spool_folder(data, "r1", 7)
    write_segment(spool, 7, [start(run_dir=str(run_dir)), row({"a": 1})])
    assert "has not taken over" in (await sync(run_dir, data, "http://127.0.0.1:9")).problem
    with (spool / layout.SPOOL_LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "still writes" in (await sync(run_dir, data, "http://127.0.0.1:9")).problem
    (tmp_path / "online").mkdir()
    run_dir, data = make_run(tmp_path / "online", mode="online")
    journal(run_dir, 7, start(mode="online"), row({"a": 1}))
    assert "by the agent" in (await sync(run_dir, data, "http://127.0.0.1:9")).problem
