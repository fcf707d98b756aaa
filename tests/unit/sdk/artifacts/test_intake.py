"""Adding what takes long: it is shown, and Ctrl-C ends it without remains."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.sdk.artifacts.test_progress import lines_of

from trackd.artifacts import Artifact, contents
from trackd.artifacts.drafts import intake
from trackd.artifacts.drafts.staging import staging_root
from trackd.artifacts.hashing import copy_and_digest
from trackd.artifacts.online import progress
from trackd.artifacts.online.progress import Trouble
from trackd.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("place")

GIB = 1024**3


def copies() -> list[Path]:
    return [path for path in staging_root().rglob("*") if path.is_file()]


def test_adding_much_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = lines_of(monkeypatch)
    monkeypatch.setattr(intake, "_QUIET_S", 0.0)
    Path("data").mkdir()
    for name in ("a", "b"):
        Path("data", name).write_bytes(bytes(2 * 1024 * 1024))
    artifact = Artifact("a", "t")
    artifact.add_dir("data")
    assert lines[-2] == "adding data/ [####################] 2/2 files, 4.0/4.0 MiB"
    assert lines[-1] == ""
    artifact.add_file("data/a", "other", policy="immutable")
    assert lines[-2] == "adding a [####################] 1/1 files, 2.0/2.0 MiB"
    with artifact.new_file("new", "wb") as file:
        file.write(bytes(1024 * 1024))
    assert lines[-2] == "adding new [####################] 0/1 files, 1.0/1.0 MiB"


def test_settings_that_are_wrong_keep_nothing_from_being_added(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intake, "_QUIET_S", 0.0)
    monkeypatch.setenv("TRACKD_MODE", "bogus")
    Path("data").mkdir()
    Path("data", "a").write_text("a")
    artifact = Artifact("a", "t")
    artifact.add_dir("data")
    assert list(artifact.manifest.entries) == ["a"]


def test_what_is_quickly_added_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = lines_of(monkeypatch)
    Path("small").write_text("x")
    Artifact("a", "t").add_file("small")
    assert not lines


@pytest.mark.parametrize("policy", ["mutable", "immutable"])
@pytest.mark.parametrize("is_folder", [True, False])
def test_ctrl_c_leaves_a_draft_that_can_be_used(is_folder: bool, policy: str) -> None:
    Path("data").mkdir()
    for number in range(4):
        with Path("data", f"large{number}").open("wb") as file:
            file.truncate(64 * GIB)  # nobody reads that in the time of a test
    artifact = Artifact("a", "t")
    began = threading.Event()

    def interrupt() -> None:
        began.wait()
        while policy == "mutable" and not copies():
            time.sleep(0.01)
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        began.set()
        if is_folder:
            artifact.add_dir("data", policy=policy)
        artifact.add_file("data/large0", policy=policy)
    thread.join()
    assert not copies()
    assert not artifact.manifest.entries
    Path("small").write_text("x")
    artifact.add_file("small")
    assert list(artifact.manifest.entries) == ["small"]


def test_a_copy_that_was_just_made_when_all_is_stopped_goes_with_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def copied(source: Path, target: Path, algorithm: Any, take: Callable[[int], None]) -> Any:
        found = copy_and_digest(source, target, algorithm, take)
        take.__self__.stop()  # pyright: ignore[reportFunctionMemberAccess]
        return found

    monkeypatch.setattr(contents, "copy_and_digest", copied)
    Path("data").mkdir()
    for name in ("a", "b"):
        Path("data", name).write_text(name)
    artifact = Artifact("a", "t")
    with pytest.raises(intake.Stopped):
        artifact.add_dir("data")
    assert not copies()
    artifact.remove_staged()


def test_a_folder_that_is_refused_leaves_no_copies() -> None:
    Path("data").mkdir()
    Path("data", "x").write_text("one")
    artifact = Artifact("a", "t")
    artifact.add_dir("data")
    Path("data", "x").write_text("other")
    Path("data", "y").write_text("new")
    with pytest.raises(ValueError, match="x"):
        artifact.add_dir("data")
    assert len(copies()) == 1
    assert Path(artifact.manifest.entries["x"].local_path or "").read_text() == "one"


def test_why_nothing_moves_is_said_once_and_only_if_it_lasts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ""
    with Trouble(Settings(), "artifact 'a'") as trouble:
        monkeypatch.setattr(progress, "_TROUBLE_S", 120.0)
        trouble.note("HTTP 500")
        trouble.note("")
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(progress, "_TROUBLE_S", 0.05)
        deadline_s = time.monotonic() + 120
        while not told and time.monotonic() < deadline_s:
            trouble.note("HTTP 503")
            time.sleep(0.01)
            told = capsys.readouterr().err
        trouble.note("HTTP 504")
        time.sleep(0.1)
    told += capsys.readouterr().err
    assert told == "trackd: WARNING artifact 'a' waits: HTTP 503\n"
