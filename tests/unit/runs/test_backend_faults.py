"""What a server may do to a run: each row of the fault table, with what we promise for it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.fakes import wandb_server as fake
from tests.fakes.wandb_server import FakeServer, fake_server
from tests.support.rank import Rank
from tests.support.runs import SHORT, running_registry, until

from trackd_agent.filestream import FileStreamConfig
from trackd_agent.runs.context import RoomConfigs
from trackd_agent.runs.options import RunRef

if TYPE_CHECKING:
    from pathlib import Path

    from trackd_agent.runs.registry import RunRegistry

ROWS = 300


async def log_rows(rank: Rank, count: int = ROWS) -> None:
    first = rank.last_seq - 1
    for number in range(first, first + count):
        rank.log({"n": number})
        if number % 50 == 0:
            rank.send()
            await anyio.sleep(0.01)
    rank.send()


async def assert_all_arrive(server: FakeServer, registry: RunRegistry, count: int = ROWS) -> None:
    await until(lambda: "r1" in server.complete)
    assert [row["n"] for row in server.rows("r1")] == list(range(count))
    assert not server.rewritten
    await until(lambda: not registry.runs(active_only=True))
    assert registry.status(RunRef("r1")).writers[0].dropped == {}


TRANSIENT = {
    "500": fake.status(500),
    "502 of a proxy": fake.not_json(code=502),
    "429 with Retry-After": fake.status(429, {"Retry-After": "0.2"}),
    "408": fake.status(408),
    "200 that is no JSON": fake.not_json(),
    "200 with an empty body": fake.status(200, body=""),
    "200 with a JSON list": fake.status(200, body="[]"),
    "connection dropped": fake.drop,
    "applied, then dropped": fake.drop_after_apply,
    "no answer": fake.hang,
}


@pytest.mark.parametrize("name", TRANSIENT)
@pytest.mark.parametrize("kind", ["file_stream", "graphql"])
async def test_a_transient_fault_costs_no_row(tmp_path: Path, name: str, kind: str) -> None:
    short = SHORT if TRANSIENT[name] is fake.hang else {}
    async with (
        fake_server() as server,
        running_registry(tmp_path, server.base_url, upstream=short) as registry,
    ):
        server.faults[kind] = TRANSIENT[name]
        rank = Rank(tmp_path)
        await rank.attach(registry)
        await log_rows(rank)
        await until(lambda: server.requests.get(kind, 0) >= 2)
        await until(lambda: bool(registry.status(RunRef("r1")).upload_problem))
        del server.faults[kind]
        await rank.finish()
        await assert_all_arrive(server, registry)


async def test_retry_after_is_obeyed(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        server.faults["file_stream"] = fake.status(429, {"Retry-After": "0.5"})
        rank = Rank(tmp_path)
        await rank.attach(registry)
        began_s = time.monotonic()
        await log_rows(rank, 1)
        await anyio.sleep(0.8)
        # On a busy machine the sleep takes longer.
        assert server.requests["file_stream"] <= 1 + (time.monotonic() - began_s) / 0.5


async def test_connection_refused_from_before_the_start(tmp_path: Path) -> None:
    async with fake_server() as first:
        port = int(first.base_url.rsplit(":", 1)[1])
    async with running_registry(tmp_path, first.base_url) as registry:
        rank = Rank(tmp_path)
        await rank.attach(registry)
        await log_rows(rank)
        await until(lambda: bool(registry.status(RunRef("r1")).upload_problem))
        async with fake_server(port) as server:
            await rank.finish()
            await assert_all_arrive(server, registry)


async def test_a_refused_key_is_read_again(tmp_path: Path) -> None:
    async with (
        fake_server() as server,
        running_registry(tmp_path, server.base_url, api_key="old" * 20) as registry,
    ):
        rank = Rank(tmp_path)
        await rank.attach(registry)
        await log_rows(rank)
        await until(lambda: "401" in registry.status(RunRef("r1")).upload_problem)
        assert registry.upstreams.status()[0].state == "unauthorized"
        path = tmp_path / "agent" / "credentials.json"
        assert path.stat().st_mode & 0o777 == 0o600
        path.write_text(f'{{"{server.base_url}": "{server.api_key}"}}')
        await rank.finish()
        await assert_all_arrive(server, registry)


async def test_one_rank_hears_once_why_the_upload_waits(tmp_path: Path) -> None:
    async with (
        fake_server() as server,
        running_registry(
            tmp_path, server.base_url, api_key="wrong" * 8, trouble_told_s=0.2
        ) as registry,
    ):
        ranks = [Rank(tmp_path, label=f"rank{n}") for n in range(2)]
        for rank in ranks:
            await rank.attach(registry)
            await log_rows(rank, 1)
        told: list[str] = []

        def hears() -> bool:
            for rank in ranks:
                assert rank.writer is not None
                told.extend(notice.text for notice in rank.writer.take_notices())
            return bool(told)

        await until(hears)
        await anyio.sleep(0.5)  # it does not say so again
        hears()
        [text] = told
        assert server.base_url in text
        assert "401" in text
        assert "nothing is lost" in text


@pytest.mark.parametrize("code", [401, 403])
async def test_a_passing_401_does_not_end_the_upload(tmp_path: Path, code: int) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        server.faults["file_stream"] = fake.status(code)
        rank = Rank(tmp_path)
        await rank.attach(registry)
        await log_rows(rank)
        await until(lambda: server.requests.get("file_stream", 0) >= 1)
        server.faults.clear()
        await rank.finish()
        await assert_all_arrive(server, registry)


@pytest.mark.parametrize("code", [400, 404, 409, 410, 422, 302])
async def test_a_refused_run_is_parked_until_the_user_asks(tmp_path: Path, code: int) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        server.faults["file_stream"] = fake.status(code)
        rank = Rank(tmp_path)
        await rank.attach(registry)
        await log_rows(rank)
        await until(lambda: str(code) in registry.status(RunRef("r1")).upload_problem)
        before = server.requests["file_stream"]
        server.faults.clear()
        await anyio.sleep(0.3)
        assert server.requests["file_stream"] == before
        assert rank.send() == rank.last_seq  # it keeps spooling
        assert (await registry.flush("r1", 120.0))[0]
        await rank.finish()
        await assert_all_arrive(server, registry)


async def test_a_parked_run_is_tried_again_after_a_while(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"parked_retry_s": 0.2}
    async with (
        fake_server() as server,
        running_registry(tmp_path, server.base_url, upstream=settings) as registry,
    ):
        server.faults["file_stream"] = fake.status(404)
        rank = Rank(tmp_path)
        await rank.attach(registry)
        await log_rows(rank)
        await until(lambda: server.requests.get("file_stream", 0) >= 2)
        server.faults.clear()
        await rank.finish()
        await assert_all_arrive(server, registry)


async def test_413_halves_the_batch(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        server.faults["file_stream"] = fake.too_large(2000)
        rank = Rank(tmp_path)
        await rank.attach(registry)
        await log_rows(rank)
        await rank.finish()
        await assert_all_arrive(server, registry)


async def test_413_for_one_large_line_drops_that_line_and_counts_it(tmp_path: Path) -> None:
    rooms = RoomConfigs(filestream=FileStreamConfig(least_refusable_bytes=2000))
    async with (
        fake_server() as server,
        running_registry(tmp_path, server.base_url, rooms=rooms) as registry,
    ):
        server.faults["file_stream"] = fake.too_large(2000)
        rank = Rank(tmp_path)
        await rank.attach(registry)
        rank.log({"n": 0})
        rank.log({"n": 1, "text": "x" * 4000})
        rank.log({"n": 2})
        await rank.finish()
        await until(lambda: "r1" in server.complete)
        lines = server.lines["r1", "", "wandb-history.jsonl"]
        assert sorted(lines) == [0, 2]  # others keep their numbers
        await until(lambda: not registry.runs(active_only=True))
        # The row, and the summary that holds the same text.
        assert registry.status(RunRef("r1")).writers[0].dropped == {"line_refused": 2}


@pytest.mark.parametrize("kind", ["file_stream", "graphql"])
async def test_413_for_everything_drops_nothing(tmp_path: Path, kind: str) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        server.faults[kind] = fake.status(413)
        rank = Rank(tmp_path)
        await rank.attach(registry)
        await log_rows(rank)
        await until(lambda: "413" in registry.status(RunRef("r1")).upload_problem)
        assert registry.status(RunRef("r1")).writers[0].dropped == {}
        server.faults.clear()
        assert (await registry.flush("r1", 120.0))[0]
        await rank.finish()
        await assert_all_arrive(server, registry)


async def test_a_configuration_that_is_too_large_costs_no_row(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        server.faults["graphql"] = fake.too_large(20_000)
        rank = Rank(tmp_path, config={"text": "x" * 40_000})
        await rank.attach(registry)
        await log_rows(rank)
        await rank.finish()
        await assert_all_arrive(server, registry)


ERRORS = {
    "permission denied to write to team/p": "permission denied",
    "project not found": "project not found",
    'Cannot query field "x" on type "Y".': "Cannot query field",
}


@pytest.mark.parametrize("message", ERRORS)
@pytest.mark.parametrize("kind", ["file_stream", "graphql"])
async def test_errors_in_a_200_that_stay_park_the_run(
    tmp_path: Path, kind: str, message: str
) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        body = json.dumps({"errors": [{"message": message}], "data": None})
        server.faults[kind] = fake.status(200, body=body)
        rank = Rank(tmp_path)
        await rank.attach(registry)
        await log_rows(rank)
        await until(lambda: ERRORS[message] in registry.status(RunRef("r1")).upload_problem)
        await anyio.sleep(0.3)
        assert server.requests[kind] <= 2  # for graphql: one for the first answer, one parked
        server.faults.clear()
        assert (await registry.flush("r1", 120.0))[0]
        await rank.finish()
        await assert_all_arrive(server, registry)


async def test_lines_above_the_limit_of_the_protocol_are_dropped_before_sending(
    tmp_path: Path,
) -> None:
    rooms = RoomConfigs(filestream=FileStreamConfig(max_line_bytes=1000))
    async with (
        fake_server() as server,
        running_registry(tmp_path, server.base_url, rooms=rooms) as registry,
    ):
        rank = Rank(tmp_path)
        await rank.attach(registry)
        rank.log({"n": 0, "text": "é" * 600})
        rank.log({"n": 1})
        await rank.finish()
        await until(lambda: "r1" in server.complete)
        assert [row["n"] for row in server.rows("r1")] == [1]


async def test_requests_stay_below_the_size_limit(tmp_path: Path) -> None:
    rooms = RoomConfigs(filestream=FileStreamConfig(max_request_bytes=4096))
    async with (
        fake_server() as server,
        running_registry(tmp_path, server.base_url, rooms=rooms) as registry,
    ):
        server.faults["file_stream"] = fake.too_large(6000)  # fails the test by dropping
        rank = Rank(tmp_path)
        await rank.attach(registry)
        await log_rows(rank, 1000)
        await rank.finish()
        await assert_all_arrive(server, registry, 1000)


async def test_a_poisoned_run_does_not_delay_others(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        server.fault_runs = {"bad"}
        server.faults["file_stream"] = fake.hang
        bad, good = Rank(tmp_path, "bad"), Rank(tmp_path, "r1")
        await bad.attach(registry)
        await log_rows(bad)
        await until(lambda: server.requests.get("file_stream", 0) >= 1)
        await good.attach(registry)
        await log_rows(good)
        await good.finish()
        await until(lambda: "r1" in server.complete)  # the bad one hangs for good
        assert [row["n"] for row in server.rows("r1")] == list(range(ROWS))


async def test_refused_files_are_sent_again_and_the_run_completes(tmp_path: Path) -> None:
    async with (
        fake_server() as server,
        running_registry(tmp_path, server.base_url, files_grace_s=0.2) as registry,
    ):
        server.faults["put"] = fake.status(503)
        rank = Rank(tmp_path)
        await rank.attach(registry)
        await log_rows(rank, 3)
        await rank.finish()
        await until(lambda: "r1" in server.complete)
        assert "config.yaml" not in server.uploaded
        await until(lambda: registry.status(RunRef("r1")).upload_problem != "")
        server.faults.clear()
        await until(lambda: not registry.runs(active_only=True))
        assert "config.yaml" in server.uploaded


async def test_a_heartbeat_is_sent_while_nothing_happens(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path)
        await rank.attach(registry)
        rank.send()
        await until(lambda: {} in server.bodies)
        await rank.finish()
        await until(lambda: "r1" in server.complete)
        count = server.requests["file_stream"]
        await anyio.sleep(0.4)
        assert server.requests["file_stream"] == count


async def test_a_pump_that_fails_starts_again_from_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trackd_agent.filestream import FileStream

    failures = iter(range(3))
    send = FileStream.send

    async def broken(self: FileStream, outgoing: Any) -> None:
        if outgoing.history and next(failures, None) is not None:
            raise RuntimeError("a bug")
        await send(self, outgoing)

    monkeypatch.setattr(FileStream, "send", broken)
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path)
        await rank.attach(registry)
        await log_rows(rank)
        await rank.finish()
        await assert_all_arrive(server, registry)


async def test_a_run_whose_upload_fails_unexpectedly_is_not_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trackd_agent.artifacts.saves import RunSaves

    failures = iter(range(2))
    run = RunSaves.run

    async def broken(self: RunSaves) -> None:
        if next(failures, None) is not None:
            raise RuntimeError("a bug")
        await run(self)

    monkeypatch.setattr(RunSaves, "run", broken)
    async with (
        fake_server() as server,
        running_registry(tmp_path, server.base_url, restart_s=0.3) as registry,
    ):
        rank = Rank(tmp_path)
        await rank.attach(registry)
        await log_rows(rank)
        await rank.finish()
        await assert_all_arrive(server, registry)
