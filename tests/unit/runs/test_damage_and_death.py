"""Damaged first records, spools at the wrong moment, processes that only look dead."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from starlette.responses import JSONResponse, Response
from tests.fakes.wandb_server import fake_server
from tests.support.rank import Rank
from tests.support.runs import running_registry, until

from trackd_agent.core.errors import JournalFull
from trackd_agent.journal import Checkpoints, Journal, JournalConfig
from trackd_agent.runs import spool
from trackd_agent.runs.context import RoomConfigs
from trackd_agent.runs.options import AttachOptions, Caller, RunRef
from trackd_agent.runs.writer_facts import WriterFacts
from trackd_proto import records
from trackd_proto.frames import SEGMENT_HEADER_BYTES
from trackd_proto.layout import producer_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.requests import Request

    from trackd_agent.monitor import Subject


def damage_first_record(folder: Path) -> None:
    segment = min(folder.glob("*.seg"))
    content = bytearray(segment.read_bytes())
    content[SEGMENT_HEADER_BYTES + 40] ^= 0xFF
    segment.write_bytes(content)


async def logged(rank: Rank, count: int = 10) -> None:
    for number in range(count):
        rank.log({"n": number})


@pytest.mark.parametrize("label", ["", "rank0", "Größe 1"])
async def test_a_damaged_first_record_costs_only_itself(tmp_path: Path, label: str) -> None:
    async with fake_server() as server:
        rank = Rank(tmp_path, label=label)
        async with running_registry(tmp_path, "http://127.0.0.1:9") as registry:
            await rank.attach(registry)
            await logged(rank)
            await rank.finish()
        journal = next((tmp_path / "agent" / "journal").glob(f"*/{producer_name(rank.producer)}"))
        damage_first_record(journal)
        async with running_registry(tmp_path, server.base_url) as registry:
            await until(lambda: "r1" in server.complete)
            await until(lambda: not registry.runs(active_only=True))
            ended = registry.status(RunRef("r1"))
        stream = producer_name(rank.producer) if label else ""
        assert [row["n"] for row in server.rows("r1", stream)] == list(range(10))
        assert ended.writers[0].dropped == {"damaged": 1}
        assert ended.writers[0].label == label


async def test_a_spool_with_a_damaged_first_record_is_found_by_its_attached_writer(
    tmp_path: Path,
) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    async with fake_server() as server:
        rank = Rank(tmp_path)
        async with running_registry(tmp_path, server.base_url) as registry:
            await rank.attach(registry, pid=process.pid)
        await logged(rank)
        rank.write_spool()
        damage_first_record(rank.spool)
        process.communicate(b"\n")
        async with running_registry(tmp_path, server.base_url):
            await until(lambda: "r1" in server.complete)
        assert [row["n"] for row in server.rows("r1")] == list(range(10))


async def test_a_spool_with_a_damaged_first_record_joins_the_run_that_it_names(
    tmp_path: Path,
) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        first = Rank(tmp_path, label="a")
        await first.attach(registry)
        first.send()
        lost = Rank(tmp_path, label="b")
        await logged(lost)
        lost.write_spool()
        damage_first_record(lost.spool)
        stream = producer_name(lost.producer)
        await until(lambda: stream in server.streams("r1"))
        await first.finish()
        await until(lambda: "r1" in server.complete)
        assert [row["n"] for row in server.rows("r1", stream)] == list(range(10))


async def test_a_spool_goes_only_when_the_journal_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power cut: what lay in the spool for long must not be taken back to the page cache."""
    order: list[str] = []
    sync, remove = Journal.sync, spool.remove

    def noted_sync(self: Journal) -> None:
        order.append(f"sync {self.last_seq}")
        sync(self)

    async def noted_remove(folder: Path) -> bool:
        order.append("remove")
        return await remove(folder)

    monkeypatch.setattr(Journal, "sync", noted_sync)
    monkeypatch.setattr(spool, "remove", noted_remove)
    rooms = RoomConfigs(journal=JournalConfig(sync_interval_s=60.0))
    async with (
        fake_server() as server,
        running_registry(tmp_path, server.base_url, rooms=rooms),
    ):
        rank = Rank(tmp_path)
        await logged(rank)
        rank.exit()
        rank.write_spool()
        await until(lambda: not rank.spool.exists(), 30)
    assert order.index(f"sync {rank.last_seq}") < order.index("remove")


async def test_only_spools_are_ever_deleted(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        precious = tmp_path / "home"
        (precious / "deep").mkdir(parents=True)
        (precious / "thesis.txt").write_text("years")
        rank = Rank(tmp_path)
        rank.spool = precious
        await rank.attach(registry)
        await rank.finish()
        await until(lambda: not registry.runs(active_only=True))
        assert (precious / "thesis.txt").read_text() == "years"


async def test_a_run_whose_rank_still_holds_the_spool_is_remembered(tmp_path: Path) -> None:
    """The answer to the goodbye may be lost: the rank must not be taken for a new one."""
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path)
        with rank.alive():
            await rank.attach(registry)
            await logged(rank)
            await rank.finish()
            await until(lambda: "r1" in server.complete)
            await anyio.sleep(0.3)
            assert list((tmp_path / "agent" / "journal").iterdir())
            assert registry.is_idle
        await until(lambda: not registry.runs(active_only=True))


