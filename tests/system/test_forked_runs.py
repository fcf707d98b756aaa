"""How runs end in which a forked process had a part, as the server shows it."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from tests.support.agent import running_agent

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.agent import RunningAgent

FORK = """
import os, sys, trackd
def child(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    os.waitpid(pid, 0)
"""
LATE_CHILD = """
run = trackd.init(project="p", id="late")
run.log({"n": 0})
child(lambda: run.log({"n": 1}))
run.finish(exit_code=3)
"""
OWN_RUN = """
run = trackd.init(project="p", id="parents")
def own():
    mine = trackd.init(project="p", id="own", reinit="create_new")
    mine.log({"n": 0})
    mine.finish(exit_code=int(os.environ["CODE"]))
child(own)
run.finish()
"""
KILLED = """
run = trackd.init(project="p", id="parents")
def own():
    trackd.init(project="p", id="own", reinit="create_new").log({"n": 0})
    os.kill(os.getpid(), 9)
child(own)
run.finish()
"""


async def document(agent: RunningAgent, run_id: str, rows: int) -> dict[str, Any]:
    """Return what the embedded server holds, once all rows are there and the run is over."""
    address = (agent.data / "server" / "address").read_text().strip()
    key = (agent.data / "server" / "api_key").read_text().strip()
    found: dict[str, Any] = {}
    deadline = time.monotonic() + 120
    async with httpx.AsyncClient(
        base_url=address, auth=("api", key), timeout=120, trust_env=False
    ) as client:
        while time.monotonic() < deadline:
            answer = await client.get(f"/api/v1/runs/local/p/{run_id}/document")
            found = answer.json() if answer.status_code == 200 else {}
            if found and len(found["history"]) >= rows and found["run"]["state"] != "running":
                break
            await anyio.sleep(0.1)
    return found


async def train(agent: RunningAgent, folder: Path, source: str, **env: str) -> None:
    await anyio.run_process(
        [sys.executable, "-c", FORK + source],
        cwd=folder,
        env={**agent.environment, **env},
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not (agent.data / "server" / "address").exists():
        assert time.monotonic() < deadline
        await anyio.sleep(0.05)


async def test_rows_of_a_child_that_come_after_the_end_leave_the_run_ended(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent:
        await train(agent, tmp_path, LATE_CHILD)
        found = await document(agent, "late", rows=2)
        assert sorted(row["n"] for row in found["history"]) == [0, 1]
        await anyio.sleep(1)  # whatever comes behind the rows does not reopen the run either
        found = await document(agent, "late", rows=2)
        assert (found["run"]["state"], found["run"]["exit_code"]) == ("failed", 3)


@pytest.mark.parametrize(("code", "state"), [(0, "finished"), (4, "failed")])
async def test_a_run_that_a_child_started_ends_with_it(
    tmp_path: Path, code: int, state: str
) -> None:
    async with running_agent(tmp_path) as agent:
        await train(agent, tmp_path, OWN_RUN, CODE=str(code))
        found = await document(agent, "own", rows=1)
        assert (found["run"]["state"], found["run"]["exit_code"]) == (state, code)


async def test_a_run_whose_child_process_was_killed_is_crashed(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent:
        await train(agent, tmp_path, KILLED)
        found = await document(agent, "own", rows=1)
        assert [row["n"] for row in found["history"]] == [0]
        assert found["run"]["state"] == "crashed"
        assert (await document(agent, "parents", rows=0))["run"]["state"] == "finished"
