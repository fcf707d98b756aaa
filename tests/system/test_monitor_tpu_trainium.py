"""TPUs and Trainium as a real agent finds them: a PCI bus, a gRPC service, a tool on PATH."""

from __future__ import annotations

import json
import os
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import psutil
import pytest
from tests.fakes.wandb_server import FakeServer, fake_server
from tests.support.agent import RunningAgent, running_agent
from tests.support.cases import install_tool, read_case
from tests.support.machine import SAMPLES, needs_samples
from tests.support.tpu import answers, build_library, needs_compiler, put_chips, runtime
from tests.system.test_sdk_processes import finished, train

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

#: Samples until told to end; leaves its process id, for a runtime that is its own.
RANK = """
import os, pathlib, sys, trackd
pathlib.Path("pid").write_text(str(os.getpid()))
settings = {"x_stats_sampling_interval": 0.2, "console": "off"}
run_id = "r" + os.environ.get("LOCAL_RANK", "")
with trackd.init(project="p", id=run_id, settings=settings) as run:
    print("running", flush=True)
    sys.stdin.readline()
"""
#: Reports again and again, about the process whose number is in a file.
TOOL = """
echo "$$" > "$TOOL_PID"
while :; do
    printf '{"half a line'; echo
    sed "s/4242/$(cat "$RANK_PID")/" "$REPORT"
    sleep 0.1
done
"""


class Node:
    """An agent, the server that it sends to, and what that knows."""

    def __init__(self, folder: Path, agent: RunningAgent, server: FakeServer) -> None:
        self.folder, self.agent, self.server = folder, agent, server

    def lines(self, run_id: str = "r") -> list[dict[str, Any]]:
        """Return the events of a run, of whichever rank."""
        found = [
            line
            for (run, _, name), lines in self.server.lines.items()
            for _, line in sorted(lines.items())
            if (run, name) == (run_id, "wandb-events.jsonl")
        ]
        return [json.loads(line) for line in found]

    def values(self, prefix: str, run_id: str = "r") -> dict[str, float]:
        """Return the last values of a family that a run has, without the rank's label."""
        start = f"system.{prefix}"
        rows = [row for row in self.lines(run_id) if any(key.startswith(start) for key in row)]
        items = rows[-1].items() if rows else ()
        names = {key: key.removeprefix("system.").partition("/l:")[0] for key, _ in items}
        return {names[key]: value for key, value in items if key.startswith(start)}

    @property
    def metadata(self) -> dict[str, Any]:
        names = [name for name in self.server.files if name.endswith("wandb-metadata.json")]
        # One that was replaced while it was sent arrives cut off, and then once more.
        with suppress(json.JSONDecodeError):
            return json.loads(self.server.files[names[0]]) if names else {}
        return {}

    async def rank(self, **environment: str) -> subprocess.Popen[str]:
        rank = train(self.folder, RANK, self.agent.environment | environment)
        assert rank.stdout is not None
        assert await anyio.to_thread.run_sync(rank.stdout.readline) == "running\n"
        return rank

    async def until(self, is_so: Callable[[], bool]) -> None:
        with anyio.fail_after(120):
            while not is_so():
                await anyio.sleep(0.05)


@asynccontextmanager
async def a_node(folder: Path, **env: str) -> AsyncGenerator[Node]:
    async with (
        fake_server() as server,
        running_agent(
            folder,
            started=True,
            options=(),
            TRACKD_BASE_URL=server.base_url,
            TRACKD_API_KEY=server.api_key,
            TRACKD_MONITOR__SYS_ROOT=str(folder / "sys"),
            **env,
        ) as agent,
    ):
        yield Node(folder, agent, server)


