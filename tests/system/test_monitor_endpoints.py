"""Prometheus endpoints and DCGM as a real agent scrapes them, and what becomes of it in a run."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import httpx
import pytest
from tests.fakes.wandb_server import FakeServer, fake_server
from tests.support.agent import running_agent
from tests.support.endpoints import OPEN_METRICS, Endpoints, Page
from tests.system.test_sdk_processes import finished, train

if TYPE_CHECKING:
    from pathlib import Path

#: Samples until told to end.
RANK = """
import json, os, sys, trackd
settings = {"x_stats_sampling_interval": 0.2, "console": "off", **json.loads(os.environ["WISHES"])}
with trackd.init(project="p", id="r", settings=settings) as run:
    sys.stdin.readline()
"""
NODE_EXPORTER = shutil.which("prometheus-node-exporter")
SECRET = "Bearer s3cret"


def metadata_of(server: FakeServer) -> dict[str, Any]:
    names = [name for name in server.files if name.endswith("wandb-metadata.json")]
    with contextlib.suppress(ValueError):  # replaced while it was sent: it will be sent again
        return json.loads(server.files[names[0]]) if names else {}
    return {}


async def recorded(
    folder: Path, wishes: dict[str, Any], keys: set[str], parts: set[str]
) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the first sample with all these keys, and a metadata file with all these parts."""
    async with fake_server() as server:
        env = {"TRACKD_BASE_URL": server.base_url, "TRACKD_API_KEY": server.api_key}
        env["WISHES"] = json.dumps(wishes)
        async with running_agent(folder, options=(), started=True, **env) as agent:
            with train(folder, RANK, agent.environment) as rank, anyio.fail_after(120):
                row: dict[str, float] = {}
                metadata: dict[str, Any] = {}
                while not row or not parts <= metadata.keys():
                    await anyio.sleep(0.05)
                    metadata = metadata_of(server)
                    lines = server.lines.get(("r", "", "wandb-events.jsonl"), {})
                    for _, line in sorted(lines.items()):
                        values = json.loads(line)
                        if {f"system.{key}" for key in keys} <= values.keys():
                            row = values
                await anyio.to_thread.run_sync(finished, rank)
            assert "s3cret" not in agent.log
        return {key.removeprefix("system."): value for key, value in row.items()}, metadata


async def test_what_endpoints_tell_is_in_the_run(tmp_path: Path) -> None:
    with Endpoints() as endpoints:
        endpoints.pages["/text"] = Page(
            b'# TYPE a gauge\na{pod="x"} 1.5\na{pod="y"} 2\na{pod="z\n# TYPE n gauge\nn NaN\n'
            b"# TYPE c_total counter\nc_total 18446744073709551615\n# TYPE s summary\ns_sum 3\n"
        )
        endpoints.pages["/om"] = Page(
            b'# TYPE c counter\nc_total{x="\\"1\\""} 7 1 # {trace="t"} 0.5\n# EOF\n', OPEN_METRICS
        )
        endpoints.pages["/bad"] = Page(status=500)
        endpoints.pages["/slow"] = Page(send=lambda write: endpoints.released.wait(240))
        result: list[dict[str, Any]] = [
            {
                "metric": {
                    "__name__": "DCGM_FI_DEV_GPU_TEMP",
                    "gpu": "0",
                    "UUID": f"U{node}",
                    "Hostname": node,
                    "modelName": "H100",
                },
                "value": [1, "40"],
            }
            for node in "ab"
        ]
        dcgm = {"status": "success", "data": {"resultType": "vector", "result": result}}
        endpoints.pages["/api/v1/query"] = Page(json.dumps(dcgm).encode(), "application/json")
        names = ("text", "om", "bad", "slow")
        wishes = {
            "x_stats_open_metrics_endpoints": {n: f"{endpoints.url}/{n}" for n in names},
            "x_stats_open_metrics_filters": ["text[.](a|n|c)", "om"],
            "x_stats_open_metrics_http_headers": {"Authorization": SECRET},
            "x_stats_dcgm_exporter": f"{endpoints.url}/api/v1/query?query=DCGM_FI_DEV_GPU_TEMP",
        }
        expected = {
            "openmetrics.text.a.0": 1.5,
            "openmetrics.text.a.1": 2,
            "openmetrics.text.c_total.0": float(2**64 - 1),
            "openmetrics.om.c_total.0": 7,
            "gpu.0.temp/l:a": 40,
            "gpu.0.temp/l:b": 40,
        }
        parts = {"openmetrics", "gpu_nvidia"}
        values, metadata = await recorded(tmp_path, wishes, set(expected), parts)
        requests = endpoints.requests
    found = {key: values[key] for key in values if key.startswith(("openmetrics.", "gpu."))}
    assert found == expected
    assert metadata["openmetrics"] == {
        "text": {"a": {"0": {"pod": "x"}, "1": {"pod": "y"}}},
        "om": {"c_total": {"0": {"x": '"1"'}}},
    }
    assert metadata["gpu_count"] == 2
    assert metadata["gpu"] == "H100"
    assert {request.headers["authorization"] for request in requests} == {SECRET}
    for path in tmp_path.rglob("*"):
        if path.is_file() and not path.is_socket():
            assert b"s3cret" not in path.read_bytes(), path


@pytest.mark.skipif(NODE_EXPORTER is None, reason="no prometheus-node-exporter is installed")
async def test_the_real_node_exporter(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/metrics"
    command = [
        str(NODE_EXPORTER),
        f"--web.listen-address=127.0.0.1:{port}",
        "--no-collector.systemd",
    ]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as exporter:
        try:
            for _ in range(2000):
                try:
                    httpx.get(url, timeout=120, trust_env=False).raise_for_status()
                    break
                except httpx.TransportError:
                    time.sleep(0.05)
            wishes = {
                "x_stats_open_metrics_endpoints": {"node": url},
                "x_stats_open_metrics_filters": {
                    "node_cpu_seconds_total": {"mode": "^(idle|user)$"},
                    "node_(boot_time|uname)": {"nodename": ".*"},
                    "node_memory_MemTotal": {"absent": ".*"},
                },
            }
            keys = {"openmetrics.node.node_cpu_seconds_total.0"}
            values, metadata = await recorded(tmp_path, wishes, keys, {"openmetrics"})
        finally:
            exporter.terminate()
    found = {key for key in values if key.startswith("openmetrics.")}
    cpus = os.cpu_count() or 1
    cpu_keys = {f"openmetrics.node.node_cpu_seconds_total.{n}" for n in range(2 * cpus)}
    uname = "openmetrics.node.node_uname_info.0"
    assert found == cpu_keys | {uname}
    assert values[uname] == 1
    labels = metadata["openmetrics"]["node"]
    assert labels["node_uname_info"]["0"]["nodename"] == socket.gethostname()
    assert labels["node_cpu_seconds_total"]["0"] == {"cpu": "0", "mode": "idle"}
