"""Files that did not change since they were logged are neither read nor copied again."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.support.agent import running_agent

if TYPE_CHECKING:
    from pathlib import Path

#: Logs `data` (and a large file) once more and tells which files were taken from where they are.
SCRIPT = """
import json, os, sys, time
import trackd
mode, policy, wait = sys.argv[1:]
run = trackd.init(project="p", mode=mode)
artifact = trackd.Artifact("set", "dataset")
artifact.add_dir("data", policy=policy)
artifact.add_file("large", policy=policy)
origin = {
    path: "own" if os.path.realpath(entry.local_path).startswith(os.getcwd() + "/data")
    or os.path.realpath(entry.local_path) == os.path.realpath("large") else "copy"
    for path, entry in artifact.manifest.entries.items()
}
if wait == "delete":
    trackd.Api().artifact("p/set:latest").delete(delete_aliases=True)
run.log_artifact(artifact)
if wait != "no":
    artifact.wait()
run.finish()
version = artifact.version if wait != "no" else ""
print("SAID", json.dumps({"origin": origin, "digest": artifact.digest, "version": version}))
"""
CHECK = """
import trackd
artifact = trackd.Api().artifact("p/set:latest")
artifact.download(root="got")
artifact.verify(root="got")
"""
#: Adds `data` while an online run is open, changes what it is told to, and logs it offline.
ELSEWHERE = """
import json, os, sys
import trackd
run = trackd.init(project="p")
artifact = trackd.Artifact("set", "dataset")
artifact.add_dir("data")
in_place = [os.getcwd() in entry.local_path for entry in artifact.manifest.entries.values()]
run.finish()
if sys.argv[1] == "changed":
    open("data/sub/f0", "w").write("changed")
offline = trackd.init(project="p", mode="offline")
try:
    offline.log_artifact(artifact)
    error = ""
except ValueError as problem:
    error = str(problem)
sources = [entry.local_path for entry in artifact.manifest.entries.values()]
copied = [not path.startswith(os.getcwd() + "/data") for path in sources]
offline.finish()
print("SAID", json.dumps({"in_place": in_place, "copied": copied, "error": error}))
"""


def say(folder: Path, environment: dict[str, str], *words: str, source: str = SCRIPT) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", source, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("SAID ")]
    return json.loads(lines[0].removeprefix("SAID ")) if lines else None


def origins(found: Any) -> dict[str, str]:
    return found["origin"]


async def test_only_what_changed_is_read_again(tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "data" / "sub").mkdir(parents=True)
    for number in range(4):
        (work / "data" / "sub" / f"f{number}").write_text(f"file {number}")
    (work / "large").write_bytes(b"x" * 9_000_000)
    every = [*(work / "data" / "sub").iterdir(), work / "large"]
    _age(*every)
    async with running_agent(tmp_path) as agent:
        environment = agent.environment
        first = say(work, environment, "online", "mutable", "yes")
        assert set(origins(first).values()) == {"copy"}
        again = say(work, environment, "online", "mutable", "yes")
        assert set(origins(again).values()) == {"own"}
        assert (again["digest"], again["version"]) == (first["digest"], "v0")

        # The same length and time as before, other bytes: the time of the facts tells.
        (work / "data/sub/f1").write_text("FILE 1")
        _age(work / "data/sub/f1")
        changed = say(work, environment, "online", "mutable", "yes")
        assert [path for path, was in origins(changed).items() if was == "copy"] == ["sub/f1"]
        assert changed["digest"] != first["digest"]

        # An offline run keeps copies of its own, whatever a server has.
        assert set(origins(say(work, environment, "offline", "mutable", "no")).values()) == {"copy"}
        say(work, environment, source=CHECK)
        assert (work / "got/sub/f1").read_text() == "FILE 1"

        # What the server has lost meanwhile is sent again, from where it is.
        lost = say(work, environment, "online", "mutable", "delete")
        assert set(origins(lost).values()) == {"own"}
        say(work, environment, source=CHECK)

        # Nor does the agent mind where a script was when it named a file.
        assert set(origins(say(work, environment, "online", "immutable", "delete"))) == set(
            origins(first)
        )

        # A damaged note is none.
        for note in (agent.data / "artifacts" / "known").iterdir():
            note.write_bytes(b"\\xff damaged")
        damaged = say(work, environment, "online", "mutable", "yes")
        assert set(origins(damaged).values()) == {"copy"}
        assert damaged["digest"] == lost["digest"]


async def test_what_was_left_in_place_for_one_server_is_copied_for_another(tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "data" / "sub").mkdir(parents=True)
    for number in range(3):
        (work / "data" / "sub" / f"f{number}").write_text(f"file {number}")
    (work / "large").write_bytes(b"x")
    _age(*(work / "data" / "sub").iterdir())
    async with running_agent(tmp_path) as agent:
        say(work, agent.environment, "online", "mutable", "yes")
        found = say(work, agent.environment, "same", source=ELSEWHERE)
        assert found == {"in_place": [True] * 3, "copied": [True] * 3, "error": ""}
        found = say(work, agent.environment, "changed", source=ELSEWHERE)
        assert "f0' was changed since it was added" in found["error"]


def _age(*paths: Path) -> None:
    """Give files a time that is long over."""
    import os

    for path in paths:
        os.utime(path, (1_700_000_000, 1_700_000_000))
