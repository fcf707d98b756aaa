"""Folders of processes: those of dead ones go, those of living ones and what is kept stay."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from trackd_proto.process_folders import ProcessFolder, remove_abandoned

if TYPE_CHECKING:
    from pathlib import Path

#: Stages two files, keeps one, and says so; what it is told next ends it.
CHILD = """
import os, pathlib, sys
from trackd_proto.process_folders import ProcessFolder, keep
mine = ProcessFolder(pathlib.Path(sys.argv[1]))
for name in ("draft", "kept"):
    (mine.path / name).mkdir()
    (mine.path / name / "file").write_text(name)
keep(mine.path / "kept")
if sys.argv[2] == "forks" and os.fork():
    os._exit(0)
print("ready", flush=True)
sys.stdin.read()
os._exit(0)
"""


def names(root: Path) -> list[str]:
    return sorted(path.parent.name for path in root.rglob("file"))


def staging_child(root: Path, how: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", CHILD, str(root), how]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    return child


def test_what_a_killed_process_staged_goes_and_what_a_record_names_stays(tmp_path: Path) -> None:
    with staging_child(tmp_path, "alone") as child:
        remove_abandoned(tmp_path)
        assert names(tmp_path) == ["draft", "kept"]
        child.kill()
        child.wait()
    remove_abandoned(tmp_path)
    assert names(tmp_path) == ["kept"]


def test_a_forked_child_holds_the_folder_of_its_parent(tmp_path: Path) -> None:
    with staging_child(tmp_path, "forks") as child:
        child.wait()
        remove_abandoned(tmp_path)
        assert names(tmp_path) == ["draft", "kept"]
        assert child.stdin is not None
        child.stdin.close()
        assert child.stdout is not None
        child.stdout.read()  # it ends
    deadline_s = time.monotonic() + 120
    while names(tmp_path) != ["kept"] and time.monotonic() < deadline_s:
        remove_abandoned(tmp_path)
    assert names(tmp_path) == ["kept"]


def test_an_empty_folder_goes_with_whoever_made_it_and_others_are_left_alone(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine").mkdir()
    folder = ProcessFolder(tmp_path)
    assert folder.path.is_dir()
    del folder
    gc.collect()
    remove_abandoned(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
