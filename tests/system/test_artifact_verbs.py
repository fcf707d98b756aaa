"""`trackd artifact`, `registry`, `du`, `gc` and `fsck`, as people and scripts call them."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click
import pytest
from tests.support.agent import agent_environment

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

REFUSED, WRONG_USAGE, NO_SUCH_THING, NO_ANSWER = 1, 2, 3, 4


class Shell:
    """Calls the command line in one folder and environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = agent_environment(folder / "data", TRACKD_IDLE_TIMEOUT="60")

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "trackd", *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def text(self, *words: str) -> str:
        done = self(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.text(*words, "--json"))

    def refused(self, status: int, *words: str) -> str:
        done = self(*words)
        assert done.returncode == status, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stderr

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture(name="trackd", scope="module")
def one_shell(tmp_path_factory: pytest.TempPathFactory) -> Generator[Shell]:
    """A shell, an agent and its server for all tests: each uses a project of its own."""
    call = Shell(tmp_path_factory.mktemp("verbs"))
    yield call
    call("down", "--now")


def two_versions(trackd: Shell, project: str) -> None:
    trackd.write(f"{project}/a.txt", project * 20_000)
    trackd.write(f"{project}/sub/b.txt", f"{project} b")
    trackd.text(
        "artifact", "put", project, "-n", f"{project}/data", "-a", "first", "-m", '{"k": 1}'
    )
    trackd.write(f"{project}/sub/b.txt", f"{project} changed")
    trackd.write(f"{project}/new.txt", f"{project} new")
    trackd.text("artifact", "put", project, "-n", f"{project}/data", "--tag", "good")


def test_what_is_put_is_listed_described_compared_and_got_back(trackd: Shell) -> None:
    two_versions(trackd, "round")
    (listed,) = trackd.json("artifact", "ls", "round")
    assert (listed["name"], listed["type"], listed["kind"]) == (
        "local/round/data",
        "dataset",
        "sequence",
    )
    versions = trackd.json("artifact", "ls", "round/data")
    assert [(each["version"], each["aliases"], each["tags"]) for each in versions] == [
        ("v1", ["latest"], ["good"]),
        ("v0", ["first"], []),
    ]
    facts = trackd.json("artifact", "info", "round/data:first", "--files")
    assert [each["path"] for each in facts["files"]] == ["a.txt", "sub/b.txt"]
    assert (facts["metadata"], facts["file_count"], facts["size"]) == ({"k": 1}, 2, 100_007)
    compared = trackd("artifact", "diff", "round/data:first", "round/data", "--json")
    assert compared.returncode == REFUSED
    found = json.loads(compared.stdout)
    assert [(each["path"], each["change"]) for each in found["files"]] == [
        ("new.txt", "added"),
        ("sub/b.txt", "changed"),
    ]
    assert (found["unchanged"], found["metadata"]) == (1, {"k": [1, None]})
    assert "equal" in trackd.text("artifact", "diff", "round/data", "round/data:v1")
    assert trackd.text("artifact", "get", "round/data:first", "--root", "back").strip() == "back"
    assert (trackd.folder / "back/sub/b.txt").read_text() == "round b"
    assert "equal" in trackd.text("artifact", "verify", "round/data:first", "back")
    assert "new.txt is missing" in trackd.refused(
        REFUSED, "artifact", "verify", "round/data", "back"
    )
    trackd.refused(NO_SUCH_THING, "artifact", "verify", "round/data", "no-folder")


def test_putting_the_same_again_makes_no_version(trackd: Shell) -> None:
    trackd.write("same.txt", "same")
    first = trackd.json("artifact", "put", "same.txt", "-n", "same/data")
    done = trackd("artifact", "put", "same.txt", "-n", "same/data", "-a", "more", "--json")
    again = json.loads(done.stdout)
    assert (first["version"], again["version"]) == ("v0", "v0")
    assert sorted(again["aliases"]) == ["latest", "more"]
    assert "no new version is made" in done.stderr


