"""Runs that go on where they, or another one, were: our SDK, a real agent, its server."""

from __future__ import annotations

import json
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

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.agent import RunningAgent

FIRST = """
run = trackd.init(project="p", id="r", name="nm", notes="old", tags=["t"], resume="allow",
                  config={"a": 1, "net": {"depth": 3}})
for n in range(5):
    run.log({"x": n})
run.summary["best"] = 9
print("first part")
run.finish(exit_code=1)
"""
SECOND = """
run = trackd.init(project="p", id="r", config={"b": 2}, resume=HOW)
keep(resumed=run.resumed, starting_step=run.starting_step, step=run.step, name=run.name,
     notes=run.notes, tags=run.tags, config=dict(run.config.items()), best=run.summary["best"])
for n in range(5, 8):
    run.log({"x": n})
print("second part")
run.finish()
"""
WHAT_WAS = {
    "resumed": True,
    "starting_step": 5,
    "step": 5,
    "name": "nm",
    "notes": "old",
    "tags": ["t"],
    "config": {"a": 1, "net": {"depth": 3}, "b": 2},
    "best": 9,
}


class Trainings:
    """Scripts that use one agent, and what its server shows of their runs."""

    def __init__(self, agent: RunningAgent, folder: Path) -> None:
        self.agent = agent
        self.folder = folder

    def begin(self, source: str, **names: object) -> subprocess.Popen[str]:
        """Start a script; `keep(**values)` in it hands values to the test."""
        given = "".join(f"{name} = {value!r}\n" for name, value in names.items())
        prelude = (
            "import json, os, signal, sys, time, trackd\n"
            "def keep(**values):\n"
            "    open('kept.json', 'w').write(json.dumps(values))\n"
        )
        return subprocess.Popen(
            [sys.executable, "-c", prelude + given + source],
            cwd=self.folder,
            env=self.agent.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    async def train(self, source: str, status: int = 0, **names: object) -> tuple[str, Any]:
        """Run a script to its end; return its output and what it kept."""
        kept = self.folder / "kept.json"
        kept.unlink(missing_ok=True)
        process = self.begin(source, **names)
        output, _ = await anyio.to_thread.run_sync(process.communicate)
        assert process.returncode == status, output
        return output, json.loads(kept.read_text()) if kept.exists() else None

    async def client(self) -> httpx.AsyncClient:
        """Return a client of the agent's server, once it is there."""
        deadline = time.monotonic() + 120
        while not (self.agent.data / "server" / "address").exists():
            assert time.monotonic() < deadline
            await anyio.sleep(0.05)
        address = (self.agent.data / "server" / "address").read_text().strip()
        key = (self.agent.data / "server" / "api_key").read_text().strip()
        return httpx.AsyncClient(base_url=address, auth=("api", key), timeout=120, trust_env=False)

    async def document(self, run_id: str, rows: int) -> dict[str, Any]:
        """Return what the server holds once all rows are there and the run is over."""
        found: dict[str, Any] = {}
        deadline = time.monotonic() + 120
        async with await self.client() as client:
            while time.monotonic() < deadline:
                answer = await client.get(f"/api/v1/runs/local/p/{run_id}/document")
                found = answer.json() if answer.status_code == 200 else {}
                if found and len(found["history"]) == rows and found["run"]["state"] != "running":
                    break
                await anyio.sleep(0.1)
        return found

    async def graphql(self, query: str, variables: dict[str, Any]) -> Any:
        async with await self.client() as client:
            body = {"query": query, "variables": variables}
            return (await client.post("/graphql", json=body)).json()["data"]


def rows(document: dict[str, Any]) -> list[tuple[int, int]]:
    return [(row["_step"], row["x"]) for row in document["history"]]


@pytest.mark.parametrize("is_uploaded", [False, True])
async def test_a_run_goes_on_where_it_was(tmp_path: Path, is_uploaded: bool) -> None:
    async with running_agent(tmp_path) as agent:
        trainings = Trainings(agent, tmp_path)
        await trainings.train(FIRST)
        if is_uploaded:  # and forgotten by the agent, so that only the server knows it
            await trainings.document("r", rows=5)
            await agent.terminate()
            await agent.start()
        output, kept = await trainings.train(SECOND, HOW="must")
        assert kept == WHAT_WAS
        assert "resuming run nm" in output
        found = await trainings.document("r", rows=8)
        assert rows(found) == [(n, n) for n in range(8)]
        runtimes = [row["_runtime"] for row in found["history"]]
        assert runtimes == sorted(runtimes)
        assert found["config"] == {"a": 1, "net": {"depth": 3}, "b": 2}
        assert found["summary"] == {"x": 7, "best": 9, "_step": 7}
        assert [line for line in found["console"] if "part" in line] == [
            "first part",
            "second part",
        ]
        assert (found["run"]["state"], found["run"]["tags"]) == ("finished", ["t"])


async def test_must_and_never_say_what_is_wrong(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent:
        trainings = Trainings(agent, tmp_path)
        refused = "try: trackd.init(project='p', id='r', resume=HOW)\n"
        refused += "except trackd.UsageError as error: keep(error=str(error))\n"
        _, kept = await trainings.train(refused, HOW="must")
        assert "resume='must': run 'r' of project 'p' does not exist" in kept["error"]
        await trainings.train(FIRST)
        _, kept = await trainings.train(refused, HOW="never")
        assert "resume='never': run 'r' of project 'p' exists" in kept["error"]


async def test_a_server_that_does_not_answer_keeps_only_must_from_training(tmp_path: Path) -> None:
    script = """
try:
    run = trackd.init(project="p", id="r", resume=HOW, settings={"init_timeout": 1.5,
                      "base_url": "http://127.0.0.1:9"})
    run.log({"x": 0})
    keep(step=run.step)
except trackd.CommError as error:
    keep(error=str(error))
"""
    async with running_agent(tmp_path) as agent:
        trainings = Trainings(agent, tmp_path)
        output, kept = await trainings.train(script, HOW="allow")
        assert kept == {"step": 1}
        assert "run r: what it has so far is not known" in output
        _, kept = await trainings.train(script.replace('"r"', '"r2"'), HOW="must")
        assert "what it has so far is not known" in kept["error"]


async def test_auto_goes_on_with_the_run_that_did_not_end_well(tmp_path: Path) -> None:
    script = "run = trackd.init(project='p', resume='auto')\nkeep(id=run.id, resumed=run.resumed)\n"
    async with running_agent(tmp_path) as agent:
        trainings = Trainings(agent, tmp_path)
        _, first = await trainings.train(f"{script}run.log({{'x': 0}})\nsys.exit(3)", status=3)
        _, second = await trainings.train(f"{script}run.log({{'x': 1}})")
        _, third = await trainings.train(script)
        assert second == {"id": first["id"], "resumed": True}
        assert third["id"] != first["id"]
        assert rows(await trainings.document(first["id"], rows=2)) == [(0, 0), (1, 1)]


async def test_a_run_is_rewound(tmp_path: Path) -> None:
    script = """
run = trackd.init(project="p", resume_from="r?_step=2")
keep(id=run.id, step=run.step, starting_step=run.starting_step, resumed=run.resumed)
run.log({"x": 300})
"""
    async with running_agent(tmp_path) as agent:
        trainings = Trainings(agent, tmp_path)
        await trainings.train(FIRST)
        _, kept = await trainings.train(script)
        assert kept == {"id": "r", "step": 3, "starting_step": 3, "resumed": False}
        found = await trainings.document("r", rows=4)
        assert rows(found) == [(0, 0), (1, 1), (2, 2), (3, 300)]
        assert found["config"]["a"] == 1


async def test_a_fork_has_the_history_of_its_parent(tmp_path: Path) -> None:
    script = """
run = trackd.init(project="p", id="child", fork_from="r?_step=2")
keep(step=run.step, starting_step=run.starting_step, resumed=run.resumed)
run.log({"x": 300})
"""
    async with running_agent(tmp_path) as agent:
        trainings = Trainings(agent, tmp_path)
        await trainings.train(FIRST)
        _, kept = await trainings.train(script)
        assert kept == {"step": 3, "starting_step": 3, "resumed": False}
        assert rows(await trainings.document("child", rows=4)) == [(0, 0), (1, 1), (2, 2), (3, 300)]
        assert len((await trainings.document("r", rows=5))["history"]) == 5


STOPPED = """
asked = []
chosen = {"stop_fn": lambda: asked.append(1)} if STOP_FN else {}
run = trackd.init(project="p", id="r", settings=chosen)
run.log({"x": 0})
try:
    deadline = time.monotonic() + 120
    while not asked and time.monotonic() < deadline:
        time.sleep(0.2)
        run.log({"x": 1})
except KeyboardInterrupt:
    keep(interrupted=True, asked=len(asked))
else:
    keep(interrupted=False, asked=len(asked))
"""


@pytest.mark.parametrize("stop_fn", [False, True])
async def test_a_run_that_is_asked_to_stop_learns_it(tmp_path: Path, stop_fn: bool) -> None:
    async with running_agent(tmp_path) as agent:
        trainings = Trainings(agent, tmp_path)
        process = trainings.begin(STOPPED, STOP_FN=stop_fn)
        query = "query($p: String, $r: String!) { project(name: $p) { run(name: $r) { id } } }"
        found: Any = None
        deadline = time.monotonic() + 120
        while not found and time.monotonic() < deadline:
            data = await trainings.graphql(query, {"p": "p", "r": "r"})
            found = data["project"] and data["project"]["run"]
            await anyio.sleep(0.1)
        stop = "mutation($id: ID!) { stopRun(input: {id: $id}) { success } }"
        await trainings.graphql(stop, {"id": found["id"]})
        output, _ = await anyio.to_thread.run_sync(process.communicate)
        assert process.returncode == 0, output
        kept = json.loads((tmp_path / "kept.json").read_text())
        assert kept == {"interrupted": not stop_fn, "asked": int(stop_fn)}
        assert "this run was asked to stop" in output


async def test_an_interrupted_training_is_recorded_as_such(tmp_path: Path) -> None:
    source = "run = trackd.init(project='p', id='r')\nrun.log({'x': 0})\nkeep()\ntime.sleep(600)\n"
    async with running_agent(tmp_path) as agent:
        trainings = Trainings(agent, tmp_path)
        process = trainings.begin(source)
        while not (tmp_path / "kept.json").exists():
            await anyio.sleep(0.05)
        await anyio.sleep(0.3)
        process.send_signal(signal.SIGINT)
        await anyio.to_thread.run_sync(process.communicate)
        assert process.returncode == -signal.SIGINT
        found = await trainings.document("r", rows=1)
        assert (found["run"]["state"], found["run"]["exit_code"]) == ("failed", 255)


async def test_rows_whose_step_went_back_are_kept_beside_the_history(tmp_path: Path) -> None:
    script = """
run = trackd.init(project="p", id="r")
for step in (5, 6, 3, 7, 2):
    run.log({"x": step}, step=step)
"""
    async with running_agent(tmp_path) as agent:
        trainings = Trainings(agent, tmp_path)
        output, _ = await trainings.train(script)
        assert "steps must not decrease" in output
        found = await trainings.document("r", rows=3)
        assert rows(found) == [(5, 5), (6, 6), (7, 7)]
        late = [(row["x"], row["_step"], row["_open_step"]) for row in found["late_rows"]]
        assert late == [(3, 3, 6), (2, 2, 7)]
