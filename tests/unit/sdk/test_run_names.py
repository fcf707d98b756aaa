"""What the server calls a run, and where it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import trackd
from trackd.sending.sender import Sender

if TYPE_CHECKING:
    import pytest
    from tests.unit.sdk.small_agent import SmallAgent


def test_a_run_that_nobody_named_has_the_name_that_the_server_gives(agent: SmallAgent) -> None:
    agent.name = "quiet-river-7"
    with trackd.init(project="p", id="r") as run:
        assert run.name == "quiet-river-7"
        run.name = "mine"
        assert run.name == "mine"
    assert run.name == "mine"
    with trackd.init(project="p", id="s", name="given") as named:
        assert named.name == "given"


def test_a_server_that_does_not_answer_is_waited_for_once(
    agent: SmallAgent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits: list[float] = []
    agent.url = ""

    def wait_name(_: Sender, timeout_s: float) -> str:
        waits.append(timeout_s)
        return ""

    monkeypatch.setattr(Sender, "wait_name", wait_name)
    monkeypatch.setattr("trackd.writer._NAME_S", 0.001)
    with trackd.init(project="p", id="r") as run:
        assert run.name is None
        time.sleep(0.01)
        assert (run.name, run.url) == (None, None)
    assert run.name is None
    assert waits[0] > 0
    assert all(timeout_s <= 0 for timeout_s in waits[1:])
    assert capsys.readouterr().err.count("the server did not answer") == 1


def test_an_address_that_comes_with_the_last_answer_is_shown(
    agent: SmallAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.url, agent.last_url = "", "http://other/me/p/runs/r"
    trackd.init(project="p", id="r").finish()
    assert capsys.readouterr().err.count("http://other/me/p/runs/r") == 1
