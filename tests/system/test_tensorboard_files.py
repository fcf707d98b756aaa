"""Event files that a real agent follows, while it is killed: every value once, in order."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
from tests.support.agent import running_agent
from tests.support.event_files import event_file, scalars
from tests.support.server import running_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.agent import RunningAgent

#: Logs a row of its own at each word, until it is told to stop.
RANK = """
import sys, trackd
from trackd.integration import tensorboard
run = trackd.init(project="p", id="tb", mode=sys.argv[1])
tensorboard.follow("logs", root_logdir="logs")
print("ready", flush=True)
for number, word in enumerate(sys.stdin):
    if word == "stop\\n":
        break
    run.log({"own": number})
run.finish()
"""
SETTINGS: dict[str, Any] = {
    "TRACKD_RUNS__TENSORBOARD_INTERVAL_S": "0.05",
    "TRACKD_X_DISABLE_STATS": "true",
}


def start_rank(folder: Path, agent: RunningAgent, mode: str) -> subprocess.Popen[str]:
    rank = subprocess.Popen(
        [sys.executable, "-c", RANK, mode], cwd=folder, env=agent.environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert rank.stdout is not None
    assert rank.stdout.readline() == "ready\n"
    return rank


async def train(folder: Path, agent: RunningAgent, rank: subprocess.Popen[str]) -> None:
    """Write 400 steps in parts; kill the agent in between."""
    assert rank.stdin is not None
    path = event_file(folder / "logs", begun_s=1000)
    for part in range(20):
        with path.open("ab") as file:
            file.write(scalars(part * 20, 20))
        rank.stdin.write("go on\n")
        rank.stdin.flush()
        await anyio.sleep(0.1)
        if part in (5, 12, 18):
            await agent.restart()


async def stop(rank: subprocess.Popen[str]) -> None:
    assert rank.stdin is not None
    rank.stdin.write("stop\n")
    rank.stdin.close()
    assert await anyio.to_thread.run_sync(rank.wait) == 0
    assert rank.stdout is not None
    rank.stdout.close()


def export(folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    [run_dir] = (folder / "trackd").glob("*run-*-tb")
    command = [sys.executable, "-c", "from trackd.cli import main; main()", "export", "--json"]
    done = subprocess.run([*command, run_dir], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check(document: dict[str, Any]) -> None:
    rows = document["history"]
    assert [row["loss"] for row in rows if "loss" in row] == list(range(400))
    assert [row["global_step"] for row in rows if "loss" in row] == list(range(400))
    assert [row["own"] for row in rows if "own" in row] == list(range(20))
    assert [row["_step"] for row in rows] == list(range(420))
    assert document["run"]["state"] == "finished"
    assert document["summary"]["loss"] == 399


@pytest.mark.parametrize("mode", ["offline", "online"])
async def test_an_agent_killed_while_it_follows_loses_and_doubles_nothing(
    tmp_path: Path, mode: str
) -> None:
    async with (
        running_server(tmp_path) as server,
        running_agent(
            tmp_path, TRACKD_BASE_URL=server.address, TRACKD_API_KEY=server.key, **SETTINGS
        ) as agent,
    ):
        rank = start_rank(tmp_path, agent, mode)
        await train(tmp_path, agent, rank)
        await stop(rank)
        if mode == "online":
            assert await agent.flush()
            with anyio.fail_after(120):  # the files may be read a while longer than the rank lived
                while (document := server.document("tb"))["run"]["state"] == "running":
                    await anyio.sleep(0.1)
            check(document)
            [saved] = [f for f in document["files"] if f["name"].startswith("events.out")]
            assert saved["size"] == len(scalars(0, 400))
        else:
            check(export(tmp_path, agent.environment))


async def test_what_a_killed_rank_wrote_comes_too(tmp_path: Path) -> None:
    async with running_agent(tmp_path, **SETTINGS) as agent:
        rank = start_rank(tmp_path, agent, "offline")
        event_file(tmp_path / "logs", scalars(0, 100), begun_s=1000)
        rank.kill()
        await anyio.to_thread.run_sync(rank.wait)
        for pipe in (rank.stdin, rank.stdout):
            assert pipe is not None
            pipe.close()
        with anyio.fail_after(120):
            while any(run.state == "running" for run in (await agent.status()).runs):
                await anyio.sleep(0.05)
        document = export(tmp_path, agent.environment)
        assert [row["loss"] for row in document["history"]] == list(range(100))
        assert document["run"]["state"] == "crashed"
