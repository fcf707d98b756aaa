"""`trackd export`, `sync` and `tail` on runs of real rank processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

TRACKD = Path(sys.executable).with_name("trackd")
SCRIPT = """
import sys, time, trackd
mode, rows, then = sys.argv[1], int(sys.argv[2]), sys.argv[3]
run = trackd.init(project="p", id="verbs", mode=mode, config={"lr": 0.1},
                  settings={"x_label": sys.argv[4] if len(sys.argv) > 4 else None})
print("hello")
for number in range(rows):
    run.log({"a": number})
    print("row", number) if then == "wait" else None
print("logged", flush=True)
while then == "wait":
    time.sleep(0.1)
run.finish()
"""


class Bench:
    """A folder with a data directory of its own, and processes that run there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TRACKD_", "WANDB_"))}
        self.environ = {**kept, "TRACKD_DIR": str(root / "data"), "TRACKD_IDLE_TIMEOUT": "120"}
        self.begun: list[subprocess.Popen[str]] = []
        (root / "main.py").write_text(SCRIPT)

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "main.py", *arguments],
            cwd=self.root,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.begun.append(process)
        return process

    def rank(self, *arguments: str) -> None:
        process = self.begin(*arguments)
        process.communicate(timeout=240)
        assert process.returncode == 0

    def verb(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [TRACKD, *arguments],
            cwd=self.root,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def trackd(self, *arguments: str, status: int = 0) -> str:
        done = self.verb(*arguments)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def kill_agent(self) -> None:
        """Kill the agent, once it answers: a rank does not wait long for one that is slow."""
        deadline = time.monotonic() + 120
        while not (status := json.loads(self.verb("status", "--json").stdout))["running"]:
            assert time.monotonic() < deadline, "no agent answers"
            time.sleep(0.1)
        os.kill(status["pid"], signal.SIGKILL)

    def end(self) -> None:
        """End everything, also where a test failed half-way."""
        for process in self.begun:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self.trackd("down", "--now")

    def export(self, run: str = "trackd/latest-run") -> dict[str, Any]:
        return json.loads(self.trackd("export", "--json", run))


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    made = Bench(tmp_path)
    yield made
    made.end()


def until_logged(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("logged"):
            return


def numbers(document: dict[str, Any]) -> list[int]:
    return [row["a"] for row in document["history"]]


def test_an_offline_run_survives_the_death_of_everybody(bench: Bench) -> None:
    process = bench.begin("offline", "500", "wait")
    until_logged(process)
    bench.kill_agent()
    process.kill()
    process.communicate()
    document = bench.export()
    assert numbers(document) == list(range(500))
    assert document["run"]["state"] == "crashed"
    assert document["config"] == {"lr": 0.1}
    assert document["console"][0] == "hello"


def test_an_offline_run_is_synced_once_and_reads_the_same_from_the_server(bench: Bench) -> None:
    bench.rank("offline", "300", "finish")
    local = bench.export()
    report = json.loads(bench.trackd("sync", "--json"))
    assert (report["state"], report["lost"]) == ("synced", {})
    assert report["url"].endswith("/local/p/runs/verbs")
    assert json.loads(bench.trackd("sync", "--json"))["state"] == "already_synced"
    remote = bench.export("local/p/verbs")
    for part in ("config", "summary", "history", "metrics", "console", "alerts"):
        assert remote[part] == local[part], part
    for fact in ("id", "project", "state", "exit_code", "tags"):
        assert remote["run"][fact] == local["run"][fact], fact
    assert bench.trackd("tail", "local/p/verbs", "-n", "2").splitlines()[0] == "hello"


def test_what_a_killed_rank_left_is_synced_too(bench: Bench) -> None:
    process = bench.begin("offline", "200", "wait")
    until_logged(process)
    bench.trackd("sync", status=1)  # it still writes
    process.kill()
    process.communicate()
    assert json.loads(bench.trackd("sync", "--json"))["state"] == "synced"
    assert numbers(bench.export("local/p/verbs")) == list(range(200))


def test_an_online_folder_is_exported_with_all_its_writers(bench: Bench) -> None:
    for label in ("r0", "r1"):
        bench.rank("online", "50", "finish", label)
    document = bench.export()
    assert [row["_label"] for row in document["history"]] == ["r0"] * 50 + ["r1"] * 50
    assert document["run"]["state"] == "finished"
    from_server = json.loads(bench.trackd("export", "--json", "local/p/verbs"))
    assert set(from_server) - set(document) == {"environments", "late_rows", "system"}
    assert {row["_label"] for row in from_server["system"]} <= {"r0", "r1"}  # if it lived so long


def test_an_online_run_survives_the_death_of_everybody(bench: Bench) -> None:
    process = bench.begin("online", "5000", "wait")
    until_logged(process)
    bench.kill_agent()
    process.kill()
    process.communicate()
    document = bench.export()
    assert numbers(document) == list(range(5000))
    assert document["run"]["state"] == "crashed"


def test_tail_follows_a_run(bench: Bench) -> None:
    process = bench.begin("offline", "30", "wait")
    until_logged(process)
    assert bench.trackd("tail", "verbs", "-n", "3").splitlines()[-1] == "logged"
    follower = subprocess.Popen(
        [TRACKD, "tail", "-f", "-n", "100", "trackd/latest-run"],
        cwd=bench.root,
        env=bench.environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert follower.stdout is not None
    shown = [follower.stdout.readline() for _ in range(32)]
    assert shown == ["hello\n", *(f"row {n}\n" for n in range(30)), "logged\n"]
    follower.send_signal(signal.SIGINT)
    assert follower.communicate(timeout=240)[0] == ""
    process.kill()
    process.communicate()


def test_what_is_no_run_ends_with_status_3(bench: Bench) -> None:
    (bench.root / "empty").mkdir()
    bench.trackd("export", "--json", "empty", status=3)
    bench.trackd("export", "--json", "local/p/nothing", status=3)
    bench.trackd("tail", "nothing", status=3)
    bench.trackd("sync", "empty", status=3)
