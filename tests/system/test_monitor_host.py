"""System metrics of a rank as it sees them itself: own process, buffer, pauses, headers."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.support.agent import agent_environment
from tests.system.test_sdk_processes import finished, train

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

BEGIN = """
import json, os, sys, time, trackd
from trackd.sending import monitoring

monitoring._READ_S = monitoring._PAUSE_S = 120.0  # the agent may be slow, not silent

def begin(**settings):
    often = {"x_stats_sampling_interval": 0.1, "x_stats_buffer_size": 3, "console": "off"}
    return trackd.init(project="p", mode="offline", settings=often | settings)

def until(is_so, limit_s=120):
    end_s = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < end_s, "too long"
        time.sleep(0.02)
"""
OWN = (
    BEGIN
    + """
ballast = bytearray(64 << 20)
child = os.fork()
if child == 0:
    del ballast
with begin(x_label="child" if child == 0 else "r/1") as run:
    until(lambda: len(run._system_metrics.get("cpu", ())) == 3)
    metrics = run._system_metrics
    time_, rss_mb = metrics["proc.memory.rssMB"][-1]
    told = {"keys": sorted(metrics), "rss_mb": rss_mb, "zone": str(time_.tzinfo)}
if child == 0:
    with open("child.json", "w") as file:
        json.dump(told, file)
    os._exit(0)
os.waitpid(child, 0)
print(json.dumps([told, json.load(open("child.json")), run._system_metrics]))
"""
)
PAUSED = (
    BEGIN
    + """
with begin() as run:
    sender = run._backend._writer.sender
    last = lambda: run._system_metrics["memory_percent"][-1][0]
    until(lambda: run._system_metrics)
    monitoring.pause(sender, paused=True)
    def is_still():
        global paused
        paused = last()
        time.sleep(0.5)
        return last() == paused
    until(is_still)  # a sample that is just being taken may still come
    monitoring.pause(sender, paused=False)
    until(lambda: last() > paused)
print(json.dumps(True))
"""
)
SCRAPED = (
    BEGIN
    + """
settings = {
    "x_stats_open_metrics_endpoints": {"here": sys.argv[1]},
    "x_stats_open_metrics_http_headers": {"Authorization": "Bearer secret-word"},
}
with begin(x_stats_self_usage=True, x_stats_host_details=True, **settings) as run:
    until(lambda: "openmetrics.here.up.0" in run._system_metrics)
    until(lambda: "wandb.cpu" in run._system_metrics)
    print(json.dumps([sorted(run._system_metrics), run.dir]))
"""
)


@contextmanager
def endpoint(asked_with: list[str]) -> Generator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked_with.append(self.headers.get("Authorization", ""))
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(b"# TYPE up gauge\nup 1\n")

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/metrics"
        server.shutdown()


def said(folder: Path, source: str, **env: str) -> Any:
    """Run a rank that starts its own agent; return what it printed last."""
    environment = agent_environment(folder / "data", TRACKD_IDLE_TIMEOUT="1", **env)
    return json.loads(finished(train(folder, source, environment)).splitlines()[-1])


def test_a_rank_and_its_forked_child_read_back_the_metrics_of_their_own_process(
    tmp_path: Path,
) -> None:
    parent, child, afterwards = said(tmp_path, OWN)
    host = {"cpu", "memory_percent", "proc.cpu.threads", "disk.in", "network.tcpRetransmits"}
    assert host <= set(parent["keys"])
    assert parent["keys"] == child["keys"]
    assert not [key for key in parent["keys"] if "/l:" in key]
    assert parent["rss_mb"] - child["rss_mb"] > 32
    assert parent["zone"] == "UTC"
    assert afterwards == {}


def test_no_metrics_are_sampled_while_a_notebook_waits_for_its_user(tmp_path: Path) -> None:
    assert said(tmp_path, PAUSED) is True


def test_headers_reach_the_endpoint_and_no_file_of_the_run(tmp_path: Path) -> None:
    asked_with: list[str] = []
    with endpoint(asked_with) as url:
        source = SCRAPED.replace("sys.argv[1]", repr(url))
        keys, _ = said(tmp_path, source)
    assert "Bearer secret-word" in asked_with
    assert {"wandb.cpu", "wandb.memory.rssMB", "system.load1", "cpu.0.cpu_percent"} <= set(keys)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert b"secret-word" not in path.read_bytes(), path
