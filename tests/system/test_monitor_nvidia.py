"""NVIDIA GPUs as a real agent finds them: the real `nvidia-ml-py`, and a stand-in library."""

from __future__ import annotations

import json
import os
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import psutil
from tests.fakes.wandb_server import FakeServer, fake_server
from tests.support.agent import RunningAgent, running_agent
from tests.support.cases import build_nvml, needs_gcc
from tests.support.machine import needs_samples
from tests.system.test_sdk_processes import finished, train

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

pytestmark = [needs_samples, needs_gcc]

RANK = """
import sys, trackd
settings = {"x_stats_sampling_interval": 0.2, "console": "off"}
with trackd.init(project="p", id="r", settings=settings) as run:
    print("running", flush=True)
    sys.stdin.readline()
"""


class Run:
    """A run that goes on, and what its server knows of it."""

    def __init__(
        self, server: FakeServer, agent: RunningAgent, rank: subprocess.Popen[str], state: Path
    ) -> None:
        self.agent, self.rank = agent, rank
        self._server, self._state = server, state

    def set(self, **state: object) -> None:
        """Change what the stand-in says."""
        lines = [f"STUB_NVML_{name}={value}\n" for name, value in state.items()]
        new = self._state.with_suffix(".new")
        new.write_text("".join(lines))
        new.replace(self._state)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Lines of its events file."""
        found = self._server.lines.get(("r", "", "wandb-events.jsonl"), {})
        return [json.loads(line) for _, line in sorted(found.items())]

    @property
    def metadata(self) -> dict[str, Any]:
        names = [name for name in self._server.files if name.endswith("wandb-metadata.json")]
        with suppress(ValueError):  # replaced while it was sent: it comes once more
            return json.loads(self._server.files[names[0]]) if names else {}
        return {}

    def probe(self) -> psutil.Process:
        """Return the process that has the library loaded."""
        children = psutil.Process(self.agent.pid).children()
        (probe,) = (each for each in children if "trackd_agent.probes" in each.cmdline())
        return probe

    async def until(self, is_so: Callable[[], bool]) -> None:
        with anyio.fail_after(120):
            while not is_so():
                await anyio.sleep(0.05)


@asynccontextmanager
async def a_run(folder: Path, **env: str) -> AsyncGenerator[Run]:
    library, state = build_nvml(folder / "lib"), folder / "state"
    state.touch()
    env |= {"LD_LIBRARY_PATH": str(library), "STUB_NVML_STATE": str(state)}
    async with (
        fake_server() as server,
        running_agent(
            folder,
            started=True,
            options=(),
            TRACKD_BASE_URL=server.base_url,
            TRACKD_API_KEY=server.api_key,
            **env,
        ) as agent,
    ):
        rank = train(folder, RANK, agent.environment)
        with rank:
            assert rank.stdout is not None
            assert await anyio.to_thread.run_sync(rank.stdout.readline) == "running\n"
            yield Run(server, agent, rank, state)
            await anyio.to_thread.run_sync(finished, rank)


async def test_a_run_has_figures_of_its_gpus_and_marks_of_what_happens_to_them(
    tmp_path: Path,
) -> None:
    async with a_run(tmp_path) as run:
        await run.until(lambda: bool(run.lines))
        run.set(PIDS=f"1:{run.rank.pid}", XID="0:31:1")
        await run.until(lambda: any("system.gpu.0.xid" in line for line in run.lines))
        await run.until(lambda: any("system.gpu.process.1.gpu" in line for line in run.lines))
        await run.until(lambda: run.metadata.get("gpu_count") == 2)
        first, *_ = [line for line in run.lines if "system.gpu.0.temp" in line]
        *_, last = [line for line in run.lines if "system.gpu.process.1.gpu" in line]
        assert first["system.gpu.0.memoryAllocatedBytes"] == 21474836480
        assert last["system.gpu.process.1.temp"] == last["system.gpu.1.temp"] == 52
        [xid] = [line for line in run.lines if "system.gpu.0.xid" in line]
        assert xid["system.gpu.0.xid"] == 31
        assert not [key for key in xid if key.startswith("system.") and "xid" not in key]
        assert run.metadata["gpu"] == "Stub GPU A"
        assert run.metadata["cudaVersion"] == "12.8"


async def test_a_probe_that_dies_is_replaced_and_dies_with_its_agent(tmp_path: Path) -> None:
    async with a_run(tmp_path) as run:
        await run.until(lambda: "system.gpu.0.temp" in run.lines[-1] if run.lines else False)
        run.probe().kill()
        await run.until(lambda: "system.gpu.0.temp" not in run.lines[-1])
        await run.until(lambda: "system.gpu.0.temp" in run.lines[-1])
        status = await run.agent.status()
        [nvidia] = [each for each in status.collectors if each.name == "nvidia"]
        assert nvidia.failures >= 1
        probe = run.probe()
        run.agent.process.kill()
        await anyio.to_thread.run_sync(probe.wait, 120)
        await run.agent.wait()
        await run.agent.start()


async def test_a_gpu_whose_calls_hang_costs_its_own_keys_alone(tmp_path: Path) -> None:
    async with a_run(tmp_path, TRACKD_MONITOR__DEADLINE_S="0.4") as run:
        await run.until(lambda: "system.gpu.1.temp" in run.lines[-1] if run.lines else False)
        probe = run.probe()
        run.set(HANG=1)
        there, gone = "system.gpu.0.temp", "system.gpu.1.temp"
        await run.until(lambda: there in run.lines[-1] and gone not in run.lines[-1])
        run.set()
        await run.until(lambda: "system.gpu.1.temp" in run.lines[-1])
        assert run.probe().pid == probe.pid


async def test_a_driver_without_the_python_module_says_what_to_install(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "pynvml.py").write_text("raise ImportError('not installed')")
    async with a_run(tmp_path, PYTHONPATH=os.fspath(hidden)) as run:
        reason = ""
        with anyio.fail_after(120):
            while not reason.endswith("pip install nvidia-ml-py"):
                await anyio.sleep(0.05)
                status = await run.agent.status()
                [nvidia] = [each for each in status.collectors if each.name == "nvidia"]
                reason = nvidia.reason