async def test_a_process_of_another_pid_namespace_is_not_taken_for_dead(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path)
        with rank.alive():
            options = AttachOptions(
                run_id="r1",
                project="p",
                producer=rank.producer,
                run_dir=tmp_path / "runs" / "r1",
                spool_dir=rank.spool,
                pid=2**22 - 7,
                pid_start_ticks=12345,
            )
            attachment = await registry.attach(options, Caller(0, 0))
            rank.writer = registry.writer(attachment.capability)
            await anyio.sleep(0.3)
            await logged(rank)
            rank.send()
            rank.writer.connection_lost()
            await anyio.sleep(0.3)
            assert rank.writer.is_alive
        await until(lambda: not rank.writer.is_alive)  # type: ignore[union-attr]
        await until(lambda: "r1" in server.complete)
        assert len(server.rows("r1")) == 10


async def test_a_writer_without_spool_is_dead_when_its_process_is(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        options = AttachOptions(
            run_id="r1", project="p", producer=7, run_dir=tmp_path / "runs" / "r1", pid=2**22 - 7
        )
        attachment = await registry.attach(options, Caller(0, 0))
        writer = registry.writer(attachment.capability)
        writer.connection_lost()
        await until(lambda: not writer.is_alive)


async def test_finish_from_outside_takes_the_rest_of_a_dead_rank_and_spares_a_living_one(
    tmp_path: Path,
) -> None:
    async with (
        fake_server() as server,
        running_registry(tmp_path, server.base_url, watch_interval_s=60.0) as registry,
    ):
        rank = Rank(tmp_path)
        await rank.attach(registry, pid=0)
        await logged(rank, 5)
        rank.send()
        for number in range(5, 10):
            rank.log({"n": number})
        rank.write_spool()
        assert rank.writer is not None
        rank.writer.connection_lost()
        with rank.alive():
            assert await registry.finish(RunRef("r1"), 3) == [""]
        assert await registry.finish(RunRef("r1"), 3) == []
        await until(lambda: "r1" in server.complete)
        assert [row["n"] for row in server.rows("r1")] == list(range(10))
        assert server.complete["r1"] == 3


async def test_no_line_is_sent_before_the_first_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Checkpoints.store
    full = True

    def refusing(self: Checkpoints, data: bytes) -> None:
        if full:
            raise JournalFull("CHECKPOINT_UNWRITABLE", "no space")
        store(self, data)

    monkeypatch.setattr(Checkpoints, "store", refusing)
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path)
        await rank.attach(registry)
        await logged(rank)
        rank.send()
        await until(lambda: "disk full" in registry.status(RunRef("r1")).upload_problem)
        assert not server.lines
        full = False
        await rank.finish()
        await until(lambda: "r1" in server.complete)
        assert len(server.rows("r1")) == 10


async def test_a_journal_that_cannot_be_opened_hinders_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fake_server() as server:
        ranks = [Rank(tmp_path, run_id) for run_id in ("bad", "good")]
        async with running_registry(tmp_path, "http://127.0.0.1:9") as registry:
            for rank in ranks:
                await rank.attach(registry)
                await logged(rank)
                await rank.finish()
        full = True
        store = WriterFacts.store

        def refusing(self: WriterFacts, folder: Path) -> None:
            if full and self.run_id == "bad":
                raise JournalFull("JOURNAL_UNWRITABLE", "no space")
            store(self, folder)

        monkeypatch.setattr(WriterFacts, "store", refusing)
        async with running_registry(tmp_path, server.base_url):
            await until(lambda: "good" in server.complete)
            assert "bad" not in server.complete
            full = False
            await until(lambda: "bad" in server.complete)
        assert len(server.rows("bad")) == len(server.rows("good")) == 10


async def test_a_full_journal_is_seen_in_the_status(tmp_path: Path) -> None:
    rooms = RoomConfigs(journal=JournalConfig(max_bytes=4096, segment_max_bytes=4096))
    async with running_registry(tmp_path, "http://127.0.0.1:9", rooms=rooms) as registry:
        rank = Rank(tmp_path)
        await rank.attach(registry)
        await logged(rank, 200)
        with pytest.raises(JournalFull):
            rank.send()
        assert "max_bytes=4096" in registry.status(RunRef("r1")).upload_problem