def test_whoever_names_no_project_is_shown_what_there_is(trackd: Shell) -> None:
    trackd.write("lost.txt", "lost")
    trackd.text("artifact", "put", "lost.txt", "-n", "lost/data")
    trackd.text("registry", "create", "found", "--type", "dataset")
    trackd.text("artifact", "link", "lost/data", "wandb-registry-found/data")
    shown = {each["name"]: each["collections"] for each in trackd.json("artifact", "ls")}
    assert (shown["lost"], shown["wandb-registry-found"]) == (1, 1)
    assert "lost" in trackd.text("artifact", "ls")
    assert "write PROJECT/data" in trackd.refused(NO_SUCH_THING, "artifact", "info", "data")
    put = trackd.json("artifact", "put", "lost.txt", "-n", "data")  # like all other verbs
    assert put["name"] == trackd.json("artifact", "info", "data")["name"]
    assert put["name"] == "local/uncategorized/data:v0"
    refusal = trackd.refused(NO_SUCH_THING, "artifact", "ls", "lost/nothing")
    assert "project lost has no collection 'nothing'" in refusal
    assert (
        trackd.json("du", "lost")["name"] == trackd.json("du", "local/lost")["name"] == "local/lost"
    )
    gone = trackd.text("artifact", "rm", "wandb-registry-found/data:v0")
    assert "local/lost/data:v0 stays" in gone
    trackd.text("registry", "rm", "found")


CHAIN = """
import trackd
from pathlib import Path
quiet = {"silent": True, "console": "off"}
Path("chain.txt").write_text("chain")
for number in range(3):
    with trackd.init(project="chain", id=f"run{number}", name=f"n{number}", settings=quiet) as run:
        if number:
            run.use_artifact(f"step{number - 1}:latest")
        made = trackd.Artifact(f"step{number}", "step")
        made.add_file("chain.txt")
        run.log_artifact(made).wait()
api = trackd.Api()
remote = api._remote
for depth in (1, 2, 5):
    for direction in ("upstream", "both"):
        whole = api.lineage("chain/step1", direction, depth).as_json()
        remote._features = remote.features - {"TRACKD_LINEAGE"}  # as of another server
        assert api.lineage("chain/step1", direction, depth).as_json() == whole
        remote._features = None
"""


def test_lineage_goes_from_version_to_run_to_version_on_any_server(trackd: Shell) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHAIN],
        cwd=trackd.folder,
        env=trackd.environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    graph = trackd.json("artifact", "lineage", "chain/step2", "--depth", "4")
    steps = ["run0", "step0:v0", "run1", "step1:v0", "run2", "step2:v0"]
    chain = [f"local/chain/{step}" for step in steps]
    assert sorted(graph["edges"]) == sorted([list(pair) for pair in itertools.pairwise(chain[1:])])
    assert graph["is_truncated"]
    shown = trackd.text("artifact", "lineage", "chain/step1", "--direction", "downstream")
    assert shown.splitlines() == [
        "local/chain/step1:v0",
        "   -> run local/chain/run2 n2",
        "      -> artifact local/chain/step2:v0",
    ]


def test_a_registry_is_made_filled_changed_and_removed(trackd: Shell) -> None:
    trackd.write("shelf.txt", "shelf")
    trackd.text("artifact", "put", "shelf.txt", "-n", "shelf/data", "-a", "first")
    trackd.text("registry", "create", "things", "--type", "dataset", "--description", "all")
    assert "exists" in trackd.refused(REFUSED, "registry", "create", "things")
    linked = trackd.text(
        "artifact", "link", "shelf/data:first", "wandb-registry-things/served", "-a", "prod"
    )
    assert linked.strip() == "local/wandb-registry-things/served:v0"
    assert [each["name"] for each in trackd.json("registry", "ls", "--match", "^wandb.*thin")] == [
        "things"
    ]
    shown = trackd.json("registry", "show", "things")
    assert [each["name"] for each in shown["collections"]] == ["served"]
    edited = trackd.json("registry", "edit", "things", "--add-type", "model", "--name", "stuff")
    assert (edited["name"], sorted(edited["artifact_types"])) == ("stuff", ["dataset", "model"])
    trackd.refused(NO_SUCH_THING, "registry", "show", "things")
    trackd.text("registry", "rm", "stuff")
    assert trackd.json("registry", "ls") == []
    assert trackd.json("artifact", "info", "shelf/data:first")["version"] == "v0"


