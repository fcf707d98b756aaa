"""The table of settings: complete, described, and honest about what has an effect."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.source import ROOT

from trackd import Settings
from trackd.settings import FIELDS, RunMoment
from trackd.settings.sources import Loaded, load, variables_in

if TYPE_CHECKING:
    from pathlib import Path

#: Names that the agent puts together of the kind of request and the kind of limit.
_COMPOSED = re.compile(
    r"x_(file_stream|file_transfer|graphql)_(timeout|retry_wait_(min|max))_seconds"
)
#: Where a name of a setting stands when it is read: after what holds settings, or in quotes.
_READ = re.compile(
    r"""(?:(?<=\))|(?<=settings)|(?<=session)|(?<=own)|(?<=holder))\.(\w+)|"(\w+)(?=")"""
)
_OURS = ("log_max_block", "spool_max_bytes", "spool_segment_bytes", "x_stats_host_details")


def sources() -> str:
    """Return the code of SDK and agent, without the table of settings itself."""
    folders = (ROOT / "sdk" / "trackd", ROOT / "agent" / "trackd_agent")
    paths = [path for folder in folders for path in folder.rglob("*.py")]
    return "\n".join(path.read_text() for path in paths if not path.name.endswith("_fields.py"))


def test_a_field_without_a_mark_is_read_somewhere_and_one_with_it_nowhere() -> None:
    read = {name for match in _READ.finditer(sources()) for name in match.groups()}
    wrong: list[str] = []
    for name, field in FIELDS.items():
        if _COMPOSED.fullmatch(name) or field.deprecated or name == "x_skip_transaction_log":
            continue
        if (name in read) == bool(field.inert):
            wrong.append(name)
    assert wrong == []


def test_each_field_of_the_reference_is_here() -> None:
    script = "import wandb; print('\\n'.join(wandb.Settings.model_fields))"
    command = [sys.executable, "-c", script]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert sorted(FIELDS) == sorted([*listed, *_OURS])


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_is_described_and_its_default_passes_its_rule(name: str) -> None:
    field = FIELDS[name]
    assert str(field.__doc__).endswith(".")
    default = getattr(Settings(), name)
    if default is None:
        assert field.is_optional
    else:
        assert getattr(Settings(**{name: default}), name) == default


def test_secrets_are_never_shown() -> None:
    names = ("api_key", "x_extra_http_headers", "http_proxy", "https_proxy", "x_proxies")
    settings = Settings(
        api_key="geheim",
        x_extra_http_headers={"a": "geheim"},
        http_proxy="http://u:geheim@p",
        https_proxy="http://u:geheim@p",
        x_proxies={"http": "geheim"},
    )
    assert all(FIELDS[name].is_secret for name in names)
    assert "geheim" not in repr(settings)


def test_a_refused_assignment_changes_nothing() -> None:
    settings = Settings(resume="allow", run_id="a")
    with pytest.raises(ValueError, match="exclude each other"):
        settings.fork_from = "b?_step=1"  # type: ignore[assignment]
    with pytest.raises(ValueError, match="exclude each other"):
        settings.update({"quiet": True, "resume_from": "a?_step=1"})
    assert settings.given() == {"resume": "allow", "run_id": "a"}


def test_moments_are_values() -> None:
    moment = RunMoment.parse("abc?_step=12")
    assert (moment.run, moment.value, moment.metric) == ("abc", 12, "_step")
    assert moment == RunMoment("abc", 12)
    assert len({moment, RunMoment("abc", 12)}) == 1
    assert repr(moment) == "RunMoment(run='abc', value=12, metric='_step')"
    with pytest.raises(ValueError, match="_step"):
        RunMoment("abc", 1, "loss")
    with pytest.raises(TypeError, match="number"):
        RunMoment("abc", "1")  # type: ignore[arg-type]


def test_copies_are_independent() -> None:
    settings = Settings(run_tags=["a"])
    settings.run_dir = "/runs/1"
    for twin in (settings.copy(), copy.copy(settings), copy.deepcopy(settings)):
        assert twin == settings
        assert twin.sync_dir == "/runs/1"
        twin.run_tags = ("b",)
    assert settings.run_tags == ("a",)


def test_a_hidden_folder_is_used_where_it_exists(place: Path) -> None:
    assert Settings().wandb_dir == str(place / "trackd")
    (place / ".trackd").mkdir()
    assert Settings().wandb_dir == str(place / ".trackd")
    assert Settings(use_dot_wandb=False).wandb_dir == str(place / "trackd")


def test_each_value_remembers_its_source(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRACKD_X_SAVE_REQUIREMENTS", raising=False)
    (place / "trackd").mkdir()
    (place / "trackd" / "settings").write_text("[default]\nentity = team\nproject = p\n")
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    monkeypatch.setenv("TRACKD_PROJECT", "ours")
    monkeypatch.setenv("WANDB__LABEL", "l")
    loaded = load({"run_group": "g"})
    assert loaded.sources == {
        "entity": "file: trackd/settings",
        "project": "environment: TRACKD_PROJECT",
        "x_label": "environment: WANDB__LABEL",
        "run_group": "setup()",
    }
    assert loaded.settings.project == "ours"


def test_files_of_wandb_are_read_and_ours_win(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    home = place / "home" / ".config"
    for product in ("wandb", "trackd"):
        (home / product).mkdir(parents=True)
        (home / product / "settings").write_text(f"[default]\nproject = user-{product}\n")
    assert load().settings.project == "user-trackd"
    (place / "wandb").mkdir()
    (place / "wandb" / "settings").write_text("[default]\nproject = folder-wandb\nentity = e\n")
    assert load().settings.project == "folder-wandb"
    (place / "trackd").mkdir()
    (place / "trackd" / "settings").write_text("[default]\nproject = folder-trackd\n")
    loaded = load()
    assert (loaded.settings.project, loaded.settings.entity) == ("folder-trackd", "e")
    assert len(loaded.files) == 4


def test_setup_may_name_the_users_file(place: Path) -> None:
    (place / "mine").write_text("[default]\nrun_group = g\nignore_globs = a,b\n")
    loaded = load({"settings_system": str(place / "mine")})
    assert loaded.settings.run_group == "g"
    assert loaded.settings.ignore_globs == ("a", "b")


def test_a_file_cannot_say_where_files_are(place: Path) -> None:
    (place / "trackd").mkdir()
    (place / "trackd" / "settings").write_text("[default]\nroot_dir = /x\nquiet = true\n")
    loaded = load()
    assert loaded.settings.root_dir == str(place)
    assert loaded.settings.quiet is True
    assert "'root_dir' cannot be set in a settings file" in loaded.problems[0]


@pytest.mark.parametrize(
    "content", ["no section", "[default]\nproject", "[other]\nproject = a\n", "\xff\xfe"]
)
def test_odd_files_do_no_harm(place: Path, content: str) -> None:
    (place / "trackd").mkdir()
    (place / "trackd" / "settings").write_bytes(content.encode("latin-1"))
    loaded = load()
    assert loaded.settings.project is None
    assert loaded.files == []


def test_only_variables_that_set_something_count_as_changed() -> None:
    loaded = Loaded()
    loaded.environ = variables_in({"WANDB_PROJECT": "a", "WANDB_NONSENSE": "1"})
    assert loaded.changed_variables({"WANDB_PROJECT": "a", "TRACKD_SERVICE": "x"}) == []
    assert loaded.changed_variables({"WANDB_MODE": "offline"}) == ["WANDB_MODE", "WANDB_PROJECT"]


def test_runs_stay_in_the_folder_where_the_session_began(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import trackd

    trackd.setup()
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    run = trackd.init(mode="disabled")
    assert run.settings.root_dir == str(place)
    trackd.teardown()
