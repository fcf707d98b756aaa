"""The verbs up, down, status and ls, as people and scripts call them."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.support.agent import agent_environment
from tests.system.test_sdk_processes import finished, train

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

NOTHING_RUNS = 3
LONG = "a-project-with-a-name-that-alone-is-nearly-as-wide-as-a-screen-of-eighty-columns"
TRAIN = f"""
import trackd
with trackd.init(project={LONG!r}, id="r1", settings={{"x_label": "rank0"}}) as run:
    run.log({{"a": 1}})
    print(run.url)
"""


class Shell:
    """Calls the command line in one environment."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "trackd", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def json(self, *words: str) -> Any:
        done = self(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@contextmanager
def shell(folder: Path) -> Generator[Shell]:
    call = Shell(agent_environment(folder / "data", TRACKD_IDLE_TIMEOUT="60"))
    try:
        yield call
    finally:
        call("down", "--now")


def test_without_an_agent_every_verb_says_so(tmp_path: Path) -> None:
    with shell(tmp_path) as trackd:
        for verb in ("status", "ls"):
            done = trackd(verb)
            assert done.returncode == NOTHING_RUNS
            assert "trackd up" in done.stderr
        assert json.loads(trackd("status", "--json").stdout)["running"] is False
        assert trackd.json("down") == {"stopped": False, "running": False}


def test_from_up_to_down(tmp_path: Path) -> None:
    with shell(tmp_path) as trackd:
        first = trackd.json("up")
        assert first["started"] is True
        again = trackd.json("up")
        assert (again["started"], again["pid"]) == (False, first["pid"])
        assert again["server"].startswith("http://127.0.0.1:")

        url = finished(train(tmp_path, TRAIN, trackd.environment)).strip()
        assert url == f"{again['server']}/local/{LONG}/runs/r1"
        status = trackd.json("status")
        assert (status["pid"], status["sockets"]) == (first["pid"], first["sockets"])
        [run] = status["runs"]
        assert run["writers"][0]["label"] == "rank0"
        [listed] = trackd.json("ls")
        assert (listed["project"], listed["run_id"], listed["url"]) == (LONG, "r1", url)
        assert trackd.json("ls", "--project", "another") == []

        for words in (("ls",), ("status",)):  # a pipe gets every column, whole
            shown = trackd(*words).stdout
            assert LONG in shown
            assert "r1" in shown
            assert "STATE" in shown
        assert url in trackd("ls").stdout

        assert trackd.json("down") == {"stopped": True, "pid": first["pid"]}
        assert trackd("status").returncode == NOTHING_RUNS
