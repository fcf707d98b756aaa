"""Settings: where values come from, which wins, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import trackd
from trackd import settings as settings_module
from trackd.errors import UsageError
from trackd.settings import Settings, from_environment, load

if TYPE_CHECKING:
    from pathlib import Path


def test_the_order_of_precedence(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = place / "home" / ".config" / "trackd" / "settings"
    user.parent.mkdir(parents=True)
    user.write_text("[default]\nproject = user\nentity = user\nrun_group = user\nquiet = true\n")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    workspace = place / "trackd" / "settings"
    workspace.parent.mkdir()
    workspace.write_text("[default]\nproject = workspace\nentity = workspace\n")
    monkeypatch.setenv("WANDB_PROJECT", "environment")
    loaded = load({"run_id": "setup"})
    assert loaded.settings.project == "environment"
    assert loaded.settings.entity == "workspace"
    assert loaded.settings.run_group == "user"
    assert loaded.settings.quiet is True
    assert loaded.settings.run_id == "setup"
    assert loaded.settings.mode == "online"
    assert [path.absolute() for path in loaded.files] == [user, workspace]


def test_a_bad_settings_file_is_reported_and_ignored(place: Path) -> None:
    workspace = place / "trackd" / "settings"
    workspace.parent.mkdir()
    workspace.write_text("[default]\nproject = fine\nmode = sideways\n")
    loaded = load()
    assert loaded.settings.project is None
    assert "failed to load settings" in loaded.problems[0]
    assert "'sideways'" in loaded.problems[0]


def test_our_environment_wins_over_the_alias() -> None:
    found = from_environment(
        {
            "WANDB_PROJECT": "theirs",
            "TRACKD_PROJECT": "ours",
            "WANDB__LABEL": "a",
            "WANDB_NAME": "n",
            "TRACKD_TAGS": "x,y",
            "WANDB_DIR": "/runs",
            "WANDB_MODE": "",
        }
    )
    assert found == {
        "project": "ours",
        "x_label": "a",
        "run_name": "n",
        "run_tags": ["x", "y"],
        "root_dir": "/runs",
    }


@pytest.mark.parametrize(
    ("name", "value", "error", "words"),
    [
        ("project", "a/b", UsageError, "'/'"),
        ("project", "p" * 129, UsageError, "at most 128"),
        (
            "entity",
            "e" * 500,
            UsageError,
            "'eeeeeeeeeeeeeeeeeeee'… has 500 characters: use at most",
        ),
        ("x_label", "l" * 129, UsageError, "at most 128"),
        (
            "run_id",
            "i" * 500,
            UsageError,
            "'iiiiiiiiiiiiiiiiiiii'… has 500 characters: use at most",
        ),
        ("run_id", "ü" * 101, UsageError, "202 bytes: use at most 200"),
        ("run_id", "a/b", UsageError, "'/'"),
        ("run_id", " a", UsageError, "blank"),
        ("run_id", "", UsageError, "empty"),
        ("run_tags", ["ok", "t" * 65], ValueError, "1 to 64"),
        ("mode", "sideways", ValueError, "online, offline, shared, disabled"),
        ("base_url", "ftp://x", ValueError, "http://"),
        ("quiet", "maybe", ValueError, "true or false"),
        ("init_timeout", "soon", ValueError, "number"),
        ("init_timeout", -1, ValueError, "at least 0"),
        ("x_stats_pid", 2**64, ValueError, "at most 64 bits"),
        ("x_stats_gpu_device_ids", [0, 2**64], ValueError, "at most 64 bits"),
        ("x_stats_sampling_interval", 0.01, UsageError, "0.1"),
        ("spool_max_bytes", 5, ValueError, "at least"),
        ("api_key", " secret", UsageError, "blank"),
        ("modee", "online", ValueError, "did you mean 'mode'"),
    ],
)
def test_refusals_name_field_and_remedy(
    name: str, value: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        Settings(**{name: value})
    assert repr(name) in str(caught.value)
    assert "secret" not in str(caught.value)


def test_accepted_forms() -> None:
    settings = Settings(mode="dryrun", run_tags="one", _label="rank1", x_primary_node=False)
    assert (settings.mode, settings.run_tags, settings.x_label) == ("offline", ("one",), "rank1")
    assert settings.x_primary is False
    settings.base_url = "http://host:8080/"
    assert settings.base_url == "http://host:8080"
    settings.update({"base_url": None, "reinit": True})
    assert settings.base_url == "http://host:8080"
    assert settings.reinit is True
    with pytest.raises(ValueError, match="online"):
        settings.mode = "no"


def test_copies_keep_what_was_given() -> None:
    settings = Settings(mode="online", quiet=True)
    assert settings.given() == {"mode": "online", "quiet": True}
    other = Settings(mode="offline")
    other.update(settings)
    assert other.mode == "online"
    assert settings.copy().given() == settings.given()


def test_init_refuses_before_anything_is_made(place: Path) -> None:
    with pytest.raises(trackd.UsageError, match="'run_id'"):
        trackd.init(project="p", id="a/b", mode="offline")
    with pytest.raises(ValueError, match="'run_tags'"):
        trackd.init(project="p", tags=[""], mode="offline")
    with pytest.raises(ValueError, match="'nope'"):
        trackd.init(settings={"nope": 1})
    assert not (place / "trackd").exists()


def test_every_field_has_a_rule_and_a_default_that_passes_it() -> None:
    for name, value in Settings().as_dict().items():
        if value is not None:
            assert settings_module.Settings(**{name: value}).as_dict()[name] == value
