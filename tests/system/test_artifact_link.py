"""The SDK's way to the agent without a run: one is found, or started, or its absence is said."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from tests.fakes.download_server import ARTIFACT_ID, download_server
from tests.support.agent import agent_environment

from trackd_proto.v1 import artifact_pb2

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """
import json, os, signal, sys, time
from pathlib import Path
from trackd.sending import quiet_grpc
quiet_grpc.load()
from trackd.sending.agent_link import AgentCallError
from trackd.sending.artifact_link import ArtifactLink
from trackd_proto.v1 import artifact_pb2

link = ArtifactLink()

def ask(query="query Q { viewer { username } }", **fields):
    request = artifact_pb2.QueryRequest(operation_name="Q", query=query, **fields)
    try:
        return json.loads(link.query(request).data_json)
    except AgentCallError as error:
        return [error.code, error.message, error.details]

def agent():
    return int(Path(os.environ["TRACKD_DIR"], "agent", "agent.lock").read_text())
"""


def run(tmp_path: Path, script: str, sent: str = "", **env: str) -> list[Any]:
    """Run a script in a process of its own; return what it printed, one JSON text a line."""
    environment = agent_environment(tmp_path / "data", TRACKD_IDLE_TIMEOUT="60", **env)
    try:
        done = subprocess.run(
            [sys.executable, "-c", HEAD + script],
            input=sent,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    finally:
        lock = tmp_path / "data" / "agent" / "agent.lock"
        if lock.exists() and (text := lock.read_text()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(text), signal.SIGTERM)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_without_an_agent_one_is_started_and_a_killed_one_is_replaced(tmp_path: Path) -> None:
    script = """
from trackd.sending.discovery import Discovery
print(json.dumps(ask()))
looks, listens = [], Discovery.is_listening
Discovery.is_listening = lambda self: bool(looks.append(self)) or listens(self)
ask()
print(json.dumps(len(looks)))
os.kill(agent(), signal.SIGKILL)
print(json.dumps(ask()))
print(json.dumps(ask("query Q { nothing }")))
print(json.dumps(ask(variables_json=b"[1]")))
link.close()
print(json.dumps(ask()))
"""
    first, looks, second, refused, invalid, reopened = run(tmp_path, script)
    assert looks == 0  # one that answered is asked again; only one that does not is looked for
    assert first == second == reopened == {"viewer": {"username": "local"}}
    assert refused[0] == "UPSTREAM_REFUSED" and "'nothing'" in str(refused[1])
    assert refused[2] == {"http_status": "400"}
    assert invalid[0] == "INVALID_JSON" and "variables_json" in str(invalid[1])


def test_a_server_that_does_not_answer_is_said(tmp_path: Path) -> None:
    """By the agent, which gives up a little before whoever asked it."""
    script = """
ask()  # the start of an agent counts as well, and takes long on a busy machine
server = artifact_pb2.ServerRef(base_url="http://127.0.0.1:9", api_key="k" * 40)
for _ in range(5):  # an agent that gets no processor for five seconds is not waited for
    answer = ask(server=server, timeout_s=1.5)
    if answer[0] != "DEADLINE_EXCEEDED":
        break
print(json.dumps(answer))
"""
    (answer,) = run(tmp_path, script)
    assert answer[0] == "UPSTREAM_UNAVAILABLE"
    assert "127.0.0.1:9" in str(answer[1]) and "1.5 s" in str(answer[1])


def test_a_key_that_a_call_brings_counts_for_it_alone(tmp_path: Path) -> None:
    """Or the uploads of runs would go on with a key that somebody just tried."""
    script = """
import base64, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

class Server(BaseHTTPRequestHandler):
    seen = []
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        key = base64.b64decode(token).decode().removeprefix("api:")
        self.seen.append(key[:1])
        self.send_response(401 if key.startswith("w") else 200)
        self.end_headers()
        self.wfile.write(b'{"data": {}}')
    def log_message(self, *_):
        pass

