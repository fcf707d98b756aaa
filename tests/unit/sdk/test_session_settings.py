"""What `init` makes of settings: who wins, what is said, and what reaches the agent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

import trackd
from trackd.context import agent_settings
from trackd.session_settings import SessionSettings

if TYPE_CHECKING:
    from pathlib import Path


def init(**arguments: Any) -> trackd.Run:
    return trackd.init(mode="disabled", **arguments)


def test_an_object_of_the_script_is_changed_in_place(place: Path) -> None:
    own = trackd.Settings(run_group="g", quiet=True)
    run = init(settings=own, project="p", name="n")
    assert (own.project, own.run_name) == ("p", "n")
    assert (run.project, run.name, run.group) == ("p", "n", "g")
    run.settings.project = "other"
    assert run.settings.project == "p"


def test_setup_lies_under_init(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKD_PROJECT", "environment")
    trackd.setup({"project": "setup", "run_group": "setup"})
    run = init(settings={"run_group": None, "run_job_type": "init"})
    assert (run.project, run.group, run.job_type) == ("setup", "setup", "init")
    assert init(project="argument", settings={"project": "init"}).project == "argument"


def test_a_changed_environment_is_mentioned_and_ignored(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    init()
    monkeypatch.setenv("WANDB_PROJECT", "late")
    monkeypatch.setenv("WANDB_SERVICE", "somewhere")
    assert init().project != "late"
    said = capsys.readouterr().err
    assert "changed environment variables are ignored (WANDB_PROJECT)" in said
    trackd.teardown()
    assert init().project == "late"


def test_deprecated_uses_are_mentioned_once(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = SessionSettings()
    for _ in range(2):
        settings = session.for_run({"x_proxies": {"http": "http://p"}}, {"reinit": True})
        session.first_config({"a": 1}, settings, ["a"], None)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["trackd"] * 3
    assert "setting 'x_proxies' is deprecated: use http_proxy and https_proxy" in lines[0]
    assert "reinit=True is deprecated: use reinit='finish_previous'" in lines[1]
    assert "config_exclude_keys is deprecated" in lines[2]


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("WANDB_SWEEP_ID", "s1", "running a sweep"),
        ("WANDB_LAUNCH", "true", "started by a launcher"),
    ],
)
def test_a_sweep_decides_where_its_runs_go(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    words: str,
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    run = init(project="mine", id="mine", name="kept")
    assert (run.project, run.name) == ("theirs", "kept")
    assert run.id != "mine"
    said = capsys.readouterr().err
    assert f"project='mine' is ignored when {words}" in said


def test_locked_values_cannot_be_changed(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "s.yaml").write_text("lr: {value: 0.5}\n")
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", "s.yaml")
    run = init(config={"lr": 1, "other": 2})
    run.config.update({"lr": 9, "other": 2})
    run.config["lr"] = 3
    assert run.config.as_dict() == {"lr": 0.5, "other": 2}
    assert capsys.readouterr().err.count("'lr' was locked by 'sweep'") == 2


def test_what_the_agent_acts_on_travels_and_secrets_only_in_private(place: Path) -> None:
    settings = trackd.Settings(
        mode="online",
        quiet=True,
        ignore_globs=["*.ckpt"],
        x_extra_http_headers={"a": "geheim"},
        x_stats_sampling_interval=2,
        x_label="l",
    )
    expected: dict[str, Any] = {"ignore_globs": ("*.ckpt",), "x_stats_sampling_interval": 2.0}
    expected["console"] = agent_settings(settings)["console"]
    assert agent_settings(settings) == {**expected, "x_extra_http_headers": {"a": "geheim"}}
    settings.mode = "offline"
    assert agent_settings(settings) == expected


def test_finished_settings_name_the_folder_of_the_run(place: Path) -> None:
    run = trackd.init(mode="offline", project="p", id="r", settings={"init_timeout": 0.1})
    settings = run.settings
    assert settings.sync_dir == run.sync_dir
    assert settings.files_dir == run.dir
    assert settings.run_id == "r"
    assert abs((settings.x_start_time or 0) - time.time()) < 60
    run.finish()


def test_a_server_without_a_key_is_mentioned(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = SessionSettings()
    settings = session.for_run({"base_url": "http://127.0.0.1:9"}, {})
    assert settings.api_key is None
    assert "there is no API key for http://127.0.0.1:9" in capsys.readouterr().err
    session.for_run({"base_url": "http://127.0.0.1:9"}, {"mode": "offline"})
    assert capsys.readouterr().err == ""
