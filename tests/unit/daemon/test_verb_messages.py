"""What a person reads after a typical mistake, and in the text form of `trackd export`."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import trackd
from trackd_agent.daemon.verbs.export import export
from trackd_agent.daemon.verbs.lifecycle import up
from trackd_agent.daemon.verbs.sync import sync

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def offline_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Record a small offline run below ./trackd; return its id."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACKD_DIR", str(tmp_path / "data"))
    trackd.teardown()  # the settings are read once a session
    with trackd.init(mode="offline", project="words", settings={"console": "off"}) as run:
        for step in range(12):
            run.log({"loss": 1 / (step + 3), "note": "fine"})
    return run.id


def test_up_says_which_directory_it_cannot_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TRACKD_DIR", str(tmp_path / "file" / "data"))
    ended = CliRunner().invoke(up, [])
    assert ended.exit_code == 1
    assert f"cannot use the data directory {tmp_path}/file/data" in ended.output
    assert "set TRACKD_DIR" in ended.output


def test_up_shows_only_what_this_attempt_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKD_DIR", str(tmp_path))
    monkeypatch.setenv("TRACKD_IDLE_TIMEOUT", "soon")
    log = tmp_path / "agent" / "agent.log"
    log.parent.mkdir()
    log.write_text("of an earlier agent\n")
    ended = CliRunner().invoke(up, [])
    assert ended.exit_code == 1
    assert "env:TRACKD_IDLE_TIMEOUT" in ended.output
    assert "earlier" not in ended.output


def test_export_takes_the_id_of_a_run_below_the_folder(offline_run: str) -> None:
    ended = CliRunner().invoke(export, ["--json", offline_run])
    assert ended.exit_code == 0, ended.output
    assert json.loads(ended.output)["run"]["id"] == offline_run


def test_export_for_people_is_a_table_that_says_what_it_leaves_out(offline_run: str) -> None:
    shown = CliRunner().invoke(export, [offline_run]).output
    assert "history  12 rows, the last 10:" in shown
    assert "console  0 lines" in shown
    heading, first = shown[shown.index("history") :].splitlines()[1:3]
    assert heading.split() == ["_step", "loss", "note"]
    assert first.split() == ["2", "0.2", "fine"]


def test_what_nobody_knows_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exported = CliRunner().invoke(export, ["nosuch"])
    assert exported.exit_code == 3
    assert "'nosuch' is no run folder" in exported.output
    synced = CliRunner().invoke(sync, ["nosuch"])
    assert synced.exit_code == 3
    assert "no offline run in nosuch" in synced.output


def test_a_server_that_is_away_is_no_lost_run(offline_run: str, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "trackd")
    ended = CliRunner().invoke(
        export, ["--base-url", "http://127.0.0.1:1", f"local/words/{offline_run}"]
    )
    assert ended.exit_code == 1
    assert "http://127.0.0.1:1 does not answer" in ended.output
