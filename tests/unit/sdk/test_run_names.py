"""What the server calls a run, and where it is."""

from __future__ import annotations

import os
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


def test_name_and_address_that_come_with_the_last_answer_are_shown(
    agent: SmallAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.url, agent.last_url = "", "http://other/me/p/runs/r"
    agent.last_name = "quiet-river-7"
    run = trackd.init(project="p", id="r")
    run.finish()
    assert capsys.readouterr().err.count("view run quiet-river-7 at http://other/me/p/runs/r") == 1
    assert (run.name, run.url) == (agent.last_name, agent.last_url)


def test_the_end_of_a_run_that_just_began_waits_for_its_address(
    agent: SmallAgent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits: list[float] = []
    wait_name = Sender.wait_name

    def answered(sender: Sender, timeout_s: float) -> str:
        waits.append(timeout_s)
        agent.url, agent.name = "http://other/me/p/runs/r", "quiet-river-7"
        return wait_name(sender, 60)

    monkeypatch.setattr(Sender, "wait_name", answered)
    monkeypatch.setattr("trackd.writer._NAME_S", 600.0)  # it begins slowly on a slow machine
    agent.url = ""
    run = trackd.init(project="p", id="r")
    assert run.step == 0  # the agent holds what there is: somebody can be asked
    run.finish()
    assert run.url == agent.url
    assert capsys.readouterr().err.count("view run quiet-river-7 at http://other/me/p/runs/r") == 1
    assert 0 < waits[0] < 1
    trackd.init(project="p", id="s").finish()  # its address is known from the beginning
    agent.url = ""
    monkeypatch.setattr("trackd.writer._NAME_S", 0.0)
    trackd.init(project="p", id="t").finish()  # its server is away for long
    assert waits[1:] == [0.0] * len(waits[1:])


def test_a_forked_process_knows_what_its_parent_knew(agent: SmallAgent) -> None:
    agent.name = "quiet-river-7"
    with trackd.init(project="p", id="r") as run:
        assert run.name == "quiet-river-7"
        if not (child := os.fork()):
            os._exit(0 if (run.name, run.url) == ("quiet-river-7", agent.url) else 1)
        assert os.waitpid(child, 0)[1] == 0
