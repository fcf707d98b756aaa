"""Forked and spawned processes that log into the run of another one: one sequence of rows."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import httpx
import pytest
from tests.support.agent import running_agent
from tests.system.test_sdk_processes import document as exported

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.agent import RunningAgent

TURNS = """
import multiprocessing, os, sys, trackd

def work(run, n):
    run.log({"n": n, "who": "child"})
    run.config.update({f"c{n}": n})
    run.summary[f"s{n}"] = n
    run.write_logs(f"line {n}")

def main():
    run = trackd.init(project="p", id="turns", mode=os.environ["MODE"])
    n = 0
    for round in range(int(os.environ["ROUNDS"])):
        for _ in range(5):
            run.log({"n": n, "who": "parent"})
            n += 1
        for how in ("fork", "spawn"):
            process = multiprocessing.get_context(how).Process(target=work, args=(run, n))
            process.start()
            process.join()
            assert process.exitcode == 0
            n += 1
        print(n, flush=True)
    run.log({"n": n, "who": "parent"})
    run.finish()

if __name__ == "__main__":
    main()
"""
#: Four processes that log as fast as they can, the parent among them.
CROWD = """
import multiprocessing, os, trackd

def work(run, who):
    for i in range(400):
        run.log({"who": who, "i": i})

def main():
    run = trackd.init(project="p", id="crowd", mode=os.environ["MODE"])
    makers = [multiprocessing.get_context(how) for how in ("fork", "fork", "spawn")]
    children = [c.Process(target=work, args=(run, n)) for n, c in enumerate(makers, 1)]
    for child in children:
        child.start()
    work(run, 0)
    for child in children:
        child.join()
    run.finish()

if __name__ == "__main__":
    main()
"""
ORPHANS = """
import os, time, trackd
run = trackd.init(project="p", id="orphans")
run.log({"n": 0})
if os.fork() == 0:
    for n in range(1, 6):
        time.sleep(0.4)
        run.log({"n": n})
    os._exit(0)
