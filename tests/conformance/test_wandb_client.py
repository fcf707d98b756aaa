"""The unmodified `wandb` package against our server: all it sends arrives, all it asks is there."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.support.server import RunningServer, running_server

if TYPE_CHECKING:
    from pathlib import Path

_LIMIT_S = 240
#: A test runs up to four scripts, one after the other.
pytestmark = pytest.mark.timeout(4 * _LIMIT_S + 60)

#: What scripts may use: `result(**values)` hands values to the test.
PRELUDE = """
import json, os, sys, time, math
import wandb
def result(**values):
    with open("result.json", "w") as file:
        json.dump(values, file, default=str)
"""


def start(server: RunningServer, folder: Path, script: str, *args: str) -> subprocess.Popen[str]:
    """Start a script that uses `wandb` against the server, in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.py").write_text(PRELUDE + textwrap.dedent(script))
    return subprocess.Popen(
        [sys.executable, "main.py", *args],
        cwd=folder,
        env=server.wandb_environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str], folder: Path) -> Any:
    """Wait for a script; return what it handed over."""
    output, _ = process.communicate(timeout=_LIMIT_S)
    assert process.returncode == 0, output
    handed = folder / "result.json"
    return json.loads(handed.read_text()) if handed.exists() else output


def run_script(server: RunningServer, folder: Path, script: str, *args: str) -> Any:
    """Run a script that uses `wandb`."""
    return finish(start(server, folder, script, *args), folder)


TRAIN = """
run = wandb.init(project="p", id="r", name="a name", config={"lr": 0.1, "net": {"depth": 3}},
                 tags=["a", "b"], notes="n", group="g", job_type="train")
run.define_metric("epoch")
run.define_metric("loss", step_metric="epoch", summary="min")
for n in range(50):
    run.log({"loss": 1 / (n + 1), "epoch": n // 10, "nested": {"acc": n}, "bad": float("nan")})
run.config.update({"added": 7})
run.summary["best"] = 0.5
os.makedirs("d", exist_ok=True)
for name, content in (("d/name with space ü.txt", "text"), ("d/empty.txt", ""), ("m.json", "[1]")):
    with open(name, "w") as file:
        file.write(content)
    run.save(name, base_path=".")
print("a printed line")
run.alert("Title", "text", level="WARN", wait_duration=60)
run.finish()
"""
#: What is told of the machine comes when it comes.
DESCRIBED = """
deadline = time.monotonic() + 120
while time.monotonic() < deadline:
    found = wandb.Api().run("p/r")
    if found.metadata and len(found.history(stream="system", pandas=False)):
        break
    time.sleep(0.1)
"""


