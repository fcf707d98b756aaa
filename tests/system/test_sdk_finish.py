"""The end of a run: quick, whatever the agent does, and nothing is lost by it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.agent import agent_environment, running_agent
from tests.system.test_sdk_processes import document, finished, train

from trackd_proto import layout

if TYPE_CHECKING:
    from pathlib import Path

BURST = """
import trackd
run = trackd.init(project="p", id="burst", settings={"x_disable_stats": True})
for i in range(60_000):
    run.log({"i": i})
run.finish()
print(run.id, flush=True)
"""


def _steps(folder: Path, environment: dict[str, str]) -> list[int]:
    return [row["i"] for row in document(folder, "burst", environment, rows=60_000)["history"]]


async def test_what_was_not_sent_at_the_end_comes_from_the_disk(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent:
        finished(train(tmp_path, BURST, agent.environment))
        assert _steps(tmp_path, agent.environment) == list(range(60_000))
        assert await agent.flush()
        [run] = (await agent.status()).runs
        assert (run.state, run.writers[0].uploaded_seq) == ("finished", run.writers[0].received_seq)


async def test_an_agent_killed_right_after_the_end_loses_nothing(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent:
        rank = train(
            tmp_path,
            f"import os\n{BURST.replace('print(', f'os.kill({agent.pid}, 9);print(')}",
            agent.environment,
        )
        finished(rank)
        await agent.wait()
        assert _steps(tmp_path, agent.environment) == list(range(60_000))
        await agent.start()
        assert await agent.flush()
        [run] = (await agent.status()).runs
        assert run.state in ("running", "finished")
        assert _steps(tmp_path, agent.environment) == list(range(60_000))


async def test_a_stopped_agent_holds_nobody_up(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent:
        stop = f"import os, signal; os.kill({agent.pid}, signal.SIGSTOP)\n"
        source = BURST.replace("run.finish()", f"{stop}run.finish()")
        try:
            finished(train(tmp_path, source, agent.environment))  # it does not wait for ever
        finally:
            os.kill(agent.pid, signal.SIGCONT)
        assert _steps(tmp_path, agent.environment) == list(range(60_000))


NO_AGENT = """
import sys, trackd
sys.executable = "/bin/false"
run = trackd.init(project="p", id="alone", mode="offline")
run.log({"i": 1})
run.finish()
"""


def test_an_agent_that_cannot_start_costs_seconds_and_no_row(tmp_path: Path) -> None:
    environment = agent_environment(tmp_path / "data", TRACKD_IDLE_TIMEOUT="1")
    done = subprocess.run(
        [sys.executable, "-c", NO_AGENT],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0
    assert "agent.log" in done.stderr
    [spool] = layout.spool_root(tmp_path / "data").iterdir()
    assert str(spool) in done.stderr
    assert [row["i"] for row in document(tmp_path, "alone", environment, rows=1)["history"]] == [1]