async def test_a_run_stays_at_its_server_when_the_default_changes(tmp_path: Path) -> None:
    async with fake_server() as first, fake_server() as second:
        rank = Rank(tmp_path)
        async with running_registry(tmp_path, first.base_url, is_chosen=True) as registry:
            await rank.attach(registry)
            await logged(rank)
            rank.send()
            await until(lambda: ("r1", "", "wandb-history.jsonl") in first.lines)
        async with running_registry(tmp_path, second.base_url, is_chosen=True) as registry:
            await rank.attach(registry)
            rank.log({"n": 10})
            await rank.finish()
            await until(lambda: "r1" in first.complete)
        assert [row["n"] for row in first.rows("r1")] == list(range(11))
        assert not first.rewritten
        assert not second.runs


async def test_the_stats_are_of_the_process_that_the_settings_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trackd_agent.monitor import Monitor

    seen: list[Subject] = []
    subscribe: Callable[..., Any] = Monitor.subscribe

    def noted(self: Monitor, subject: Subject, *sinks: Any) -> Any:
        seen.append(subject)
        return subscribe(self, subject, *sinks)

    monkeypatch.setattr(Monitor, "subscribe", noted)
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path, settings={"x_stats_pid": 2})
        await rank.attach(registry)
        rank.send()
        assert [subject.pid for subject in seen] == [2]


async def test_files_that_cannot_be_sent_hold_nothing_up_and_are_counted(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path)
        await rank.attach(registry)
        files = tmp_path / "runs" / "r1" / "files"
        (files / "folder").mkdir(parents=True)
        os.mkfifo(files / "fifo")
        (files / "loop").symlink_to("loop")
        (files / "good é").write_text("good")
        for name in ("folder", "fifo", "loop", "gone", "n" * 300, "../x", "a\nb", "good é"):
            rank.add(records.FileSaved(name, "now"))
        await rank.finish()
        await until(lambda: "r1" in server.complete)
        await until(lambda: not registry.runs(active_only=True))
        assert server.files["good é"] == b"good"
        dropped = registry.status(RunRef("r1")).writers[0].dropped
        assert dropped == {"file_missing": 5, "file_name_refused": 2}


async def test_sixty_four_writers_lose_nothing_while_agents_come_and_go(tmp_path: Path) -> None:
    async with fake_server() as server:
        ranks = [Rank(tmp_path, label=f"rank{number}") for number in range(64)]
        for turn in range(4):
            async with running_registry(tmp_path, server.base_url) as registry:
                for rank in ranks:
                    await rank.attach(registry)
                    for _ in range(25):
                        rank.log({"n": rank.last_seq - 1})
                    rank.send()
                await anyio.sleep(0.1)
                if turn == 1:
                    shutil.rmtree(tmp_path / "runs", ignore_errors=True)
                if turn == 3:
                    for rank in ranks:
                        await rank.finish()
                    await until(lambda: "r1" in server.complete)
        for rank in ranks:
            rows = server.rows("r1", producer_name(rank.producer))
            assert [row["n"] for row in rows] == list(range(100))
        assert not server.rewritten


async def test_a_server_that_tells_no_line_counts_still_keeps_its_history(tmp_path: Path) -> None:
    async def refuse_counts(request: Request, answer: Any) -> Response:
        if (await request.json())["operationName"] == "RunResumeStatus":
            return JSONResponse({"errors": [{"message": 'Cannot query field "logLineCount".'}]})
        return await answer()

    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        server.faults["graphql"] = refuse_counts
        server.history_line_count = 7
        rank = Rank(tmp_path)
        await rank.attach(registry)
        await logged(rank, 1)
        await rank.finish()
        await until(lambda: "r1" in server.complete)
        assert set(server.lines["r1", "", "wandb-history.jsonl"]) == {7}


async def test_a_dead_rank_whose_rest_finds_no_space_is_seen_and_taken_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive: Callable[..., Any] = Journal.receive
    full = True

    def refusing(self: Journal, *args: Any, **more: Any) -> Any:
        if full:
            raise JournalFull("JOURNAL_UNWRITABLE", "no space left")
        return receive(self, *args, **more)

    monkeypatch.setattr(Journal, "receive", refusing)
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path)
        await logged(rank)
        rank.exit()
        rank.write_spool()
        await until(lambda: bool(registry.runs(active_only=True)))
        await until(lambda: "no space" in registry.status(RunRef("r1")).upload_problem)
        assert rank.spool.exists()
        full = False
        await until(lambda: "r1" in server.complete)
        assert [row["n"] for row in server.rows("r1")] == list(range(10))


async def test_what_an_agent_that_was_killed_left_of_a_deleted_journal_goes(
    tmp_path: Path,
) -> None:
    root = tmp_path / "agent" / "journal"
    remnant, other = root / "r1-0" / "1", root / "r2-0" / "2"
    for folder in (remnant, other):
        folder.mkdir(parents=True)
        (folder / "there.0.ckpt").write_bytes(b"anything")
    (other / "there.000000000000.save").write_bytes(b"not ours to judge")
    async with fake_server() as server, running_registry(tmp_path, server.base_url):
        assert not remnant.parent.exists()
        assert len(list(other.iterdir())) == 2
