"""Where a configuration comes from, and what its files may look like."""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import trackd
from trackd.configuration import first_config, parse_config
from trackd.configuration.sources import from_yaml_file
from trackd.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


class _Flags:
    """As `absl.flags.FLAGS`."""

    def flag_values_dict(self) -> dict[str, Any]:
        return {"lr": 0.1, "verbose": False}


class _FlagsModule:
    """As the module `absl.flags`."""

    FLAGS = _Flags()


class _Slotted:
    __slots__ = ("a",)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"a": 1}, {"a": 1}),
        (argparse.Namespace(a=1), {"a": 1}),
        (_Flags(), {"lr": 0.1, "verbose": False}),
        (_FlagsModule, {"lr": 0.1, "verbose": False}),
        (trackd.config, {}),
    ],
)
def test_many_things_hold_a_configuration(source: Any, expected: dict[str, Any]) -> None:
    assert parse_config(source) == expected


@pytest.mark.parametrize("source", [5, [1], None, _Slotted()])
def test_others_are_refused_with_what_to_use(source: Any) -> None:
    with pytest.raises(TypeError, match="use a dictionary, an argparse namespace"):
        parse_config(source)


def test_names_can_be_kept_or_left_out() -> None:
    values = {"a": 1, "b": 2}
    assert parse_config(values, include=["a"]) == {"a": 1}
    assert parse_config(values, exclude=["a"]) == {"b": 2}
    with pytest.raises(trackd.UsageError, match="not both"):
        parse_config(values, include=["a"], exclude=["b"])


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ("x: 2\n", TypeError, r"`x: \{value: 2\}`"),
        ("x: {desc: d}\n", KeyError, "has no 'value'"),
        ("- 1\n", TypeError, "holds no keys"),
        ("wandb_version: 2\nx: {value: 1}\n", ConfigError, "wandb_version 2"),
        ("x: [1,\n", ConfigError, "no valid YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name(
    place: Path, content: str, error: type[Exception], words: str
) -> None:
    (place / "c.yaml").write_text(content)
    with pytest.raises(error, match=words) as caught:
        from_yaml_file("c.yaml")
    assert "c.yaml" in str(caught.value)


def test_a_missing_file_is_named(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"'no.yaml' does not exist"):
        from_yaml_file(str(place / "no.yaml").rpartition("/")[2])


def test_a_file_without_values_is_no_config(place: Path) -> None:
    (place / "c.yaml").write_text("# nothing yet\n")
    with pytest.raises(TypeError, match=r"config file 'c.yaml' is empty: write"):
        parse_config("c.yaml")


def test_yaml_is_needed_only_for_files_and_says_so(place: Path) -> None:
    (place / "c.yaml").write_text("a: {value: 1}\n")
    source = (
        "import sys; sys.modules['yaml'] = None\n"
        "from trackd.configuration import parse_config\n"
        "print(parse_config({'a': 1}))\n"
        "parse_config('c.yaml')\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False, cwd=place
    )
    assert found.stdout == "{'a': 1}\n"
    assert "pip install pyyaml" in found.stderr


def test_the_first_source_of_a_key_wins_and_locked_ones_win_over_all(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "config-defaults.yaml").write_text("lr: {value: 1}\nonly: {value: default}\n")
    (place / "a.yaml").write_text("lr: {value: 2}\nnet: {value: {depth: 2}}\n")
    (place / "sweep.yaml").write_text("net: {value: {width: 3}}\n")
    monkeypatch.setenv("WANDB_CONFIG", '{"seed": 7}')
    session = trackd.Settings(
        config_paths=["a.yaml", "missing.yaml"], sweep_param_path="sweep.yaml", launch=True
    )
    warnings: list[str] = []
    first = first_config({"lr": 9, "given": 1}, session, warnings.append)
    assert first.values == {
        "lr": 2,
        "only": "default",
        "_wandb": {},
        "given": 1,
        "net": {"depth": 2, "width": 3},
        "seed": 7,
    }
    assert first.locks == {"net": "sweep", "seed": "launch"}
    assert warnings == []


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"WANDB_CONFIG_0": '{"a":', "WANDB_CONFIG_1": " 1}"}, {"a": 1}),
        ({"WANDB_CONFIG": "no JSON"}, {}),
        ({}, {"b": 2}),
    ],
)
def test_a_launcher_hands_parameters_over(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    expected: dict[str, Any],
) -> None:
    (place / "launch.json").write_text('{"overrides": {"run_config": {"b": 2}}}')
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    path = None if environment else "launch.json"
    session = trackd.Settings(launch=True, launch_config_path=path)
    warnings: list[str] = []
    first = first_config({}, session, warnings.append)
    assert {k: v for k, v in first.values.items() if k != "_wandb"} == expected
    assert bool(warnings) == ("WANDB_CONFIG" in environment)


def test_an_empty_defaults_file_is_mentioned(place: Path) -> None:
    (place / "config-defaults.yaml").write_text("")
    warnings: list[str] = []
    first_config({}, trackd.Settings(), warnings.append)
    assert warnings == ["config-defaults.yaml is empty: there are no defaults"]
