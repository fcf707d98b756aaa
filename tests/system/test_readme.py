"""The README is tested: its scripts run, its commands exist and do what it says."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from tests.support.source import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

README = (ROOT / "README.md").read_text(encoding="utf-8")
TRACKD = [str(Path(sys.executable).parent / "trackd")]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.M | re.S)


#: The scripts of the README, in order.
FIRST, TOGETHER, MEDIA, ARTIFACTS, ASKED, MEASURED, _ = blocks("python")


def commands() -> list[str]:
    """Return every `trackd …` that the README tells to type, without comments."""
    lines = [line.partition("  #")[0] for block in blocks("bash") for line in block.splitlines()]
    inline = re.findall(r"`(trackd [a-z]+[^`]*)`", README)
    return sorted({line.strip() for line in [*lines, *inline] if line.startswith("trackd ")})


@dataclass
class Place:
    """A data directory and a working folder of their own."""

    folder: Path

    def run(self, command: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
        keep = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}
        ended = subprocess.run(
            command,
            cwd=self.folder,
            env=keep | {"HOME": str(self.folder), "TRACKD_DIR": str(self.folder / "d")} | environ,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"
        return ended

    def trackd(self, *arguments: str) -> str:
        return self.run([*TRACKD, *arguments]).stdout

    def only_run(self) -> dict[str, Any]:
        """Return the one run of this node, once its server knows it."""
        runs: list[dict[str, Any]] = []
        for _ in range(200):
            runs = json.loads(self.trackd("ls", "--json"))
            if runs and runs[0]["entity"]:
                break
            time.sleep(0.5)
        (run,) = runs
        return run

    def rows(self, path: str, count: int) -> list[dict[str, Any]]:
        """Return the rows that the server has, after what is on its way has arrived."""
        document: dict[str, Any] = {}
        for _ in range(200):
            document = json.loads(self.trackd("export", "--json", path))
            if len(document["history"]) >= count:
                break
            time.sleep(0.5)
        return document["history"]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.trackd("down")


@pytest.mark.parametrize("command", commands())
def test_each_command_and_each_of_its_options_exist(command: str) -> None:
    _, verb, *words = shlex.split(command)
    verbs = {entry.name: entry for entry in entry_points(group="trackd.verbs")}
    loaded = verbs[verb].load()
    assert isinstance(loaded, click.Command)
    if isinstance(loaded, click.Group) and words:
        inner = loaded.get_command(click.Context(loaded), words.pop(0))
        assert inner is not None
        loaded = inner
    known = {name for parameter in loaded.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known | {"--help"}


def test_the_settings_of_system_metrics_are_taken(place: Place) -> None:
    place.run([sys.executable, "-c", MEASURED])
    path = f"local/first-steps/{place.only_run()['run_id']}"
    found: list[dict[str, Any]] = []
    for _ in range(200):
        found = json.loads(place.trackd("export", "--json", path))["system"]
        if any("system.disk./tmp.usagePercent" in row for row in found):
            return
        time.sleep(0.5)
    pytest.fail(f"no usage of /tmp in {found}")


def test_the_first_script_leaves_what_the_readme_promises(place: Place) -> None:
    place.run([sys.executable, "-c", FIRST])
    run = place.only_run()
    assert (run["entity"], run["project"]) == ("local", "first-steps")
    assert run["url"].startswith("http://127.0.0.1:")
    run_id = run["run_id"]
    assert len(place.rows(f"local/first-steps/{run_id}", 100)) == 100
    status = json.loads(place.trackd("status", "--json"))
    assert status["pid"] > 1
    assert "done after 100 steps" in place.trackd("tail", run_id)


def test_ranks_that_give_the_same_run_id_share_one_run(place: Place) -> None:
    for rank in range(2):
        place.run([sys.executable, "-c", TOGETHER], RANK=str(rank), WORLD_SIZE="2")
    assert len(place.rows("local/first-steps/all-ranks-together", 2)) == 2


def test_an_offline_run_is_exported_from_its_folder_and_synced(place: Place) -> None:
    place.run([sys.executable, "-c", FIRST], TRACKD_MODE="offline")
    (folder,) = (place.folder / "trackd").glob("offline-run-*")
    document = json.loads(place.trackd("export", "--json", str(folder)))
    assert len(document["history"]) == 100
    place.trackd("sync", str(folder))
    run_id = document["run"]["id"]
    assert len(place.rows(f"local/first-steps/{run_id}", 100)) == 100


def test_media_and_charts_arrive_as_files_and_rows(place: Place) -> None:
    place.run([sys.executable, "-c", MEDIA])
    path = f"local/first-steps/{place.only_run()['run_id']}"
    sample, predictions, _ = place.rows(path, 3)
    assert sample["sample"]["_type"] == "image-file"
    assert sample["weights"]["_type"] == "histogram"
    assert (predictions["predictions"]["nrows"], predictions["predictions"]["ncols"]) == (50, 2)
    document = json.loads(place.trackd("export", "--json", path))
    assert sample["sample"]["path"] in {file["name"] for file in document["files"]}
    assert "confusion" in document["config"]["_wandb"]["visualize"]


def test_artifacts_are_logged_used_and_changed(place: Place) -> None:
    printed = place.run([sys.executable, "-c", ARTIFACTS]).stdout.splitlines()
    assert printed[0].startswith("local/first-steps/numbers:clean numbers [[1], [2], [3]]")
    assert "v1" in printed
    assert (place.folder / "numbers" / "numbers.csv").read_text() == "1\n2\n3\n"


def test_what_was_recorded_is_read_through_the_api(place: Place) -> None:
    (place.folder / "weights").mkdir()
    (place.folder / "weights" / "layer").write_text("1 2 3")
    folder = str(place.folder / "weights")
    place.trackd("artifact", "put", folder, "-n", "first-steps/model", "-t", "model", "-a", "best")
    place.trackd("registry", "create", "models", "--type", "model")
    target = "wandb-registry-models/digits"
    place.trackd("artifact", "link", "first-steps/model:best", target, "-a", "production")
    printed = place.run([sys.executable, "-c", ASKED]).stdout
    assert "['model:v0']" in printed
    assert "local/wandb-registry-models/digits:v0" in printed


def test_ci_runs_the_test_command_of_the_readme() -> None:
    (command,) = re.findall(r"&& (\.venv/bin/python -m pytest)$", README, flags=re.M)
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith(f"exec {command}")


def test_each_task_and_each_folder_that_is_named_exists() -> None:
    tasks = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["poe"]["tasks"]
    named = re.findall(r"\.venv/bin/poe (\w+)", README)
    assert named
    assert set(named) <= tasks.keys()
    for folder in re.findall(r"[` ]((?:sdk|agent|server|proto|tests|systemd)/[\w./-]*)", README):
        assert (ROOT / folder).exists(), folder