server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
base_url = f"http://127.0.0.1:{server.server_port}"
kept = Path(os.environ["TRACKD_DIR"], "agent", "credentials.json")
kept.parent.mkdir(parents=True)
kept.write_text(json.dumps({base_url: "k" * 40}))
answers = [
    ask(server=artifact_pb2.ServerRef(base_url=base_url, api_key=key))
    for key in ("", "w" * 40, "o" * 40, "")
]
print(json.dumps([answers[1][0], answers[2], Server.seen, "w" * 40 in kept.read_text()]))
"""
    ((refused, taken, keys, is_kept),) = run(tmp_path, script)
    assert refused == "NOT_AUTHENTICATED"
    assert (taken, keys, is_kept) == ({}, ["k", "w", "o", "k"], False)


def test_a_forked_process_is_told_that_it_cannot_ask(tmp_path: Path) -> None:
    script = """
ask()
if not os.fork():
    print(json.dumps(ask()), flush=True)
    os._exit(0)
os.wait()
print(json.dumps(ask()))
"""
    child, parent = run(tmp_path, script)
    assert child[0] == "NO_AGENT" and "forked" in str(child[1])
    assert parent == {"viewer": {"username": "local"}}


async def test_a_download_outlives_its_agent(tmp_path: Path) -> None:
    files = {f"f{n:03}": os.urandom(200_000) for n in range(60)}
    entries = {f"r{n:04}": {"digest": "e", "ref": "s3://b/k", "size": 1} for n in range(1200)}
    (tmp_path / "root").mkdir()
    script = f"""
request = artifact_pb2.DownloadRequest(artifact_id={ARTIFACT_ID!r}, root={str(tmp_path / "root")!r})
request.server.base_url = sys.stdin.readline().strip()
references, killed = [], False
for answer in link.download(request):
    references += [reference.path for reference in answer.references]
    if answer.files_done > 5 and not killed:
        killed = True
        os.kill(agent(), signal.SIGKILL)
result = answer.result
print(json.dumps([killed, references, result.files_kept, result.files_failed]))
"""
    async with download_server(files=files, entries=entries, delay_s=0.01) as server:
        work = partial(run, tmp_path, script, sent=server.base_url)
        ((killed, references, kept, failed),) = await anyio.to_thread.run_sync(work)
    assert killed and kept and not failed
    assert references == sorted(entries)
    root = tmp_path / "root"
    assert {path.name: path.read_bytes() for path in root.iterdir()} == files


def test_a_wait_outlives_its_agent(tmp_path: Path) -> None:
    script = """
import trackd
run = trackd.init(project="p", dir=os.environ["TRACKD_DIR"], settings={"silent": True})
ask()
server = int(Path(os.environ["TRACKD_DIR"], "server", "server.lock").read_text())
os.kill(server, signal.SIGSTOP)  # nothing is saved before the agent dies
artifact = trackd.Artifact("a", "t")
with artifact.new_file("f", "wb") as file:
    file.write(os.urandom(1 << 20))
run.log_artifact(artifact)
killed = 0
for status in link.watch_save(artifact_pb2.WatchSaveRequest(client_id=artifact.client_id), 200):
    if not killed:
        killed = agent()
        os.kill(killed, signal.SIGKILL)
        os.kill(server, signal.SIGCONT)
waited = artifact.wait().version
run.finish()
print(json.dumps([bool(killed), killed != agent(), status.state, waited]))
"""
    (found,) = run(tmp_path, script)
    assert found == [True, True, artifact_pb2.SAVE_STATE_COMMITTED, "v0"]


def test_an_agent_that_was_named_and_is_not_there_is_said(tmp_path: Path) -> None:
    (answer,) = run(tmp_path, "print(json.dumps(ask()))", TRACKD_SERVICE="unix:/nowhere/a.sock")
    assert answer[0] == "NO_AGENT"
    assert "/nowhere/a.sock" in str(answer[1])