def test_a_reader_that_has_enough_is_no_error(trackd: Shell) -> None:
    reader, writer = os.pipe()
    os.close(reader)  # as behind `| head`
    words = [sys.executable, "-m", "trackd", "artifact", "ls"]
    with os.fdopen(writer) as out:
        done = subprocess.run(
            words,
            env=trackd.environment,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.stderr == ""


def test_shares_of_the_disk_sum_up_and_a_deletion_frees_what_was_said(trackd: Shell) -> None:
    two_versions(trackd, "disk")
    whole = trackd.json("du")
    assert whole["agrees"] and whole["disk"] == whole["physical"]
    assert "bytes on the disk" in trackd.text("du")
    project = trackd.json("du", "local/disk")
    assert [each["name"] for each in project["collections"]] == ["data"]
    assert "version data:v0" in trackd.text("du", "local/disk/data")
    said = trackd.json("du", "local/disk/data:v0", "--if-deleted")["bytes"]
    before = project["physical"]
    assert "--aliases" in trackd.refused(REFUSED, "artifact", "rm", "disk/data:v0")
    trackd.text("artifact", "rm", "disk/data:v0", "--aliases")
    assert said > 0
    for _ in range(200):  # what takes long is cleared in the background
        if before - trackd.json("du", "local/disk")["physical"] == said:
            break
    assert before - trackd.json("du", "local/disk")["physical"] == said
    said = trackd.json("du", "local/disk/data", "--if-deleted")["bytes"]
    trackd.text("artifact", "rm", "disk/data", "--collection")
    after = trackd.json("du", "local/disk")
    assert after["collections"] == []
    assert not {"file", "manifest", "chunk"} & {kind for kind, n in after["kinds"].items() if n}
    assert said > 20_000
    assert "in order" in trackd.text("fsck", "--verify")
    assert trackd.json("gc", "--dry-run")["bytes"] == 0


def test_what_is_damaged_is_named_and_repaired_by_what_is_put_again(trackd: Shell) -> None:
    trackd.write("rotten.txt", "rotten " * 5_000)
    blobs = trackd.folder / "data" / "server" / "blobs"
    before = set(blobs.glob("*/*"))
    trackd.text("artifact", "put", "rotten.txt", "-n", "rotten/data")
    for path in set(blobs.glob("*/*")) - before:
        data = path.read_bytes()
        if b"rotten" in data:
            path.write_bytes(data.replace(b"rotten", b"ROTTEN"))
    done = trackd("fsck", "--verify")
    assert done.returncode == REFUSED
    assert "local/rotten/data:v0/rotten.txt" in done.stdout and "log these" in done.stdout
    trackd.text("artifact", "put", "rotten.txt", "-n", "rotten/data")
    repaired = trackd.text("fsck")
    assert "repaired" in repaired and "in order" in repaired


def test_what_does_not_exist_and_what_is_wrong_have_their_statuses(trackd: Shell) -> None:
    trackd.write("odd.txt", "odd")
    trackd.text("artifact", "put", "odd.txt", "-n", "odd/data")
    assert "nothing" in trackd.refused(NO_SUCH_THING, "artifact", "put", "nothing", "-n", "odd/x")
    trackd.refused(NO_SUCH_THING, "artifact", "info", "odd/data:v9")
    trackd.refused(NO_SUCH_THING, "artifact", "ls", "local/odd/nothing")
    trackd.refused(NO_SUCH_THING, "du", "local/nothing")
    assert "ENTITY/PROJECT/COLLECTION" in trackd.refused(NO_SUCH_THING, "du", "odd/data")
    for place in ("local/odd/data:v9", "local/odd/nothing", "local/odd/runs/nothing"):
        assert f" {place}:" in trackd.refused(NO_SUCH_THING, "du", place, "--if-deleted")
    assert "Did you mean lineage" in trackd.refused(WRONG_USAGE, "artifact", "lineag")
    assert "--collection" in trackd.refused(REFUSED, "artifact", "rm", "odd/data")
    assert "--alias" in trackd.refused(REFUSED, "artifact", "put", "odd.txt", "-n", "odd/x:v0")
    assert "JSON" in trackd.refused(
        REFUSED, "artifact", "put", "odd.txt", "-n", "odd/x", "-m", "[1]"
    )
    trackd.refused(WRONG_USAGE, "artifact", "put", "odd.txt")
    trackd.refused(WRONG_USAGE, "du", "a/b/c/d/e")
    assert "127.0.0.1:9" in trackd.refused(NO_ANSWER, "fsck", "--base-url", "http://127.0.0.1:9")


@pytest.mark.parametrize("group", ["artifact", "registry"])
def test_every_verb_of_a_group_loads_and_shows_an_example(trackd: Shell, group: str) -> None:
    from importlib.metadata import entry_points

    verbs = entry_points(group=f"trackd.verbs.{group}")
    assert len(verbs) >= 5
    for entry in verbs:
        command = entry.load()
        is_group = isinstance(command, click.Group)  # whose verbs have them
        assert is_group or "Example: trackd" in (command.help or ""), entry.name
