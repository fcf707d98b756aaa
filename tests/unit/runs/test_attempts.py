"""Attempts of one run one after the other: each goes on behind what the server has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.fakes.wandb_server import fake_server
from tests.support.rank import Rank
from tests.support.runs import running_registry, until

from trackd_agent.filestream import FileStream
from trackd_agent.runs.options import RunRef
from trackd_proto import records

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


async def test_a_second_attempt_goes_on_behind_the_first(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        ranks = [Rank(tmp_path) for _ in range(2)]
        for attempt, rank in enumerate(ranks):
            await rank.attach(registry)
            for number in range(5):
                rank.log({"attempt": attempt, "number": number})
            rank.add(records.ConsoleOutput(1.0, 1, f"hello {attempt}\n"))
            rank.send()
            await rank.writer.detach(rank.last_seq) if attempt == 0 else await rank.finish()  # type: ignore[union-attr]
        await until(lambda: "r1" in server.complete)
        rows = server.rows("r1")
        assert [(r["attempt"], r["number"]) for r in rows] == [
            (a, n) for a in range(2) for n in range(5 if a else 4)
        ] or len(rows) == 10
        assert not server.rewritten
        lines = server.lines["r1", "", "output.log"]
        assert [json.loads(lines[n])["content"] for n in sorted(lines)] == ["hello 0", "hello 1"]


async def test_an_attempt_after_the_run_was_forgotten_goes_on_behind_it(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        for attempt in range(3):
            rank = Rank(tmp_path)
            writer = await rank.attach(registry)
            for number in range(5):
                rank.log({"attempt": attempt, "number": number})
            rank.add(records.ConsoleOutput(1.0, 1, f"hello {attempt}\n"))
            rank.send()
            writer.record(records.Kind.STATS, records.Stats(1.0, {"cpu": float(attempt)}))
            await rank.finish()
            await until(lambda: not registry.runs(active_only=True))
        rows = [(row["attempt"], row["number"]) for row in server.rows("r1")]
        assert rows == [(a, n) for a in range(3) for n in range(5)]
        assert not server.rewritten
        lines = server.lines["r1", "", "output.log"]
        assert [json.loads(lines[n])["content"] for n in range(3)] == [
            f"hello {n}" for n in range(3)
        ]
        events = server.lines["r1", "", "wandb-events.jsonl"]
        assert [json.loads(events[n])["system.cpu"] for n in range(3)] == [0.0, 1.0, 2.0]


async def test_the_server_s_lines_are_not_overwritten_by_a_new_attempt(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        server.history_line_count = 7
        rank = Rank(tmp_path)
        await rank.attach(registry)
        rank.log({"x": 1})
        await rank.finish()
        await until(lambda: "r1" in server.complete)
        assert set(server.lines["r1", "", "wandb-history.jsonl"]) == {7}


async def test_an_attempt_waits_for_an_earlier_one_that_fails_and_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = FileStream.send
    is_broken = True

    async def broken(self: FileStream, outgoing: Any) -> None:
        if is_broken:
            raise RuntimeError("a bug")
        await send(self, outgoing)

    monkeypatch.setattr(FileStream, "send", broken)
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        for attempt in range(2):
            rank = Rank(tmp_path)
            await rank.attach(registry)
            rank.log({"attempt": attempt})
            await rank.finish()
        await until(lambda: "a bug" in registry.status(RunRef("r1")).upload_problem)
        is_broken = False
        await until(lambda: "r1" in server.complete)
        assert [row["attempt"] for row in server.rows("r1")] == [0, 1]
