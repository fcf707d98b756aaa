"""A real agent and a real server, killed at awkward moments: what the server has afterwards."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from tests.support.agent import running_agent
from tests.support.runs import until
from tests.support.server import running_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.agent import RunningAgent
    from tests.support.server import RunningServer

RANK = """
import sys, trackd
run = trackd.init(project="p", id="r1", settings=trackd.Settings(x_disable_stats=True))
for number in range(int(sys.argv[1])):
    run.log({"n": number})
    if number % 100 == 0:
        print("row", number)
        if len(sys.argv) > 2:
            sys.stdin.readline()
run.finish()
"""


def start_rank(agent: RunningAgent, folder: Path, *args: str) -> subprocess.Popen[bytes]:
    script = folder / "rank.py"
    script.write_text(RANK)
    return subprocess.Popen(
        [sys.executable, str(script), *args], cwd=folder, env=agent.environment,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def rows_of(server: RunningServer) -> list[int]:
    return [row["n"] for row in server.document("r1")["history"]]


async def wait_for_end(rank: subprocess.Popen[bytes]) -> int:
    assert rank.stdin is not None
    rank.stdin.close()
    return await anyio.to_thread.run_sync(rank.wait)


def settings_for(server: RunningServer) -> dict[str, Any]:
    return {
        "TRACKD_BASE_URL": server.address,
        "TRACKD_API_KEY": server.key,
        "TRACKD_UPSTREAM__RETRY_MIN_S": "0.1",
        "TRACKD_UPSTREAM__RETRY_MAX_S": "0.5",
        "TRACKD_UPSTREAM__LOCAL_INTERVAL_S": "0.1",
    }


async def test_an_agent_killed_again_and_again_sends_every_row_once(tmp_path: Path) -> None:
    async with (
        running_server(tmp_path) as server,
        running_agent(tmp_path, **settings_for(server)) as agent,
    ):
        rank = start_rank(agent, tmp_path, "3000", "step by step")
        assert rank.stdin is not None
        for number in range(30):
            rank.stdin.write(b"\n")
            rank.stdin.flush()
            await anyio.sleep(0.05)
            if number in (3, 10, 20):
                await agent.restart()
        assert await wait_for_end(rank) == 0
        assert await agent.flush()
        assert rows_of(server) == list(range(3000))
        assert server.document("r1")["run"]["state"] == "finished"


async def test_a_run_that_ended_without_server_is_uploaded_by_the_next_agent(
    tmp_path: Path,
) -> None:
    async with running_server(tmp_path) as server:
        port = int(server.address.rsplit(":", 1)[1])
        settings = settings_for(server)
    async with running_agent(tmp_path, **settings) as agent:
        rank = start_rank(agent, tmp_path, "2000")
        assert await wait_for_end(rank) == 0
        with anyio.fail_after(120):
            while not (status := await agent.status()).runs[0].upload_problem:
                await anyio.sleep(0.05)
        assert status.backlog_bytes > 0
        await agent.kill()
        async with running_server(tmp_path, port=port) as server:
            await agent.start()
            assert await agent.flush()
            assert rows_of(server) == list(range(2000))
            for name in ("spool", "journal"):
                await until(partial(_is_empty, agent.data / "agent" / name))


async def test_a_rank_killed_with_its_agent_comes_up_as_crashed_with_all_rows(
    tmp_path: Path,
) -> None:
    async with (
        running_server(tmp_path) as server,
        running_agent(tmp_path, **settings_for(server)) as agent,
    ):
        rank = start_rank(agent, tmp_path, "3000", "step by step")
        assert rank.stdin is not None
        for _ in range(5):
            rank.stdin.write(b"\n")
        rank.stdin.flush()
        await until(lambda: _has_rows(server))
        await agent.kill()
        rank.kill()
        await wait_for_end(rank)
        await agent.start()
        with anyio.fail_after(120):
            while server.document("r1")["run"]["state"] != "crashed":
                await anyio.sleep(0.1)
        document = server.document("r1")
        assert document["run"]["exit_code"] is None
        # The rank waits behind row 500 (after five answers), which log() had returned.
        assert rows_of(server) == list(range(501))


def _is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


def _has_rows(server: RunningServer) -> bool:
    with server.client() as client:
        answer = client.get("/api/v1/runs/local/p/r1/document")
    return answer.status_code == 200 and len(answer.json()["history"]) > 0
