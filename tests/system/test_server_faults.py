"""A server that misbehaves in every way while the agent is killed: each row arrives once."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import anyio
import pytest
from tests.fakes import wandb_server as fake
from tests.fakes.wandb_server import FakeServer, fake_server
from tests.support.agent import running_agent
from tests.support.runs import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.agent import RunningAgent

RANK = """
import sys, time, trackd
settings = trackd.Settings(x_disable_stats=True, x_label=sys.argv[1] or None)
run = trackd.init(project="p", id="r1", settings=settings)
for number in range(2000):
    run.log({"n": number})
    if number % 10 == 0:
        print("row", number)
        time.sleep(0.03)
run.finish()
"""

FAULTS = {
    "500": fake.status(500),
    "HTML": fake.not_json(),
    "wrong shape": fake.status(200, body="[1, 2]"),
    "errors in a 200": fake.status(200, body='{"errors": [{"message": "try again"}]}'),
    "applied, then dropped": fake.drop_after_apply,
    "dropped": fake.drop,
    "wrong key": fake.status(401),
    "throttled": fake.status(429, {"Retry-After": "0.1"}),
    "too large": fake.too_large(3000),
    "hangs": fake.hang,
}


def start_rank(agent: RunningAgent, folder: Path, label: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "rank.py", label], cwd=folder, env=agent.environment,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


async def misbehave(server: FakeServer) -> None:
    for name, kind in itertools.cycle(itertools.product(FAULTS, ("file_stream", "graphql", "put"))):
        server.faults[kind] = FAULTS[name]
        await anyio.sleep(0.15)
        server.faults.clear()
        await anyio.sleep(0.1)


@pytest.mark.parametrize("labels", [[""], ["rank0", "rank1", "Größe 2"]], ids=["plain", "labelled"])
async def test_faults_while_the_agent_dies(tmp_path: Path, labels: list[str]) -> None:
    async with (
        fake_server() as server,
        running_agent(
            tmp_path,
            TRACKD_BASE_URL=server.base_url,
            TRACKD_API_KEY=server.api_key,
            TRACKD_UPSTREAM__RETRY_MIN_S="0.05",
            TRACKD_UPSTREAM__RETRY_MAX_S="0.2",
            TRACKD_UPSTREAM__CREDENTIALS_RETRY_S="0.2",
            TRACKD_UPSTREAM__PARKED_RETRY_S="0.3",
            TRACKD_UPSTREAM__FILE_STREAM_TIMEOUT_S="0.5",
            TRACKD_UPSTREAM__GRAPHQL_TIMEOUT_S="0.5",
            TRACKD_UPSTREAM__LOCAL_INTERVAL_S="0.05",
        ) as agent,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(misbehave, server)
        (tmp_path / "rank.py").write_text(RANK)  # once: a rank may read it much later
        ranks = [start_rank(agent, tmp_path, label) for label in labels]
        for _ in range(8):
            await anyio.sleep(0.7)
            await agent.restart()
        for rank in ranks:
            assert await anyio.to_thread.run_sync(rank.wait) == 0
        tasks.cancel_scope.cancel()
    server.faults.clear()
    await _assert_all(tmp_path, server, labels)


async def _assert_all(folder: Path, server: FakeServer, labels: list[str]) -> None:
    async with fake_server(int(server.base_url.rsplit(":", 1)[1])) as again:
        again.lines, again.rewritten, again.runs = server.lines, server.rewritten, server.runs
        again.complete = server.complete
        async with running_agent(
            folder, TRACKD_BASE_URL=server.base_url, TRACKD_API_KEY=server.api_key
        ):
            await until(lambda: "r1" in again.complete)
        streams = again.streams("r1")
        assert len(streams) == len(labels)
        for stream in streams:
            assert [row["n"] for row in again.rows("r1", stream)] == list(range(2000))
            console = again.lines["r1", stream, "output.log"]
            assert sorted(console) == list(range(len(console)))
            texts = [json.loads(console[number])["content"] for number in range(len(console))]
            printed = [text for text in texts if text.startswith("row ")]
            assert printed == [f"row {number}" for number in range(0, 2000, 10)]
        assert not again.rewritten
