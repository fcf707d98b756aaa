"""login(): keys are kept in private, checked, and found again; nothing is asked without need."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

import trackd
from trackd.account import keys
from trackd.session import session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = "k" * 40


class _Server(BaseHTTPRequestHandler):
    """Knows one key."""

    def do_POST(self) -> None:
        import base64

        self.rfile.read(int(self.headers["Content-Length"]))
        given = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
        status = 200 if given == f"api:{KEY}" else 401
        body = json.dumps({"data": {"viewer": {"id": "1", "username": "me"}}}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def server(place: Path) -> Iterator[str]:
    """Address of a server that takes `KEY`."""
    del place
    with HTTPServer(("127.0.0.1", 0), _Server) as serving:
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_address[1]}"
        serving.shutdown()
        thread.join()


def test_without_a_server_nothing_is_needed(place: Path) -> None:
    assert trackd.login() is True
    assert not keys.store_path().exists()


def test_a_key_is_verified_kept_in_private_and_found_by_the_next_run(
    server: str, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert trackd.login(key=KEY, host=server) is True
    path = keys.store_path()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {server: KEY}
    assert f"base_url = {server}" in (place / "home/.config/trackd/settings").read_text()
    trackd.teardown()
    settings = session().store.for_run(None, {})
    assert (settings.base_url, settings.api_key) == (server, KEY)
    assert trackd.login() is True
    assert KEY not in "".join(capfd.readouterr())


def test_a_key_that_the_server_does_not_know_is_refused(server: str) -> None:
    with pytest.raises(trackd.AuthenticationError, match="refuses the API key"):
        trackd.login(key="x" * 40, host=server)
    assert not keys.store_path().exists()


@pytest.mark.parametrize(
    ("key", "words"), [("abc", "at least 40"), (" " + KEY, "letters"), ("ü" * 40 + "!", "letters")]
)
def test_what_cannot_be_a_key_is_refused_unseen(place: Path, key: str, words: str) -> None:
    with pytest.raises(trackd.AuthenticationError, match=words) as caught:
        trackd.login(key=key, host="http://127.0.0.1:9", verify=False)
    assert key not in str(caught.value)


def test_without_a_terminal_a_missing_key_is_an_error_or_false(place: Path) -> None:
    assert trackd.login(host="http://127.0.0.1:9", prompt=False) is False
    with pytest.raises(trackd.UsageError, match="set TRACKD_API_KEY"):
        trackd.login(host="http://127.0.0.1:9")


def test_keys_of_netrc_are_used_until_there_is_another(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "netrc").write_text(f"machine tracking.example login user password {KEY}\n")
    monkeypatch.setenv("NETRC", str(place / "netrc"))
    assert keys.find("https://tracking.example/") == (KEY, f"file: {place / 'netrc'}")
    keys.keep("https://tracking.example", "n" * 40)
    keys.keep("https://other.example", "o" * 40)
    assert keys.find("https://tracking.example")[0] == "n" * 40
    (place / "netrc").write_text("machine broken login")
    assert keys.find("https://third.example") == ("", "")


def test_with_an_open_run_it_changes_nothing(
    server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trackd.init(mode="disabled")
    assert trackd.login(key=KEY, host=server) is False
    assert "after init() has no effect" in capsys.readouterr().err
    run.finish()
    assert not keys.store_path().exists()


def on_a_terminal(source: str, typed: bytes, place: Path) -> str:
    """Run a script on a terminal where somebody types; return what the terminal showed."""
    master, slave = pty.openpty()
    (place / "main.py").write_text(source)
    process = subprocess.Popen(
        [sys.executable, place / "main.py"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=place,
        start_new_session=True,
    )
    os.close(slave)
    shown = b""
    while b"API key for" not in shown:
        shown += os.read(master, 1024)
    if typed:
        os.write(master, typed)
    try:
        while chunk := os.read(master, 1024):
            shown += chunk
    except OSError:  # the terminal of a process that is gone
        pass
    os.close(master)
    assert process.wait(30) == 0, shown
    return shown.decode()


def test_a_key_is_typed_unseen(server: str, place: Path) -> None:
    source = f"import trackd\nprint('logged in:', trackd.login(host={server!r}))\n"
    shown = on_a_terminal(source, f"{KEY}\n".encode(), place)
    assert "logged in: True" in shown
    assert KEY not in shown
    assert keys.find(server)[0] == KEY


def test_nobody_types(place: Path) -> None:
    source = (
        "import trackd\nprint('logged in:', trackd.login(host='http://127.0.0.1:9', timeout=0.2))\n"
        "print(trackd.init().disabled)\n"
    )
    shown = on_a_terminal(source, b"", place)
    assert "logged in: False" in shown
    assert "runs are disabled" in shown
    assert "True" in shown


def test_an_empty_line_means_offline(place: Path) -> None:
    source = "import trackd\nprint('logged in:', trackd.login(host='http://127.0.0.1:9'))\n"
    assert "runs stay offline" in on_a_terminal(source, b"\n", place)


@pytest.fixture
def trackd_command(place: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line."""

    def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "trackd", *arguments]
        return subprocess.run(
            command, input=text, capture_output=True, text=True, cwd=place, check=False, timeout=240
        )

    return run


def test_the_verb_reads_the_key_from_standard_input(
    server: str, trackd_command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    found = trackd_command("login", "--host", server, "--json", text=f"{KEY}\n")
    assert found.returncode == 0, found.stderr
    answer = json.loads(found.stdout)
    assert answer["configured"] is True
    assert answer["base_url"] == server
    assert keys.find(server)[0] == KEY
    assert trackd_command("login").returncode == 0  # known now
    found = trackd_command("login", "--host", server, text="wrong")
    assert found.returncode == 1
    assert "at least 40" in found.stderr


def test_doctor_shows_settings_with_their_sources(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    trackd_command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    monkeypatch.delenv("TRACKD_SERVICE")
    monkeypatch.setenv("WANDB_PROJECT", "p")
    monkeypatch.setenv("TRACKD_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("TRACKD_API_KEY", KEY)
    found = trackd_command("doctor", "--settings", "--json")
    answer = json.loads(found.stdout)
    assert found.returncode == 0, found.stdout
    assert answer["well"] is True
    rows = {row["name"]: row for row in answer["settings"]}
    assert rows["project"]["value"] == "'p'"
    assert rows["project"]["source"] == "environment: WANDB_PROJECT"
    assert rows["mode"]["source"] == "default"
    assert rows["api_key"]["value"] == "'********'"
    assert rows["x_sync"]["no_effect"]
    assert not rows["mode"]["no_effect"]
    text = trackd_command("doctor", "--settings").stdout
    assert "\n    Time between two samples of system metrics, in seconds.\n" in text
    assert "x_sync = False  (default)  [no effect: " in text
    assert KEY not in text + found.stdout


def test_doctor_says_what_is_to_be_done(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    trackd_command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    monkeypatch.setenv("TRACKD_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("TRACKD_PROJETC", "p")
    (place / "trackd").mkdir()
    (place / "trackd" / "settings").write_text("[default]\nmode = sideways\n")
    found = trackd_command("doctor")
    assert found.returncode == 1
    assert "→ run `trackd login`" in found.stdout
    assert "→ correct the file or remove it" in found.stdout
    assert "→ is TRACKD_PROJECT meant?" in found.stdout
    assert "→ start it, or unset TRACKD_SERVICE" in found.stdout
    monkeypatch.setenv("TRACKD_MODE", "sideways")
    found = trackd_command("doctor")
    assert found.returncode == 1
    assert "'sideways' is not accepted" in found.stderr