async def test_a_plain_run_arrives_whole(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        run_script(server, tmp_path / "train", TRAIN)
        document = server.document("r")
        assert document["run"] == {
            "id": "r",
            "name": "a name",
            "project": "p",
            "group": "g",
            "job_type": "train",
            "tags": ["a", "b"],
            "notes": "n",
            "state": "finished",
            "exit_code": 0,
            "preempting": False,
        }
        assert document["config"] == {"lr": 0.1, "net": {"depth": 3}, "added": 7}
        assert [row["_step"] for row in document["history"]] == list(range(50))
        assert document["history"][7]["nested"] == {"acc": 7}
        assert math_is_nan(document["history"][0]["bad"])
        assert document["summary"]["best"] == 0.5 and document["summary"]["loss"]["min"] == 0.02
        assert [(d["name"], d["step_metric"], d["summary"]) for d in document["metrics"]] == [
            ("epoch", None, []),
            ("loss", "epoch", ["min"]),
        ]
        files = {file["name"]: file for file in document["files"]}
        assert set(files) == {"d/name with space ü.txt", "d/empty.txt", "m.json"}
        assert files["m.json"]["json"] == [1] and files["d/empty.txt"]["size"] == 0
        assert "a printed line" in document["console"]
        assert document["alerts"] == [
            {"title": "Title", "text": "text", "level": "WARN", "wait_ms": 60_000}
        ]


def math_is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value


async def test_the_public_api_reads_it_back(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        described = TRAIN.replace("run.finish()", f"{DESCRIBED}run.finish()")
        run_script(server, tmp_path / "train", described)
        read = """
        api = wandb.Api()
        run = api.run("p/r")
        lines = list(run.console_logs())
        tail = list(run.console_logs(last=1))
        result(
            state=run.state, config=dict(run.config), best=run.summary["best"], tags=run.tags,
            group=run.group, notes=run.notes, name=run.name, url=run.url, entity=api.default_entity,
            history=len(run.history(pandas=False)),
            columns=len(run.history(keys=["loss"], pandas=False)),
            scan=[row["_step"] for row in run.scan_history()],
            scan_keys=[
                row["epoch"] for row in run.scan_history(keys=["epoch", "loss"], page_size=7)
            ],
            pages=[
                row["_step"] for row in run.scan_history(min_step=10, max_step=20, page_size=3)
            ],
            system=len(run.history(stream="system", pandas=False)),
            files=[(file.name, file.size) for file in run.files()],
            text=run.file("d/name with space ü.txt").download(replace=True).read(),
            empty=run.file("d/empty.txt").download(replace=True).read(),
            lines=[line.content for line in lines],
            tail=len(tail),
            runs=[r.id for r in api.runs("p", filters={"config.lr": 0.1}, order="-summary.best")],
            none=len(api.runs("p", filters={"state": "crashed"})),
            projects=[project.name for project in api.projects()],
            metadata=run.metadata["program"],
        )
        """
        found = run_script(server, tmp_path / "read", read)
        assert found["state"] == "finished" and found["entity"] == "local"
        assert found["config"] == {"lr": 0.1, "net": {"depth": 3}, "added": 7}
        assert (found["best"], found["tags"], found["group"]) == (0.5, ["a", "b"], "g")
        assert found["url"] == f"{server.address}/local/p/runs/r"
        assert found["history"] == found["columns"] == 50 and found["system"] >= 1
        assert found["scan"] == list(range(50))
        assert found["scan_keys"] == [n // 10 for n in range(50)]
        assert found["pages"] == list(range(10, 20))
        names = [name for name, _ in found["files"]]
        assert {"config.yaml", "output.log", "wandb-metadata.json", "m.json"} <= set(names)
        assert found["text"] == "text" and found["empty"] == ""
        assert "a printed line" in found["lines"] and found["tail"] == 1
        assert found["runs"] == ["r"] and found["none"] == 0 and found["projects"] == ["p"]


async def test_edits_and_deletes_through_the_public_api(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        run_script(server, tmp_path / "train", TRAIN)
        edit = """
        run = wandb.Api().run("p/r")
        run.config["lr"] = 0.5
        run.tags.append("c")
        run.notes, run.name = "other", "renamed"
        run.update()
        run.summary["best"] = 0.9
        run.summary.update()
        with open("later.txt", "w") as file:
            file.write("later")
        run.upload_file("later.txt")
        run.file("m.json").delete()
        again = wandb.Api().run("p/r")
        result(config=dict(again.config), tags=again.tags, notes=again.notes, name=again.name,
               best=again.summary["best"], files=[file.name for file in again.files()])
        """
        found = run_script(server, tmp_path / "edit", edit)
        assert found["config"]["lr"] == 0.5 and found["config"]["added"] == 7
        assert (found["notes"], found["name"]) == ("other", "renamed")
        assert (found["tags"], found["best"]) == (["a", "b", "c"], 0.9)
        assert "later.txt" in found["files"] and "m.json" not in found["files"]
        delete = """
        wandb.Api().run("p/r").delete()
        try:
            wandb.Api().run("p/r")
        except Exception as error:
            result(error=str(error))
        """
        assert "not found" in run_script(server, tmp_path / "delete", delete)["error"]
        with server.client() as client, anyio.fail_after(_LIMIT_S):
            while (usage := client.get("/api/v1/usage").json())["kinds"] or usage["disk_blobs"]:
                await anyio.sleep(0.1)  # a deletion leaves what takes long to the background


async def test_two_processes_share_one_run(tmp_path: Path) -> None:
    script = """
    rank = int(sys.argv[1])
    settings = wandb.Settings(mode="shared", x_label=f"rank_{rank}", x_primary=rank == 0,
                              x_update_finish_state=rank == 0)
    run = wandb.init(project="p", id="s", config={f"from_{rank}": rank}, settings=settings)
    for n in range(20):
        run.log({"loss": n, f"only_{rank}": n})
    print(f"line of {rank}")
    run.finish()
    """
    async with running_server(tmp_path) as server:
        folders = [tmp_path / f"rank{rank}" for rank in range(2)]
        both = [start(server, folders[rank], script, str(rank)) for rank in range(2)]
        for process, folder in zip(both, folders, strict=True):
            finish(process, folder)
        document = server.document("s")
        assert document["run"]["state"] == "finished"
        assert document["config"] == {"from_0": 0, "from_1": 1}
        for rank in range(2):
            mine = [row for row in document["history"] if f"only_{rank}" in row]
            assert [row["_step"] for row in mine] == list(range(20))
            assert {row["_label"] for row in mine} == {f"rank_{rank}"}
            assert document["summary"][f"only_{rank}"] == 19
            assert f"line of {rank}" in document["console"]


async def test_a_run_is_resumed_where_it_ended(tmp_path: Path) -> None:
    first = """
    run = wandb.init(project="p", id="r", resume="allow", config={"a": 1}, tags=["t"])
    for n in range(5):
        run.log({"x": n})
    print("first part")
    run.finish()
    """
    second = """
    run = wandb.init(project="p", id="r", resume="must", config={"b": 2})
    for n in range(5, 8):
        run.log({"x": n})
    print("second part")
    result(config=dict(run.config), tags=run.tags)
    run.finish()
    """
    missing = """
    try:
        wandb.init(project="p", id="never", resume="must")
    except wandb.errors.UsageError as error:
        result(error=str(error))
    """
    async with running_server(tmp_path) as server:
        run_script(server, tmp_path / "first", first)
        found = run_script(server, tmp_path / "second", second)
        assert found == {"config": {"a": 1, "b": 2}, "tags": ["t"]}
        document = server.document("r")
        assert [(row["_step"], row["x"]) for row in document["history"]] == [
            (n, n) for n in range(8)
        ]
        console = [line for line in document["console"] if "part" in line]
        assert console == ["first part", "second part"]
        assert document["run"]["state"] == "finished"
        assert "does not exist" in run_script(server, tmp_path / "third", missing)["error"]


async def test_a_run_is_rewound(tmp_path: Path) -> None:
    script = """
    run = wandb.init(project="p", id="r")
    for n in range(10):
        run.log({"x": n})
    run.finish()
    run = wandb.init(project="p", resume_from="r?_step=4")
    run.log({"x": 500})
    run.finish()
    """
    async with running_server(tmp_path) as server:
        run_script(server, tmp_path / "rewind", script)
        rows = [(row["_step"], row["x"]) for row in server.document("r")["history"]]
        assert rows == [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 500)]


async def test_a_forked_run_has_the_history_of_its_parent(tmp_path: Path) -> None:
    script = """
    run = wandb.init(project="p", id="r")
    for n in range(10):
        run.log({"x": n})
    run.finish()
    run = wandb.init(project="p", id="child", fork_from="r?_step=2")
    run.log({"x": 500})
    run.finish()
    """
    async with running_server(tmp_path) as server:
        run_script(server, tmp_path / "fork", script)
        rows = [(row["_step"], row["x"]) for row in server.document("child")["history"]]
        assert rows == [(0, 0), (1, 1), (2, 2), (3, 500)]
        assert len(server.document("r")["history"]) == 10


async def test_a_failed_script_is_a_failed_run(tmp_path: Path) -> None:
    script = """
    run = wandb.init(project="p", id="r")
    run.log({"x": 1})
    sys.exit(3)
    """
    async with running_server(tmp_path) as server:
        process = start(server, tmp_path / "fail", script)
        process.communicate(timeout=_LIMIT_S)
        assert process.returncode == 3
        run = server.document("r")["run"]
        assert (run["state"], run["exit_code"]) == ("failed", 3)


async def test_an_offline_run_is_synced_by_their_tool(tmp_path: Path) -> None:
    script = """
    run = wandb.init(project="p", id="off", mode="offline", config={"a": 1})
    for n in range(10):
        run.log({"x": n})
    run.finish()
    """
    async with running_server(tmp_path) as server:
        folder = tmp_path / "offline"
        run_script(server, folder, script)
        command = [sys.executable, "-m", "wandb", "sync", "--yes"]
        environment = server.wandb_environment(folder)
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        document = server.document("off")
        assert [row["x"] for row in document["history"]] == list(range(10))
        assert document["run"]["state"] == "finished" and document["config"] == {"a": 1}


async def test_a_big_run_arrives_whole(tmp_path: Path) -> None:
    script = """
    run = wandb.init(project="p", id="big")
    for n in range(20_000):
        run.log({"a": n, "b": n * 0.5, "text": "x" * 50})
    run.finish()
    api = wandb.Api()
    result(steps=sum(1 for _ in api.run("p/big").scan_history()))
    """
    async with running_server(tmp_path) as server:
        found = run_script(server, tmp_path / "big", script)
        assert found["steps"] == 20_000
        assert [row["a"] for row in server.document("big")["history"]] == list(range(20_000))


async def test_the_server_dies_and_comes_back_during_a_run(tmp_path: Path) -> None:
    script = """
    settings = wandb.Settings(x_file_stream_transmit_interval=0.2)
    run = wandb.init(project="p", id="r", settings=settings)
    for n in range(300):
        run.log({"x": n})
        time.sleep(0.02)
        if n == 100:
            open("ready", "w").close()
    run.finish()
    """
    async with running_server(tmp_path) as server:
        port = int(server.address.rpartition(":")[2])
        folder = tmp_path / "client"
        process = start(server, folder, script)
        await wait_for(folder / "ready")
        await server.kill()
        async with running_server(tmp_path, port=port) as again:
            finish(process, folder)
            document = again.document("r")
    assert [row["x"] for row in document["history"]] == list(range(300))
    assert document["run"]["state"] == "finished"


async def wait_for(path: Path) -> None:
    with anyio.fail_after(_LIMIT_S):
        while not path.exists():
            await anyio.sleep(0.05)


async def test_a_wrong_key_is_told_to_the_user(tmp_path: Path) -> None:
    script = """
    try:
        wandb.login(key="0" * 40, verify=True)
    except Exception as error:
        result(kind=type(error).__name__)
    """
    async with running_server(tmp_path) as server:
        assert run_script(server, tmp_path / "wrong", script)["kind"] == "AuthenticationError"


async def test_a_bad_project_name_is_told_to_the_user(tmp_path: Path) -> None:
    script = """
    try:
        wandb.init(project="..", id="r")
    except Exception as error:
        result(error=str(error))
    """
    async with running_server(tmp_path) as server:
        assert "Invalid project name" in run_script(server, tmp_path / "bad", script)["error"]
