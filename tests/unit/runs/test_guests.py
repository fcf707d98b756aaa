"""Guests of a run: their rows in one sequence with those of their host, whatever happens."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from tests.fakes.wandb_server import fake_server
from tests.support.rank import Rank
from tests.support.runs import running_registry, until
from tests.unit.runs.test_document import make_run

from trackd_agent.runs.folders import families
from trackd_agent.runs.folders.document import replay
from trackd_agent.runs.folders.run_folder import find_writers
from trackd_proto import layout, records
from trackd_proto.records import GuestRecords, Kind

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.wandb_server import FakeServer

    from trackd_agent.runs.registry import RunRegistry


class Family:
    """A rank and its guests, which log by one clock, one second a row."""

    def __init__(self, data: Path, **facts: Any) -> None:
        self.data = data
        self.host = Rank(data, **facts)
        self.clock_s = 0.0

    def guest(self, parent: Rank | None = None) -> Rank:
        facts = {k: self.host.facts[k] for k in ("mode", "run_dir", "time_s")}
        made = Rank(
            self.data,
            parent_producer=(parent or self.host).producer,
            update_finish_state=False,
            joined_s=self.clock_s,
            **facts,
        )
        made.spool.mkdir(parents=True)
        return made

    def log(self, who: Rank, n: int) -> None:
        self.clock_s += 1.0
        time_s = self.host.facts["time_s"] + self.clock_s
        who.add(records.Row(time_s, self.clock_s, {"n": n}))


def sequence(server: FakeServer) -> list[tuple[int, int]]:
    return [(row["_step"], row["n"]) for row in server.rows("r1")]


async def attached(family: Family, registry: RunRegistry, **more: Any) -> None:
    await family.host.attach(registry, **more)


async def test_rows_stand_where_they_were_logged(tmp_path: Path) -> None:
    family = Family(tmp_path)
    child = family.guest()
    grandchild = family.guest(child)
    for n in range(12):
        family.log((family.host, child, grandchild)[n % 3], n)
    child.write_spool()
    grandchild.write_spool()
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        await attached(family, registry)
        family.host.send()
        await family.host.finish()
        await until(lambda: "r1" in server.complete)
        assert sequence(server) == [(n, n) for n in range(12)]
        assert server.streams("r1") == {""}
        await until(lambda: not registry.runs(active_only=True))
    assert not child.spool.exists()
    assert not grandchild.spool.exists()


async def test_a_replay_gives_the_same_lines(tmp_path: Path) -> None:
    """Only the first checkpoint is made, so every agent sends everything once more."""
    family = Family(tmp_path)
    child = family.guest()
    n = 0
    async with fake_server() as server:
        with family.host.alive(), child.alive():
            for agent in range(5):
                settings: dict[str, Any] = {"checkpoint_interval_s": 1000.0}
                async with running_registry(tmp_path, server.base_url, **settings) as registry:
                    await attached(family, registry, reattach=bool(agent))
                    for _ in range(6):
                        family.log(family.host if n % 3 else child, n)
                        n += 1
                    child.write_spool()
                    family.host.send()
                    await until(lambda n=n: bool(server.lines) and len(server.rows("r1")) == n)
                    family.log(child, n)  # nobody is there any more when this one is written
                    n += 1
                child.write_spool()
        async with running_registry(tmp_path, server.base_url) as registry:
            await attached(family, registry, reattach=True)
            await family.host.finish()
            await until(lambda: "r1" in server.complete)
        found = sequence(server)
        assert not server.rewritten
    assert [step for step, _ in found] == list(range(n))
    assert [value for _, value in found] == list(range(n))


async def test_what_a_guest_says_counts_for_the_run(tmp_path: Path) -> None:
    family = Family(tmp_path)
    child = family.guest()
    family.log(family.host, 0)
    child.add(
        records.ConfigUpdate([(["lr"], 3)]),
        records.SummaryUpdate([(["best"], 7)]),
        records.ConsoleOutput(child.facts["time_s"] + 1, records.LOG_LINES, "from the child\n"),
        records.RunUpdate(tags=["t"]),
        records.Exit(5, 0.0, 1.0),
    )
    child.write_spool()
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        await attached(family, registry)
        family.host.send()
        await family.host.finish()
        await until(lambda: "r1" in server.complete)
        assert server.complete["r1"] == 0  # the end of a guest is no end of the run
        run = server.runs["r1"]
        assert json.loads(run["config"])["lr"] == {"value": 3}
        assert run["tags"] == ["t"]
        summary = server.lines["r1", "", "wandb-summary.json"]
        assert json.loads(summary[0])["best"] == 7
        assert "from the child" in server.lines["r1", "", "output.log"][0]


async def test_a_guest_waits_for_rows_of_its_host_that_are_on_their_way(tmp_path: Path) -> None:
    family = Family(tmp_path)
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        with family.host.alive():
            await attached(family, registry)
            family.log(family.host, 0)
            family.host.write_spool()
            child = family.guest()
            family.log(child, 1)
            child.write_spool()
            await until(lambda: bool(registry.runs()))
            family.host.send(1)  # its first record alone
            writer = family.host.writer
            assert writer is not None
            for _ in range(3):
                assert await writer.guests.gather()
            notes = [f for f in writer.agent_journal.reader(0).read() if f.kind == Kind.GUEST]
            copied = [records.decode(note.kind, note.payload) for note in notes]
            assert not any(isinstance(r, GuestRecords) and r.records for r in copied)
            family.host.send()
        await family.host.finish()
        await until(lambda: "r1" in server.complete)
        assert sequence(server) == [(0, 0), (1, 1)]


async def test_a_guest_that_begins_when_all_is_over_has_its_rows_recorded(tmp_path: Path) -> None:
    family = Family(tmp_path)
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        await attached(family, registry)
        family.log(family.host, 0)
        await family.host.finish(3)
        await until(lambda: not registry.runs(active_only=True))
        late = family.guest()
        family.log(late, 1)
        late.write_spool()
        stream = layout.producer_name(late.producer)
        await until(lambda: stream in server.streams("r1"))
        await until(lambda: not registry.runs(active_only=True))
        assert [row["n"] for row in server.rows("r1", stream)] == [1]
        assert sequence(server) == [(0, 0)]


@pytest.mark.parametrize("taken", [0, 1, 2])
async def test_an_export_merges_what_was_not_taken_over_yet(tmp_path: Path, taken: int) -> None:
    run_dir, data = make_run(tmp_path)
    family = Family(data, mode="offline", run_dir=str(run_dir))
    child = family.guest()
    grandchild = family.guest(child)
    for n in range(9):
        family.log((family.host, child, grandchild)[n % 3], n)
    family.host.write_spool()
    if taken:
        async with running_registry(data, "http://127.0.0.1:9") as registry:
            (child.write_spool if taken == 1 else grandchild.write_spool)()
            with family.host.alive():
                await attached(family, registry)
                family.host.send()
                if taken == 1:
                    await until(lambda: not child.spool.exists())
                    family.log(family.host, 9)
                    family.host.send()
    if taken != 1:
        child.write_spool()
    if taken != 2:
        grandchild.write_spool()
    sources = find_writers(run_dir, layout.RunFolderFacts.read(run_dir))
    facts = layout.RunFolderFacts.read(run_dir)
    made = [replay(source, facts, found) for source, found in families.grouped(sources)]
    [whole] = [replayed for replayed in made if replayed]
    rows = [json.loads(line) for line in whole.history]
    last = 10 if taken == 1 else 9
    assert [(row["_step"], row["n"]) for row in rows] == [(n, n) for n in range(last)]


async def test_the_last_words_of_an_offline_guest_open_its_run_again(tmp_path: Path) -> None:
    run_dir, data = make_run(tmp_path)
    family = Family(data, mode="offline", run_dir=str(run_dir))
    async with running_registry(data, "http://127.0.0.1:9") as registry:
        await attached(family, registry)
        family.log(family.host, 0)
        await family.host.finish()
        await until(lambda: not registry.runs(active_only=True))
        late = family.guest()
        family.log(late, 1)
        late.write_spool()
        await until(lambda: not late.spool.exists())
        await until(lambda: not registry.runs(active_only=True))
    shutil.rmtree(data)
    [source] = find_writers(run_dir, None)
    whole = replay(source, None)
    assert whole is not None
    assert [json.loads(line)["n"] for line in whole.history] == [0, 1]
