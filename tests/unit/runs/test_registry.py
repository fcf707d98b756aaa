"""Runs from attach to the server, over real HTTP, without gRPC."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.fakes.wandb_server import fake_server
from tests.support.rank import Rank
from tests.support.runs import running_registry, until

from trackd_agent.core.errors import InvalidRequest, NotAllowed, RunAlreadyAttached, UnknownRun
from trackd_agent.runs.options import RunChanges, RunRef
from trackd_proto import records
from trackd_proto.layout import producer_name

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_run_goes_from_attach_to_complete(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path, config={"lr": 0.1}, name="first")
        await rank.attach(registry)
        for number in range(10):
            rank.log({"loss": 1.0 / (number + 1)})
        rank.send()
        acked, _ = await rank.finish()
        assert acked == rank.last_seq
        await until(lambda: "r1" in server.complete)
        assert [row["loss"] for row in server.rows("r1")] == [1.0 / (n + 1) for n in range(10)]
        assert server.complete == {"r1": 0}
        assert not server.rewritten
        await until(lambda: not registry.runs(active_only=True))
        own = {"config.yaml", "wandb-summary.json", "wandb-metadata.json"}
        assert own <= set(server.files)
        assert own <= set(server.uploaded)
        assert json.loads(server.runs["r1"]["config"])["lr"] == {"value": 0.1}
        assert registry.status(RunRef("r1")).state == "finished"
        assert rank.writer is not None
        assert rank.writer.url == f"{server.base_url}/local/p/runs/r1"
        assert registry.is_idle
    assert not list((tmp_path / "agent" / "journal").iterdir())


async def test_a_run_is_told_to_the_server_as_soon_as_its_first_record_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackd_agent.runs.upload.feed._START_POLL_S", 3600.0)
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path)
        await rank.attach(registry)
        await anyio.sleep(0.05)  # now it is waited for
        rank.send()
        await until(lambda: "r1" in server.runs)
        assert rank.writer is not None
        writer = rank.writer
        await until(lambda: writer.url != "")
        assert writer.name == "amber-run-5"
        await rank.finish()
        await until(lambda: "r1" in server.complete)


async def test_labelled_writers_share_a_run_and_have_streams_of_their_own(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        ranks = [Rank(tmp_path, label=f"rank{n}", config={f"c{n}": n}) for n in range(4)]
        for rank in ranks:
            await rank.attach(registry)
            rank.log({"rank": rank.label})
            rank.send()
        for code, rank in enumerate(ranks):
            await rank.finish(code)
        await until(lambda: "r1" in server.complete)
        assert server.complete["r1"] == 1  # the first that is not 0
        assert server.streams("r1") == {producer_name(rank.producer) for rank in ranks}
        for rank in ranks:
            rows = server.rows("r1", producer_name(rank.producer))
            assert [row["rank"] for row in rows] == [rank.label]
        config = json.loads(server.runs["r1"]["config"])
        assert {f"c{n}": {"value": n} for n in range(4)}.items() <= config.items()
        assert {r.attachment.run_dir for r in ranks if r.attachment} == {tmp_path / "runs" / "r1"}


async def test_a_living_label_is_refused_or_renamed(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        first, second = (Rank(tmp_path, label="a") for _ in range(2))
        await first.attach(registry)
        with pytest.raises(RunAlreadyAttached, match="'a' of run 'r1'"):
            await second.attach(registry)
        writer = await second.attach(registry, rename_on_conflict=True)
        assert writer.label == "a-2"
        plain, other = Rank(tmp_path), Rank(tmp_path)
        await plain.attach(registry)
        assert (await other.attach(registry, rename_on_conflict=True)).label == "writer-2"


async def test_a_dead_writers_label_may_be_taken_again(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    async with (
        fake_server() as server,
        running_registry(tmp_path, server.base_url, watch_interval_s=60.0) as registry,
    ):
        first, second = (Rank(tmp_path, label="a") for _ in range(2))
        await first.attach(registry, pid=dead.pid)
        first.send()
        dead.kill()
        dead.wait()
        assert (await second.attach(registry)).label == "a"
    assert dead.stdin is not None
    dead.stdin.close()


async def test_a_rank_killed_with_unsent_rows_ends_crashed_with_all_rows(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path)
        writer = await rank.attach(registry, pid=process.pid)
        for number in range(20):
            rank.log({"n": number})
        rank.send(through=10)
        rank.write_spool()
        process.kill()
        process.wait()
        writer.connection_lost()
        await until(lambda: "r1" in server.complete)
        assert [row["n"] for row in server.rows("r1")] == list(range(20))
        assert server.complete["r1"] == 255
        await until(lambda: not registry.runs(active_only=True))
        assert registry.status(RunRef("r1")).state == "crashed"
        assert not rank.spool.exists()
    assert process.stdin is not None
    process.stdin.close()


async def test_an_exit_in_the_spool_of_a_dead_rank_counts(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path)
        with rank.alive():
            writer = await rank.attach(registry, pid=0)
            rank.send()
            rank.log({"n": 1})
            rank.exit(0)
            rank.write_spool()
        writer.connection_lost()
        await until(lambda: "r1" in server.complete)
        assert server.complete["r1"] == 0
        await until(lambda: not registry.runs(active_only=True))
        assert registry.status(RunRef("r1")).state == "finished"


async def test_a_lost_connection_of_a_living_rank_is_no_crash(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path)
        with rank.alive():
            writer = await rank.attach(registry)
            rank.log({"n": 1})
            rank.send()
            old = writer.capability
            writer.connection_lost()
            await anyio.sleep(0.3)
            assert writer.state == "lost"
            await rank.attach(registry, reattach=True)
            with pytest.raises(NotAllowed):
                registry.writer(old)
            rank.log({"n": 2})
            await rank.finish()
        await until(lambda: "r1" in server.complete)
        assert [row["n"] for row in server.rows("r1")] == [1, 2]


async def test_spools_written_while_no_agent_was_there_are_uploaded(tmp_path: Path) -> None:
    rank = Rank(tmp_path, label="x")
    for number in range(5):
        rank.log({"n": number})
    rank.write_spool()
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        await until(lambda: "r1" in server.complete)
        rows = server.rows("r1", producer_name(rank.producer))
        assert [row["n"] for row in rows] == list(range(5))
        assert server.complete["r1"] == 255
        await until(lambda: not registry.runs(active_only=True))
    assert not rank.spool.exists()


async def test_a_forked_child_is_followed_through_its_spool(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path)
        await rank.attach(registry)
        rank.log({"who": "parent"})
        rank.send()
        child = Rank(tmp_path, parent_producer=rank.producer, update_finish_state=False)
        child.facts["time_s"] = rank.facts["time_s"]
        with child.alive():
            child.log({"who": "child"})
            child.write_spool()
            await until(lambda: len(server.rows("r1")) == 2)
            await rank.finish()
            await anyio.sleep(0.2)
            assert "r1" not in server.complete
        await until(lambda: "r1" in server.complete)
        assert server.complete["r1"] == 0
        assert [(row["who"], row["_step"]) for row in server.rows("r1")] == [
            ("parent", 0),
            ("child", 1),
        ]
        await until(lambda: not child.spool.exists())


async def test_recovery_goes_on_where_the_last_agent_died(tmp_path: Path) -> None:
    rank = Rank(tmp_path)
    with rank.alive():
        async with fake_server() as server:
            port = int(server.base_url.rsplit(":", 1)[1])
            for start in range(0, 40, 10):
                async with running_registry(tmp_path, server.base_url) as registry:
                    await rank.attach(registry, reattach=bool(start))
                    for number in range(start, start + 10):
                        rank.log({"n": number})
                    rank.send()
                    await until(lambda: bool(server.lines) and len(server.rows("r1")) >= 5)
            async with running_registry(tmp_path, server.base_url) as registry:
                await rank.attach(registry, reattach=True)
                await rank.finish()
                await until(lambda: "r1" in server.complete)
            assert port
            assert [row["n"] for row in server.rows("r1")] == list(range(40))
            assert [row["_step"] for row in server.rows("r1")] == list(range(40))
            assert not server.rewritten


async def test_a_finished_run_is_uploaded_by_the_next_agent(tmp_path: Path) -> None:
    rank = Rank(tmp_path)
    async with running_registry(tmp_path, "http://127.0.0.1:9") as registry:
        await rank.attach(registry)
        for number in range(100):
            rank.log({"n": number})
        rank.send()
        await rank.finish()
        await until(lambda: bool(registry.runs()[0].upload_problem))
        assert registry.is_idle
        assert registry.backlog_bytes > 0
        assert await registry.flush("r1", 0.05) == (False, registry.backlog_bytes)
    async with fake_server() as server, running_registry(tmp_path, server.base_url):
        await until(lambda: "r1" in server.complete)
        assert [row["n"] for row in server.rows("r1")] == list(range(100))


async def test_offline_runs_are_journalled_in_their_folder(tmp_path: Path) -> None:
    async with running_registry(tmp_path, "http://127.0.0.1:9") as registry:
        rank = Rank(tmp_path, mode="offline")
        await rank.attach(registry)
        rank.log({"n": 1})
        rank.send()
        online = Rank(tmp_path, label="other")
        with pytest.raises(InvalidRequest, match="mode"):
            await online.attach(registry)
        await rank.finish()
        await until(lambda: not registry.runs(active_only=True))
    journal = tmp_path / "runs" / "r1" / "journal" / producer_name(rank.producer)
    assert list(journal.glob("*.seg"))
    assert not (tmp_path / "agent" / "journal").exists()


async def test_flush_waits_for_everything_journalled(tmp_path: Path) -> None:
    settings = {"local_interval_s": 60.0}
    async with (
        fake_server() as server,
        running_registry(tmp_path, server.base_url, upstream=settings) as registry,
    ):
        rank = Rank(tmp_path, primary=False)  # no files, which would wait for the interval
        await rank.attach(registry)
        rank.send()
        await until(lambda: bool(server.bodies))
        for number in range(50):
            rank.log({"n": number}, step=number)
        rank.send()
        assert await registry.flush("r1", 5.0) == (True, 0)
        assert len(server.rows("r1")) >= 49
        with pytest.raises(UnknownRun):
            await registry.flush("nope", 1.0)


async def test_flush_brings_what_a_rank_that_just_died_left_in_its_spool(tmp_path: Path) -> None:
    async with (
        fake_server() as server,
        running_registry(tmp_path, server.base_url, watch_interval_s=1000.0) as registry,
    ):
        rank = Rank(tmp_path)
        with rank.alive():
            writer = await rank.attach(registry)
            rank.log({"n": 0})
            rank.send()
        for number in range(1, 50):
            rank.log({"n": number})
        rank.exit()
        rank.write_spool()
        writer.connection_lost()
        assert await registry.flush("r1", 120.0) == (True, 0)
        assert [row["n"] for row in server.rows("r1")] == list(range(50))


async def test_operators_change_read_and_finish_runs(tmp_path: Path) -> None:
    async with (
        fake_server() as server,
        running_registry(tmp_path, server.base_url, watch_interval_s=60.0) as registry,
    ):
        rank = Rank(tmp_path)
        with rank.alive():
            writer = await rank.attach(registry)
            rank.log({"loss": 0.5})
            rank.log({"loss": 0.25})
            rank.send()
            changes = RunChanges(
                name="renamed", add_tags=("t",), config_json={"k": "1"}, summary_json={"best": "2"}
            )
            await registry.update(RunRef("r1"), changes)
            text, step = await registry.read_summary(RunRef("r1"))
            assert json.loads(text)["loss"] == 0.25
            assert json.loads(text)["best"] == 2
            assert step == 2
            await until(lambda: server.runs.get("r1", {}).get("displayName") == "renamed")
            assert server.runs["r1"]["tags"] == ["t"]
            assert json.loads(server.runs["r1"]["config"])["k"] == {"value": 1}
            assert await registry.finish(RunRef("r1"), 3) == [""]
            writer.connection_lost()
            assert await registry.finish(RunRef("r1"), 3) == [""]  # its process lives
        assert await registry.finish(RunRef("r1"), 3) == []
        await until(lambda: server.complete.get("r1") == 3)
        with pytest.raises(InvalidRequest):
            await Rank(tmp_path, "a/b").attach(registry)
        with pytest.raises(UnknownRun):
            await registry.update(RunRef("nope"), changes)


async def test_stop_requests_notices_and_metrics_come_back(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path, settings={"x_stats_sampling_interval": 0.1})
        writer = await rank.attach(registry)
        rank.log({"a": 1}, step=5)
        rank.log({"a": 1}, step=3)
        rank.send()
        server.stopped = True
        await until(lambda: writer.stop_requested)
        await until(lambda: ("r1", "", "wandb-events.jsonl") in server.lines)
        notices = writer.take_notices()
        assert "less than the current step" in notices[0].text
        assert writer.take_notices() == []
        assert writer.pumps.dropped == {"step_went_back": 1}
        event: dict[str, Any] = json.loads(server.lines["r1", "", "wandb-events.jsonl"][0])
        assert "system.memory_percent" in event
        await rank.finish()
        await until(lambda: "r1" in server.complete)


async def test_saved_files_and_the_console_file_arrive(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path, label="r 0")
        await rank.attach(registry)
        files = tmp_path / "runs" / "r1" / "files"
        (files / "d").mkdir(parents=True)
        (tmp_path / "big.bin").write_bytes(os.urandom(3_000_000))
        (files / "d" / "now.txt").write_text("now")
        (files / "end.txt").write_text("early")
        (files / "live.txt").write_text("1")
        (files / "link.bin").symlink_to(tmp_path / "big.bin")
        for path, policy in (
            ("d/now.txt", "now"),
            ("end.txt", "end"),
            ("live.txt", "live"),
            ("link.bin", "now"),
            ("gone.txt", "now"),
            ("../evil.txt", "now"),
        ):
            rank.add(records.FileSaved(path, policy))
        rank.add(records.ConsoleOutput(1.0, 1, "".join(f"line {n}\n" for n in range(100))))
        rank.send()
        await until(lambda: {"d/now.txt", "live.txt", "link.bin"} <= set(server.files))
        (files / "live.txt").write_text("22")
        await until(lambda: server.files["live.txt"] == b"22")
        assert "end.txt" not in server.files
        (files / "end.txt").write_text("late")
        await rank.finish()
        await until(lambda: "r1" in server.complete)
        assert server.files["end.txt"] == b"late"
        assert server.files["link.bin"] == (tmp_path / "big.bin").read_bytes()
        assert server.files["output_r 0.log"].decode().splitlines() == [
            f"line {n}" for n in range(100)
        ]
        assert {"end.txt", "live.txt", "link.bin", "output_r 0.log"} <= set(server.uploaded)
        assert not any("evil" in name or "gone" in name for name in server.files)
        assert all("authorization" not in headers for headers in server.put_headers)
        assert {headers.get("x-sent") for headers in server.put_headers} == {"back"}


async def test_a_mirror_gets_a_copy_of_everything(tmp_path: Path) -> None:
    async with (
        fake_server() as server,
        fake_server() as mirror,
        running_registry(tmp_path, server.base_url, mirrors=(mirror.base_url,)) as registry,
    ):
        await registry.upstreams.credentials.put(mirror.base_url, mirror.api_key)
        rank = Rank(tmp_path)
        await rank.attach(registry)
        for number in range(30):
            rank.log({"n": number})
        await rank.finish()
        await until(lambda: "r1" in server.complete and "r1" in mirror.complete)
        assert server.rows("r1") == mirror.rows("r1")
        await until(lambda: not registry.runs(active_only=True))


async def test_a_spool_without_its_first_record_is_kept(tmp_path: Path) -> None:
    rank, empty = Rank(tmp_path, "r1"), Rank(tmp_path, "r2")
    rank.log({"n": 1})
    rank.write_spool(after=1)
    empty.write_spool(after=1)
    async with running_registry(tmp_path, "http://127.0.0.1:9") as registry:
        await until(lambda: not empty.spool.exists())
        await anyio.sleep(0.2)
        assert list(rank.spool.glob("*.seg"))
        assert registry.is_idle


async def test_trouble_with_one_spool_disturbs_no_other_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trackd_agent.runs import spool

    take_over = spool.take_over

    async def broken(writer: Any, folder: Path, *, live: bool) -> None:
        if writer.label == "bad":
            raise RuntimeError("a bug")
        await take_over(writer, folder, live=live)

    monkeypatch.setattr(spool, "take_over", broken)
    bad, good = Rank(tmp_path, "r0", label="bad"), Rank(tmp_path, "r1")
    for rank in (bad, good):
        rank.log({"n": 1})
        rank.write_spool()
    async with fake_server() as server, running_registry(tmp_path, server.base_url):
        await until(lambda: "r1" in server.complete)
        assert [row["n"] for row in server.rows("r1")] == [1]
