"""AMD GPUs and Graphcore IPUs as a real agent finds them: libraries, a tool, a module."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from tests.fakes.wandb_server import FakeServer, fake_server
from tests.support.agent import running_agent
from tests.support.cases import (
    assert_sample,
    build_library,
    build_nvml,
    install_tool,
    needs_gcc,
    read_case,
)
from tests.support.machine import SAMPLES, needs_samples
from tests.system.test_sdk_processes import finished, train

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_samples

#: Samples until told to end; leaves its process id, for a device that it uses.
RANK = """
import os, pathlib, sys, trackd
pathlib.Path("pid").write_text(str(os.getpid()))
settings = {"x_stats_sampling_interval": 0.2, "console": "off"}
with trackd.init(project="p", id="r", settings=settings) as run:
    print("running", flush=True)
    sys.stdin.readline()
"""
GCIPUINFO = """
import json, os, pathlib
pid = pathlib.Path(os.environ["RANK_PID"]).read_text()
devices = [
    {"id": "0", "user process id": pid, "clock": "1300MHz", "board type": "M2000"},
    {"id": "1", "user process id": "1", "clock": "1300MHz"},
]
class gcipuinfo:
    def setUpdateMode(self, on): pass
    def getDevicesAsJSON(self): return json.dumps(devices)
    def getDevices(self): return devices
"""


def rows_of(server: FakeServer) -> list[dict[str, Any]]:
    found = server.lines.get(("r", "", "wandb-events.jsonl"), {})
    return [json.loads(line) for _, line in sorted(found.items())]


def metadata_of(server: FakeServer) -> dict[str, Any]:
    names = [name for name in server.files if name.endswith("wandb-metadata.json")]
    with contextlib.suppress(ValueError):  # a file that is coming in just now
        return json.loads(server.files[names[0]]) if names else {}
    return {}


async def recorded(
    folder: Path, keys: set[str], parts: set[str], env: dict[str, str]
) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the first sample with all these keys, and a metadata file with all these parts."""
    driver = folder / "sys" / "module" / "amdgpu"
    driver.mkdir(parents=True)
    (driver / "initstate").write_text("live\n")
    wanted = {f"system.{key}" for key in keys}
    async with fake_server() as server:
        env |= {"TRACKD_BASE_URL": server.base_url, "TRACKD_API_KEY": server.api_key}
        env |= {"TRACKD_MONITOR__SYS_ROOT": str(folder / "sys")}
        async with running_agent(folder, options=(), started=True, **env) as agent:
            with train(folder, RANK, agent.environment) as rank, anyio.fail_after(120):
                row: dict[str, float] = {}
                metadata: dict[str, Any] = {}
                while not row or not parts <= metadata.keys():
                    await anyio.sleep(0.05)
                    metadata = metadata_of(server)
                    row = next((each for each in rows_of(server) if wanted <= each.keys()), row)
                await anyio.to_thread.run_sync(finished, rank)
        values = {key.removeprefix("system."): value for key, value in row.items()}
        return values, metadata


@needs_gcc
async def test_gpus_of_two_vendors_and_ipus_in_one_box_all_have_keys_of_their_own(
    tmp_path: Path,
) -> None:
    folder = build_nvml(tmp_path / "lib")
    build_library("rsmi_stub.c", folder, "librocm_smi64.so")
    (tmp_path / "poplar").mkdir()
    (tmp_path / "poplar" / "gcipuinfo.py").write_text(GCIPUINFO)
    env = {
        "LD_LIBRARY_PATH": str(folder),
        "PYTHONPATH": str(tmp_path / "poplar"),
        "RANK_PID": str(tmp_path / "pid"),
    }
    expected: dict[str, Any] = read_case("rsmi_library")["samples"][0]["expect"]
    amd = {key.replace("gpu.1.", "gpu.3.").replace("gpu.0.", "gpu.2.") for key in expected}
    parts = {"gpu_nvidia", "gpu_amd", "ipu"}
    values, metadata = await recorded(tmp_path, {*amd, "ipu.0.clock (MHz)"}, parts, env)
    assert values["gpu.0.temp"] == 51  # NVIDIA's
    assert values["gpu.1.temp"] == 52
    assert values["gpu.2.temp"] == 60.5  # AMD's
    assert values["gpu.3.powerWatts"] == 300.000001
    assert values["ipu.0.clock (MHz)"] == 1300
    assert not any(key.startswith(("gpu.4", "ipu.1")) for key in values)
    assert metadata["gpu_count"] == 4
    assert [each["id"] for each in metadata["gpu_amd"]] == ["2", "3"]
    assert metadata["ipu"]["device_count"] == 2


async def test_where_only_the_tool_is_there_it_is_asked(tmp_path: Path) -> None:
    output = SAMPLES / "rocm_smi_5" / "rocm-smi.json"
    install_tool(tmp_path / "bin", "rocm-smi", f'[ "$*" = "-a --json" ] && cat {output}')
    case = read_case("rocm_smi_5")
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    expected = case["samples"][0]["expect"]
    values, metadata = await recorded(tmp_path, set(expected), {"gpu_amd"}, {"PATH": path})
    gpus = {key: value for key, value in values.items() if key.startswith("gpu.")}
    assert_sample(case, case["samples"][0], gpus)
    assert {key: metadata[key] for key in case["metadata"]} == case["metadata"]
