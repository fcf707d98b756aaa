"""Settings: precedence, sources, and mistakes that say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trackd_agent.daemon.settings import ConfigError, load_config

if TYPE_CHECKING:
    from pathlib import Path


def test_command_line_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(
        'idle_timeout_s = 1\n[journal]\nsync = "always"\nsync_interval_s = 2\nmax_bytes = 8192\n'
    )
    environ = {"TRACKD_JOURNAL__SYNC_INTERVAL_S": "3", "TRACKD_JOURNAL__MAX_BYTES": "9000"}
    loaded = load_config(tmp_path, environ, {"journal.max_bytes": "10000"})
    journal = loaded.config.journal
    assert (journal.sync, journal.sync_interval_s, journal.max_bytes) == ("always", 3.0, 10000)
    assert loaded.config.idle_timeout_s == 1
    sources = {value.name: value.source for value in loaded.values()}
    assert sources["journal.sync"] == f"file:{tmp_path / 'agent.toml'}"
    assert sources["journal.sync_interval_s"] == "env:TRACKD_JOURNAL__SYNC_INTERVAL_S"
    assert sources["journal.max_bytes"] == "cli:journal.max_bytes"
    assert sources["journal.segment_max_bytes"] == "default"


def test_our_variable_beats_the_reference_s(tmp_path: Path) -> None:
    environ = {"WANDB_BASE_URL": "http://a", "TRACKD_BASE_URL": "http://b"}
    assert load_config(tmp_path, environ).config.base_url == "http://b"
    del environ["TRACKD_BASE_URL"]
    assert load_config(tmp_path, environ).config.base_url == "http://a"


def test_the_sdk_s_variables_are_none_of_ours(tmp_path: Path) -> None:
    load_config(tmp_path, {"TRACKD_MODE": "offline", "TRACKD_PROJECT": "p", "TRACKD_X__Y": "1"})


def test_secrets_are_masked_everywhere(tmp_path: Path) -> None:
    loaded = load_config(tmp_path, {"TRACKD_API_KEY": "topsecret" * 5})
    assert "topsecret" not in repr(loaded)
    assert "topsecret" not in repr(loaded.values())
    assert loaded.config.api_key.get_secret_value() == "topsecret" * 5


@pytest.mark.parametrize(("text", "expected"), [("0", 0.0), ("12.5", 12.5), ("never", None)])
def test_idle_timeout(tmp_path: Path, text: str, expected: float | None) -> None:
    loaded = load_config(tmp_path, {"TRACKD_IDLE_TIMEOUT": text})
    assert loaded.config.idle_timeout_s == expected


def test_lists_and_tables_are_written_as_json(tmp_path: Path) -> None:
    environ = {
        "TRACKD_RPC__ALLOWED_UIDS": "[1000, 1001]",
        "TRACKD_MONITOR__COLLECTORS": '{"disk": false}',
    }
    config = load_config(tmp_path, environ).config
    assert config.rpc.allowed_uids == (1000, 1001)
    assert config.monitor.collectors == {"disk": False}


@pytest.mark.parametrize(
    ("environ", "file", "said"),
    [
        ({"TRACKD_IDLE_TIMEOUT": "soon"}, "", ["idle_timeout_s='soon'", "env:TRACKD_IDLE"]),
        ({"TRACKD_IDLE_TIMEOUT": "-1"}, "", ["idle_timeout_s='-1'", "greater than or equal to 0"]),
        ({"TRACKD_JOURNAL__SINC": "1"}, "", ["journal.sinc", "no such setting"]),
        ({"TRACKD_BASE_URL": "ftp://x"}, "", ["base_url='ftp://x'"]),
        ({}, "[journal]\nsinc = 1", ["journal.sinc", "agent.toml", "no such setting"]),
        ({}, "jornal = 1", ["jornal", "no such setting"]),
        ({}, "[jornal]\nsync = 1", ["jornal", "agent.toml", "no such setting"]),
        ({}, "[journal", ["agent.toml", "TOML"]),
        ({}, "journal = 1", ["journal=1"]),
        ({"TRACKD_CONFIG": "/nonexistent/x.toml"}, "", ["TRACKD_CONFIG", "no such file"]),
    ],
)
def test_a_mistake_names_setting_value_and_source(
    tmp_path: Path, environ: dict[str, str], file: str, said: list[str]
) -> None:
    (tmp_path / "agent.toml").write_text(file)
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path, environ)
    for part in said:
        assert part in caught.value.message
