"""What people and Prometheus see of a node, through a real agent."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import random
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import httpx
import pytest
from tests.support.agent import RunningAgent, running_agent
from tests.support.cases import build_nvml, needs_gcc
from tests.support.machine import needs_samples

from trackd_proto.v1 import admin_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

SCRIPTS = Path(sys.executable).parent
RANK = """
import sys, trackd
settings = {"x_stats_sampling_interval": 0.2, "console": "off", "x_label": "r0"}
run = trackd.init(project="p", id="watched", settings=settings, dir=sys.argv[1])
run.log({"a": 1})
print("logged", flush=True)
sys.stdin.read()
"""


@contextlib.asynccontextmanager
async def a_rank(agent: RunningAgent, folder: Path) -> AsyncGenerator[subprocess.Popen[bytes]]:
    rank = subprocess.Popen(
        [sys.executable, "-c", RANK, str(folder)],
        env=agent.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert rank.stdout is not None and rank.stdin is not None
    with rank, rank.stdin:
        assert await anyio.to_thread.run_sync(rank.stdout.readline) == b"logged\n"
        yield rank


def free_port() -> int:
    """Return a port that nobody has, and that nobody gets who asks for any."""
    while True:
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", random.randrange(10_000, 30_000)))
            return probe.getsockname()[1]


def over_socket(agent: RunningAgent) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(uds=str(agent.socket))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=120)


async def test_metrics_are_served_on_the_socket_and_on_the_port_asked_for(tmp_path: Path) -> None:
    parser: Any = pytest.importorskip("prometheus_client.openmetrics.parser")
    port = free_port()
    env: dict[str, Any] = {"TRACKD_RPC__METRICS_PORT": str(port)}
    async with (
        running_agent(tmp_path, **env) as agent,
        a_rank(agent, tmp_path) as rank,
        over_socket(agent) as client,
        httpx.AsyncClient(timeout=120) as web,
    ):
        accept = {"accept": "application/openmetrics-text; version=1.0.0"}
        with anyio.fail_after(120):  # rates take two readings
            while True:
                page = await client.get("/metrics", headers=accept)
                if "trackd_rank_cpu_percent{" in page.text:
                    break
                await anyio.sleep(0.3)
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("application/openmetrics-text; version=1")
        found = {f.name: f for f in parser.text_string_to_metric_families(page.text)}
        assert found["trackd_rank_cpu_percent"].samples[0].labels["run_id"] == "watched"
        assert found["trackd_rank_proc_memory_rss_bytes"].samples[0].value > 10 * 2**20
        assert 0 < found["trackd_node_memory_percent"].samples[0].value < 100
        assert found["trackd_agent"].samples[0].labels["version"]
        assert {s.labels["collector"] for s in found["trackd_collector_success"].samples} >= {
            "disk",
            "memory",
            "process",
        }
        plain = await web.get(f"http://127.0.0.1:{port}/metrics")
        assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert "trackd_writer_journalled_records_total{" in plain.text
        status = await agent.status()
        assert f"http://127.0.0.1:{port}/metrics" in status.sockets
        head = await web.head(f"http://127.0.0.1:{port}/metrics")
        assert head.status_code == 200 and not head.content
        other = await web.get(f"http://127.0.0.1:{port}/secrets")
        assert other.status_code == 404
        stolen = await web.get(f"http://127.0.0.1:{port}/metrics", headers={"host": "evil.example"})
        assert stolen.status_code == 403
        assert (await web.post(f"http://127.0.0.1:{port}/metrics")).status_code == 405
        for nonsense in (b"\0" * 9, b"GET /" + b"x" * 20_000, b"GET /metrics\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port)) as rude:
                rude.sendall(nonsense)
        assert (await agent.status()).pid == agent.pid
        rank.kill()


async def test_a_port_that_is_taken_and_a_monitor_that_is_off_leave_the_socket_its_metrics(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        env: dict[str, Any] = {"TRACKD_RPC__METRICS_PORT": str(port)}
        env |= {"TRACKD_SERVER__START": "never", "TRACKD_MONITOR__ENABLED": "false"}
        async with running_agent(tmp_path, **env) as agent, over_socket(agent) as client:
            page = (await client.get("/metrics")).text
            assert "trackd_agent_uptime_seconds" in page and "trackd_node_" not in page
            assert f"http://127.0.0.1:{port}/metrics" not in (await agent.status()).sockets
            assert "metrics_port_not_served" in agent.log
            for nonsense in (b"GET /metrics", b"HEAD / HTTP/1.1\r\n\r\n", b"GET " + b"x" * 99_999):
                with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as rude:
                    rude.connect(str(agent.socket))
                    rude.sendall(nonsense)
            assert "no ranks" in await run_verb(agent, "top", "--once")


async def test_a_look_at_the_node_shows_its_ranks_and_their_own_figures(tmp_path: Path) -> None:
    async with (
        running_agent(tmp_path, TRACKD_SERVER__START="never") as agent,
        a_rank(agent, tmp_path) as rank,
        agent.admin() as admin,
    ):
        healthy = {"ok", "no_data", "waiting"}
        with anyio.fail_after(120):
            while True:  # on a slow machine a collector may be late now and then
                view = await admin.ReadNode(admin_pb2.ReadNodeRequest(), timeout=120)
                words = {each.state for each in view.collectors}
                sampled = [view, *view.ranks]
                if words <= healthy and all("proc.memory.rssMB" in v.values for v in sampled):
                    break
                await anyio.sleep(0.2)
        (reading,) = view.ranks
        assert (reading.run.run_id, reading.label, reading.pid) == ("watched", "r0", rank.pid)
        assert reading.values["proc.memory.rssMB"] > 10
        assert view.values["proc.memory.rssMB"] != reading.values["proc.memory.rssMB"]
        assert view.host == socket.gethostname()
        states = {each.name: each for each in view.collectors}
        assert states["memory"].state == "ok" and states["memory"].ticks >= 1
        rank.kill()


def verb(agent: RunningAgent, *words: str, status: int = 0) -> str:
    ended = subprocess.run(
        [SCRIPTS / "trackd", *words],
        env={**agent.environment, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == status, ended.stdout + ended.stderr
    return ended.stdout


async def run_verb(agent: RunningAgent, *words: str, status: int = 0) -> str:
    return await anyio.to_thread.run_sync(lambda: verb(agent, *words, status=status))


async def test_top_shows_the_ranks_once_or_as_json_or_says_that_no_agent_runs(
    tmp_path: Path,
) -> None:
    async with running_agent(tmp_path, started=False) as agent:
        agent.environment["TRACKD_SERVER__START"] = "never"
        assert await run_verb(agent, "top", "--once", status=3) == ""
        await agent.start()
        assert "no ranks" in await run_verb(agent, "top", "--once")
        async with a_rank(agent, tmp_path) as rank:
            text = await run_verb(agent, "top", "--once")
            (line,) = [line.split() for line in text.splitlines() if "watched" in line]
            assert line[:3] == ["p/watched", "r0", str(rank.pid)]
            assert "%" in line, "a second reading gives the rate"
            assert "memory" in text and "disk / " in text
            node = json.loads(await run_verb(agent, "top", "--once", "--json"))
            assert node["ranks"][0]["run"]["run_id"] == "watched"
            assert node["values"]["memory_percent"] > 0
            rank.kill()


async def test_top_draws_on_a_terminal_until_q(tmp_path: Path) -> None:
    async with running_agent(tmp_path, TRACKD_SERVER__START="never") as agent:
        text = await anyio.to_thread.run_sync(pressing_q_in_top, agent)
    assert socket.gethostname() in text and "memory" in text and "no ranks" in text
    assert "\x1b[?1049l" in text, "the screen is as it was"


def pressing_q_in_top(agent: RunningAgent) -> str:
    """Run `trackd top` on a terminal of its own, press q when it has drawn; return the output."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [SCRIPTS / "trackd", "top", "--interval", "0.2"],
        env={**agent.environment, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as top:
        os.close(theirs)
        text, is_pressed = b"", False
        with contextlib.suppress(OSError):  # the end of a terminal
            while piece := os.read(ours, 65536):
                text += piece
                if text.count(b"no ranks") >= 2 and not is_pressed:
                    is_pressed = bool(os.write(ours, b"q"))
        assert top.wait(120) == 0
    os.close(ours)
    return text.decode()


async def test_doctor_says_what_each_collector_found_or_why_it_is_not_used(tmp_path: Path) -> None:
    off = '{"network": false}'
    async with running_agent(
        tmp_path, TRACKD_SERVER__START="never", TRACKD_MONITOR__COLLECTORS=off
    ) as agent:
        report = json.loads(await run_verb(agent, "doctor", "--json"))
        texts = [each["text"] for each in report["findings"] if each["subject"] == "monitor"]
        assert any(text.startswith("memory: found, read in ") for text in texts)
        assert "network: not used: switched off by the agent's settings" in texts
        assert any(text.startswith("nvidia: ") for text in texts)
        assert report["well"]


async def test_doctor_says_what_fails_for_a_run_whoever_looks(tmp_path: Path) -> None:
    gone = f"http://127.0.0.1:{free_port()}/metrics"
    async with running_agent(tmp_path, TRACKD_SERVER__START="never") as agent:
        settings = {"x_stats_open_metrics_endpoints": {"gone": gone}, "x_stats_self_usage": True}
        agent.environment.update(
            {f"TRACKD_{name.upper()}": json.dumps(value) for name, value in settings.items()}
        )
        async with a_rank(agent, tmp_path) as rank:
            for _ in range(2):
                report = json.loads(await run_verb(agent, "doctor", "--json", status=1))
                texts = [each["text"] for each in report["findings"]]
                (failing,) = [text for text in texts if text.startswith("openmetrics: ")]
                assert f"endpoint gone ({gone})" in failing and not report["well"]
                remedies = " ".join(each["remedy"] for each in report["findings"])
                assert "is x_stats_open_metrics_endpoints of the run right?" in remedies
                assert any(text.startswith("own: found, read in ") for text in texts)
            rank.kill()


async def until_exported(
    agent: RunningAgent, path: str, part: str, key: str
) -> list[dict[str, Any]]:
    """Wait until a part of a run's document has a key somewhere; return the part."""
    with anyio.fail_after(120):
        while True:
            found = json.loads(await run_verb(agent, "export", "--json", path))[part]
            if any(key in each for each in found):
                return found


@needs_samples
@needs_gcc
async def test_a_gpu_and_what_happens_to_it_are_in_every_view(tmp_path: Path) -> None:
    library, state = build_nvml(tmp_path / "lib"), tmp_path / "state"
    state.touch()
    env: dict[str, Any] = {"LD_LIBRARY_PATH": str(library), "STUB_NVML_STATE": str(state)}
    async with running_agent(tmp_path, **env) as agent, a_rank(agent, tmp_path) as rank:
        path = "local/p/watched"
        await until_exported(agent, path, "system", "system.gpu.0.temp/l:r0")
        changed = tmp_path / "changed"
        changed.write_text(f"STUB_NVML_PIDS=1:{rank.pid}\nSTUB_NVML_XID=0:31:1\n")
        changed.replace(state)
        events = await until_exported(agent, path, "events", "name")
        assert events[0]["name"] == "xid" and events[0]["value"] == 31
        assert events[0]["key"] == "gpu.0.xid/l:r0" and events[0]["runtime"] >= 0
        assert f"xid: {events[0]['text']}" in await run_verb(agent, "export", path)
        text = await run_verb(agent, "top", "--once")
        assert [line.split()[0] for line in text.splitlines() if line.startswith("gpu.")] == [
            "gpu.0",
            "gpu.1",
        ]
        (line,) = [line.split() for line in text.splitlines() if "watched" in line]
        assert line[-1] == "1", "the GPU that the rank computes on"
        async with over_socket(agent) as client:
            page = (await client.get("/metrics")).text
        assert 'trackd_node_gpu_temperature_celsius{gpu="1"} 52' in page
        assert re.search(r'trackd_rank_gpu_process_.*run_id="watched".*gpu="1"', page)
        address = (agent.data / "server" / "address").read_text().strip()
        async with httpx.AsyncClient(base_url=address, timeout=120) as browser:
            shown = (await browser.get("/local/p/runs/watched")).text
        assert "<h3>GPU</h3>" in shown and "GPU 0 reported Xid 31" in shown
        assert '<line class="mark"' in shown
        rank.kill()