END
"""


async def shown(agent: RunningAgent, run_id: str, rows: int) -> dict[str, Any]:
    """Return what the embedded server holds, once all rows are there and the run is over."""
    found: dict[str, Any] = {}
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        # The server comes up anew, perhaps elsewhere, where the agent was killed.
        with contextlib.suppress(httpx.TransportError, FileNotFoundError):
            found = await fetched(agent, run_id)
        if found and len(found["history"]) >= rows and found["run"]["state"] != "running":
            break
        await anyio.sleep(0.1)
    return found


async def fetched(agent: RunningAgent, run_id: str) -> dict[str, Any]:
    """Return what the embedded server holds of a run now; empty: nothing."""
    address = (agent.data / "server" / "address").read_text().strip()
    key = (agent.data / "server" / "api_key").read_text().strip()
    async with httpx.AsyncClient(
        base_url=address, auth=("api", key), timeout=120, trust_env=False
    ) as client:
        answer = await client.get(f"/api/v1/runs/local/p/{run_id}/document")
    return answer.json() if answer.status_code == 200 else {}


def begin(agent: RunningAgent, folder: Path, source: str, **env: str) -> subprocess.Popen[str]:
    (folder / "script.py").write_text(source)
    return subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=folder,
        env={**agent.environment, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def ended(process: subprocess.Popen[str], status: int = 0) -> None:
    _, errors = await anyio.to_thread.run_sync(process.communicate)
    assert process.returncode == status, errors


def sequence(found: dict[str, Any]) -> list[tuple[int, int]]:
    return [(row["_step"], row["n"]) for row in found["history"]]


async def test_rows_of_all_processes_are_one_sequence_online(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent:
        process = begin(agent, tmp_path, TURNS, MODE="online", ROUNDS="2")
        await ended(process)
        found = await shown(agent, "turns", rows=15)
        spools = agent.data / "agent" / "spool"
        with anyio.fail_after(120):  # they go when the journal is on the disk
            while list(spools.iterdir()):
                await anyio.sleep(0.1)
    assert sequence(found) == [(n, n) for n in range(15)]
    assert found["config"] == {f"c{n}": n for n in (5, 6, 12, 13)}
    assert {k: v for k, v in found["summary"].items() if k[0] == "s"} == {
        f"s{n}": n for n in (5, 6, 12, 13)
    }
    assert [line for line in found["console"] if line.startswith("line ")] == [
        f"line {n}" for n in (5, 6, 12, 13)
    ]
    assert (found["run"]["state"], found["run"]["exit_code"]) == ("finished", 0)


@pytest.mark.parametrize("mode", ["online", "offline"])
async def test_an_agent_killed_in_between_loses_and_doubles_nothing(
    tmp_path: Path, mode: str
) -> None:
    async with running_agent(tmp_path) as agent:
        process = begin(agent, tmp_path, TURNS, MODE=mode, ROUNDS="6")
        assert process.stdout is not None
        for _ in range(6):
            await anyio.to_thread.run_sync(process.stdout.readline)
            await agent.restart()
        await ended(process)
        if mode == "online":
            found = await shown(agent, "turns", rows=43)
        else:
            found = exported(tmp_path, "turns", agent.environment)
    rows = sequence(found)
    assert [step for step, _ in rows] == list(range(43))
    assert sorted(n for _, n in rows) == list(range(43))
    own = [row["n"] for row in found["history"] if row["who"] == "parent"]
    assert own == sorted(own)


async def test_processes_that_log_at_once_lose_nothing_while_the_agent_is_killed(
    tmp_path: Path,
) -> None:
    async with running_agent(tmp_path) as agent:
        process = begin(agent, tmp_path, CROWD, MODE="online")
        for _ in range(4):
            await anyio.sleep(0.3)
            await agent.restart()
        await ended(process)
        found = await shown(agent, "crowd", rows=1600)
    assert [row["_step"] for row in found["history"]] == list(range(1600))
    for who in range(4):
        assert [row["i"] for row in found["history"] if row["who"] == who] == list(range(400))


@pytest.mark.parametrize("end", ["run.finish()", "os.kill(os.getpid(), 9)"])
async def test_a_child_that_outlives_its_parent_goes_on_in_the_sequence(
    tmp_path: Path, end: str
) -> None:
    async with running_agent(tmp_path) as agent:
        process = begin(agent, tmp_path, ORPHANS.replace("END", end))
        await ended(process, -signal.SIGKILL if "kill" in end else os.EX_OK)
        found = await shown(agent, "orphans", rows=6)
    assert sorted(row["n"] for row in found["history"]) == list(range(6))
    assert found["run"]["state"] == ("crashed" if "kill" in end else "finished")


def trackd(agent: RunningAgent, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from trackd.cli import main; main()", *arguments],
        env=agent.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("killed", [False, True])
async def test_an_offline_run_is_synced_in_the_order_of_its_export(
    tmp_path: Path, killed: bool
) -> None:
    async with running_agent(tmp_path) as agent:
        process = begin(agent, tmp_path, TURNS, MODE="offline", ROUNDS="40" if killed else "2")
        assert process.stdout is not None
        if killed:
            for _ in range(3):
                await anyio.to_thread.run_sync(process.stdout.readline)
            await agent.kill()
            process.kill()
        await ended(process, -signal.SIGKILL if killed else 0)
        at_home = exported(tmp_path, "turns", agent.environment)
        [run_dir] = (tmp_path / "trackd").glob("*run-*-turns*")
        report = json.loads(trackd(agent, "sync", "--json", str(run_dir)))
        assert (report["state"], report["lost"]) == ("synced", {})
        found = json.loads(trackd(agent, "export", "--json", "local/p/turns"))
        trackd(agent, "down", "--now")
    assert sequence(at_home) == [(n, n) for n in range(len(at_home["history"]))]
    assert len(at_home["history"]) >= 15
    assert sequence(found) == sequence(at_home)