@needs_samples
async def test_a_run_has_the_figures_of_tpus(tmp_path: Path) -> None:
    case = read_case("libtpu_v5p")
    [sample] = case["samples"]
    given = json.loads((SAMPLES / "libtpu_v5p" / sample["input"]).read_text())
    put_chips(tmp_path / "sys", given["pci"])
    with runtime(answers(given["metrics"])) as address:
        async with a_node(tmp_path, TRACKD_MONITOR__TPU_RUNTIME_ADDRESS=address) as node:
            expected = sample["expect"] | {
                "tpu.0.memoryUsage": 25,
                "tpu.0.memoryUsageBytes": 25501368320,
            }
            with await node.rank() as rank:
                await node.until(lambda: "tpu" in node.metadata)
                await node.until(lambda: node.values("tpu.").keys() >= expected.keys())
                values, metadata = node.values("tpu."), node.metadata
                await anyio.to_thread.run_sync(finished, rank)
    former = {key for key in values if ".memoryUsage" in key}
    assert values.keys() - former == sample["expect"].keys()
    assert {key: values[key] for key in expected} == pytest.approx(expected, rel=1e-9)
    assert metadata["tpu"] == case["metadata"]["tpu"]


@needs_compiler
async def test_a_tpu_library_that_hangs_costs_a_run_nothing(tmp_path: Path) -> None:
    put_chips(
        tmp_path / "sys",
        {"vendor": "0x1ae0", "device": "0x0063", "count": 1} | {"subsystem_device": "0x0"},
    )
    library = build_library(tmp_path, {"tensorcore_util": ("", ["12"])})
    duty = {"tpu.runtime.tensorcore.dutycycle.percent": [{"gauge": {"as_int": 7}}]}
    with runtime(answers(duty)) as address:
        async with a_node(
            tmp_path,
            TRACKD_MONITOR__TPU_RUNTIME_ADDRESS=address,
            TPU_LIBRARY_PATH=str(library),
            LIBTPU_STUB="hang",
        ) as node:
            with await node.rank() as rank:
                await node.until(lambda: node.values("tpu.") == {"tpu.0.dutyCycle": 7})
                await node.until(lambda: len(node.lines()) > 3)
                await anyio.to_thread.run_sync(finished, rank)


@needs_samples
async def test_each_rank_has_the_figures_of_its_own_neuron_cores(tmp_path: Path) -> None:
    own = read_case("neuron_monitor_pid_match")
    report = SAMPLES / "neuron_monitor_pid_match" / own["samples"][0]["input"]
    tools = tmp_path / "tools"
    install_tool(tools, "neuron-monitor", TOOL)
    (tmp_path / "pid").write_text("1")
    async with a_node(
        tmp_path,
        PATH=f"{tools}:{os.environ['PATH']}",
        REPORT=str(report),
        RANK_PID=str(tmp_path / "pid"),
        TOOL_PID=str(tmp_path / "tool_pid"),
    ) as node:
        with await node.rank(LOCAL_RANK="5") as launched, await node.rank() as rank:
            expected = own["samples"][0]["expect"]
            await node.until(lambda: node.values("trn.") == pytest.approx(expected))
            # No runtime is that of this one: the first runtime's core of its number, as upstream.
            await node.until(lambda: "trn.5.neuroncore_utilization" in node.values("trn.", "r5"))
            await node.until(lambda: "trainium" in node.metadata)
            assert "trn.0.neuroncore_utilization" not in node.values("trn.", "r5")
            assert node.metadata["trainium"] == own["metadata"]["trainium"]
            tool = psutil.Process(int((tmp_path / "tool_pid").read_text()))
            await anyio.to_thread.run_sync(finished, launched)
            assert tool.is_running()  # the other one wants it
            await anyio.to_thread.run_sync(finished, rank)
        await anyio.to_thread.run_sync(tool.wait, 120)


async def test_the_tool_ends_with_an_agent_that_is_killed(tmp_path: Path) -> None:
    install_tool(tmp_path / "tools", "neuron-monitor", 'echo $$ > "$TOOL_PID"; exec sleep 1000')
    pid = tmp_path / "tool_pid"
    async with a_node(
        tmp_path, PATH=f"{tmp_path / 'tools'}:{os.environ['PATH']}", TOOL_PID=str(pid)
    ) as node:
        with await node.rank() as rank:
            await node.until(lambda: pid.exists() and bool(pid.read_text()))
            tool = psutil.Process(int(pid.read_text()))
            node.agent.process.kill()
            await anyio.to_thread.run_sync(tool.wait, 120)
            await node.agent.wait()
            await node.agent.start()
            await anyio.to_thread.run_sync(finished, rank)
