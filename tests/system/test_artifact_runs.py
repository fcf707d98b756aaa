"""Artifacts logged by scripts, with a real agent and the real exporter."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anyio
from tests.support.agent import running_agent

from trackd_proto import layout

if TYPE_CHECKING:
    from pathlib import Path

OFFLINE = """
import os, trackd
run = trackd.init(project="p", id="r", mode="offline")
open("weights", "w").write("first")
for epoch in range(2):
    artifact = trackd.Artifact("model", "model", metadata={"epoch": epoch})
    artifact.add_dir(".")
    trackd.log_artifact(artifact, aliases=[f"e{epoch}"])
    open("weights", "w").write("second")
child = os.fork()
if not child:
    artifact = trackd.Artifact("child", "data")
    with artifact.new_file("made.json") as file:
        file.write('[1]')
    run.log_artifact(artifact)
    run.finish()
    os._exit(0)
os.waitpid(child, 0)
big = trackd.Artifact("big", "data")
for number in range(20_000):
    big.add_reference(f"lake://{number:040}", name=f"part/{number}")
run.log_artifact(big)
run.finish()
"""

ONLINE = """
import os, trackd
run = trackd.init(project="p", id="r")
logged = run.log_artifact("train.py", name="program")
big = trackd.Artifact("big", "data")
with big.new_file("noise", "wb") as file:
    file.write(os.urandom(64 << 20))
assert run.log_artifact(big).cancel()
try:
    big.wait()
except ValueError as error:
    assert "cancelled" in str(error)
else:
    raise AssertionError("it was saved")
assert logged.wait().cancel() is False
run.log({"table": trackd.Table(columns=["c"], data=[[1]])})
assert run.log_code(".").name == "source-p-train.py"
run.finish()
assert logged.wait().version == "v0" and logged.file_count == 1
names = [a.name for a in trackd.Api().run("p/r").logged_artifacts()]
assert sorted(names) == ["program:v0", "run-r-table:v0", "source-p-train.py:v0"], names
"""

#: A forked process asks as the one that started the run does: gRPC does not work in it.
FORKED = """
import os, trackd
run = trackd.init(project="p", id="r")
first = trackd.Artifact("first", "data")
with first.new_file("words") as file:
    file.write("of the parent")
run.log_artifact(first).wait()
child = os.fork()
if child == 0:
    second = trackd.Artifact("second", "data")
    with second.new_file("words") as file:
        file.write("of the child")
    assert run.log_artifact(second).wait().version == "v0"
    folder = run.use_artifact("first:latest").download()
    assert open(os.path.join(folder, "words")).read() == "of the parent"
    try:
        trackd.Api().artifact("p/first:v7")
    except (ValueError, trackd.errors.CommError) as error:
        assert "v7" in str(error)
    else:
        raise AssertionError("it was found")
    run.finish()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
run.finish()
used = trackd.Api().run("p/r").used_artifacts()
assert [artifact.name for artifact in used] == ["first:v0"]
"""

#: No server is there: nothing waits for long.
AWAY = """
import os, trackd
run = trackd.init(project="p", id="r")
os.makedirs("m", exist_ok=True)
open("m/weights", "w").write("w")
art = trackd.Artifact("model", "model")
art.add_file("m/weights", policy="immutable")
run.log_artifact(art)
run.log_artifact("train.py", name="other")
try:
    art.wait(timeout=0.2)
except trackd.artifacts.errors.WaitTimeoutError as error:
    print("timeout", "its upload goes on" in str(error))
assert not hasattr(art, "version") and art.is_draft()
print("at its end", flush=True)
os._exit(0)
"""

DISABLED = """
import os, trackd
run = trackd.init(mode="disabled")
assert run.log_artifact("nowhere").wait().version.anything(1)
assert run.use_artifact("a:latest") is run.log_model("nowhere") is run.log_code() is None
assert run.upsert_artifact("nowhere") is run.link_model("nowhere", "a/b") is None
run.finish()
assert not os.path.exists("trackd")
"""


def run_script(folder: Path, source: str, environment: dict[str, str]) -> str:
    (folder / "train.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "train.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def artifacts(run_dir: Path, environment: dict[str, str]) -> list[dict[str, Any]]:
    command = [sys.executable, "-c", "from trackd.cli import main; main()", "export", "--json"]
    done = subprocess.run(
        [*command, run_dir], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["artifacts"]


async def test_an_offline_run_carries_its_artifacts_wherever_it_is_moved(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    async with running_agent(tmp_path) as agent:
        run_script(work, OFFLINE, agent.environment)
        [run_dir] = (work / "trackd").glob("offline-run-*-r")
        with anyio.fail_after(120):  # the agent fetches by itself what a forked child recorded
            while any(layout.spool_root(agent.data).iterdir()):
                await anyio.sleep(0.1)
        moved = run_dir.rename(tmp_path / "moved")
        found = {(a["name"], a["aliases"][0]): a for a in artifacts(moved, agent.environment)}
    assert set(found) == {("model", "e0"), ("model", "e1"), ("child", "latest"), ("big", "latest")}
    # Each version has the files of its time, and none of an earlier version.
    versions = [found["model", alias] for alias in ("e0", "e1")]
    for version, text in zip(versions, ("first", "second"), strict=True):
        assert [file["path"] for file in version["files"]] == ["train.py", "weights"]
        copies = (moved / "artifacts").glob("model-*/weights")
        assert text in [copy.read_text() for copy in copies]
    assert versions[0]["files"][1]["md5"] != versions[1]["files"][1]["md5"]
    assert found["child", "latest"]["files"][0]["json"] == [1]
    assert len(found["big", "latest"]["files"]) == 20_000


async def test_what_an_online_run_logged_is_at_the_server_when_it_is_finished(
    tmp_path: Path,
) -> None:
    async with running_agent(tmp_path) as agent:
        run_script(tmp_path, ONLINE, agent.environment)


async def test_a_forked_process_logs_waits_uses_and_downloads(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent:
        run_script(tmp_path, FORKED, agent.environment)


async def test_a_script_without_a_server_does_not_wait_for_it(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent:
        away = {"TRACKD_BASE_URL": "http://127.0.0.1:9", "TRACKD_API_KEY": "k" * 40}
        said = run_script(tmp_path, AWAY, agent.environment | away)
    assert said.splitlines() == ["timeout True", "at its end"]


def test_a_disabled_run_accepts_everything(tmp_path: Path) -> None:
    run_script(tmp_path, DISABLED, {"PATH": "", "TRACKD_DIR": str(tmp_path / "data")})
