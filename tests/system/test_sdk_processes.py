"""Ranks, forked children and restarts of the agent, seen from the training script."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.agent import running_agent

if TYPE_CHECKING:
    from pathlib import Path


def train(folder: Path, source: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start a training script."""
    return subprocess.Popen(
        [sys.executable, "-c", source],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    """Wait for a script that must succeed; return what it printed."""
    out, err = process.communicate("\n", timeout=240)
    assert process.returncode == 0, err
    return out


def document(
    folder: Path, run_id: str, environment: dict[str, str], rows: int = 0
) -> dict[str, Any]:
    """Return the run document of a run folder, once the run is over and has its rows.

    A finish does not wait for an agent that is stuck: what it leaves on the disk comes later.
    """
    # Ranks that start at one moment propose `-1`, `-2`, ...; one of these folders stays.
    [run_dir] = (folder / "trackd").glob(f"*run-*-{run_id}*")
    export = [sys.executable, "-c", "from trackd.cli import main; main()", "export", "--json"]
    deadline = time.monotonic() + 120
    while True:
        done = subprocess.run(
            [*export, run_dir], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        is_whole = found["run"]["state"] != "running" and len(found["history"]) >= rows
        if is_whole or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


#: Ranks stay until all have joined: a folder is shared by the writers that live at one time.
RANK = """
import os, sys, trackd
with trackd.init(project="p", id="shared", mode=os.environ["MODE"]) as run:
    for i in range(200):
        run.log({f"loss/{run.label}": i})
    print(run.label, flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("mode", ["online", "offline"])
async def test_ranks_that_name_one_run_share_it(tmp_path: Path, mode: str) -> None:
    async with running_agent(tmp_path) as agent:
        ranks = [
            train(
                tmp_path,
                RANK,
                {**agent.environment, "RANK": str(n), "WORLD_SIZE": "4", "MODE": mode},
            )
            for n in range(4)
        ]
        labels = [rank.stdout.readline() for rank in ranks if rank.stdout]
        assert labels == [f"rank{n}\n" for n in range(4)]
        for rank in ranks:
            finished(rank)
        if mode == "online":
            assert await agent.flush()
        status = await agent.status()
        [run] = [run for run in status.runs if run.run.run_id == "shared"]
        assert sorted(writer.label for writer in run.writers) == [f"rank{n}" for n in range(4)]
        found = document(tmp_path, "shared", agent.environment, rows=800)
        for n in range(4):
            key = f"loss/rank{n}"
            assert [row[key] for row in found["history"] if key in row] == list(range(200))
        assert found["run"]["state"] == "finished"


FORKS = """
import os, trackd
run = trackd.init(project="p", id="forks", mode="offline")
children = []
for n in range(3):
    run.log({"parent": n})
    pid = os.fork()
    if pid == 0:
        for i in range(50):
            run.log({f"child{n}": i})
        os._exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
run.log({"parent": 3})
run.finish()
"""


async def test_two_unlabelled_processes_share_a_run_but_not_a_label(tmp_path: Path) -> None:
    source = """
import sys, trackd
with trackd.init(project="p", id="twice", mode="offline") as run:
    run.log({"a": 1})
    print(run.label, flush=True)
    sys.stdin.readline()
"""
    async with running_agent(tmp_path) as agent:
        with (
            train(tmp_path, source, agent.environment) as first,
            train(tmp_path, source, agent.environment) as second,
        ):
            assert first.stdout and second.stdout and first.stdin and second.stdin
            labels = {first.stdout.readline(), second.stdout.readline()}
            for process in (first, second):
                finished(process)
        assert labels in ({"\n", f"p{second.pid}\n"}, {"\n", f"p{first.pid}\n"})


async def test_rows_of_forked_children_arrive(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent:
        finished(train(tmp_path, FORKS, agent.environment))
        found = document(tmp_path, "forks", agent.environment, rows=154)
        assert [row["parent"] for row in found["history"] if "parent" in row] == [0, 1, 2, 3]
        for n in range(3):
            key = f"child{n}"
            assert [row[key] for row in found["history"] if key in row] == list(range(50))
        assert found["run"]["state"] == "finished"


START = """
import trackd
with trackd.init(project="p", id="first", mode="offline") as run:
    run.log({"a": 1})
"""


def test_the_first_rank_starts_the_agent(tmp_path: Path) -> None:
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("TRACKD_", "WANDB_"))},
        "TRACKD_DIR": str(tmp_path / "data"),
        "TRACKD_IDLE_TIMEOUT": "3",
    }
    ranks = [train(tmp_path, START.replace("first", f"r{n}"), environment) for n in range(4)]
    for rank in ranks:
        finished(rank)
    for n in range(4):
        found = document(tmp_path, f"r{n}", environment, rows=1)
        assert [row["a"] for row in found["history"]] == [1]
    deadline = time.monotonic() + 120
    while list((tmp_path / "data" / "agent" / "spool").iterdir()):  # what a finish did not wait for
        assert time.monotonic() < deadline
        time.sleep(0.1)
