"""Attach, stream, reconnect: against the real protocol and the real journal."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import grpc
import pytest
from tests.unit.sdk.small_agent import SmallAgent, kinds, read_records

import trackd
from trackd_proto import layout
from trackd_proto.records import Exit, Row, Start

if TYPE_CHECKING:
    from pathlib import Path

Script = Callable[..., subprocess.CompletedProcess[str]]
Starter = Callable[[], subprocess.Popen[bytes]]


def journalled_rows(place: Path) -> list[int]:
    [folder] = sorted((place / "journal").iterdir())
    return [record.data["i"] for record in read_records(folder) if isinstance(record, Row)]


def test_every_row_arrives_once_and_in_order(agent: SmallAgent, place: Path) -> None:
    run = trackd.init(project="p", id="r", config={"lr": 0.1})
    for i in range(20_000):
        run.log({"i": i})
    run.finish()
    assert journalled_rows(place) == list(range(20_000))
    records = agent.records()
    assert isinstance(records[0], Start)
    assert records[0].config == {"lr": 0.1}
    assert isinstance(records[-1], Exit)
    assert agent.detached == [agent.requests[0].producer]
    assert not list(layout.spool_root(place / "data").iterdir())


def test_rows_survive_kills_of_the_agent(place: Path, agent_process: Starter) -> None:
    process = agent_process()
    run = trackd.init(project="p", id="r")
    total = 0
    for _ in range(6):
        until = time.monotonic() + 0.15
        while time.monotonic() < until:
            run.log({"i": total})
            total += 1
            if total % 500 == 0:
                time.sleep(0.001)
        process.kill()
        process.wait()
        run.log({"i": total})
        total += 1
        process = agent_process()
    run.finish()
    assert journalled_rows(place) == list(range(total))


def test_a_large_record_passes(agent: SmallAgent) -> None:
    run = trackd.init(project="p", id="r", settings={"console": "off"})  # there is a warning
    run.log({"i": 0})
    run.config.update({"text": "x" * 3_000_000})
    run.log({"i": 1})
    run.finish()
    assert [type(record).__name__ for record in agent.records()] == [
        "Start",
        "Row",
        "ConfigUpdate",
        "Row",
        "Exit",
    ]


def test_without_an_agent_init_goes_on_and_rows_wait_on_disk(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"init_timeout": 0.1, "finish_timeout": 0.1}
    run = trackd.init(project="p", id="r", settings=settings)
    run.log({"i": 0})
    run.finish()
    [spool] = layout.spool_root(place / "data").iterdir()
    assert kinds(spool) == ["START", "ROW", "EXIT"]
    shown = capsys.readouterr().err
    assert "no agent answers yet" in shown
    assert "kept on this node" in shown


def test_an_agent_that_comes_later_gets_everything(place: Path, agent_process: Starter) -> None:
    run = trackd.init(project="p", id="r", settings={"init_timeout": 0.1})
    for i in range(100):
        run.log({"i": i})
    agent_process()
    run.finish()
    assert journalled_rows(place) == list(range(100))


def test_finish_timeout_can_raise(place: Path) -> None:
    settings = {"init_timeout": 0.1, "finish_timeout": 0.1, "finish_timeout_raises": True}
    run = trackd.init(project="p", id="r", settings=settings)
    with pytest.raises(TimeoutError, match="finish_timeout"):
        run.finish()


def test_a_label_in_use_is_an_error_for_the_one_who_gave_it(agent: SmallAgent) -> None:
    trackd.init(project="p", id="r", settings={"x_label": "rank0"})
    with pytest.raises(trackd.LabelInUseError, match=r"x_label='rank0'.*TRACKD_X_LABEL"):
        trackd.init(project="p", id="r", settings={"x_label": "rank0"}, reinit="create_new")


def test_an_agent_that_fails_at_attach_does_not_stop_the_training(
    agent: SmallAgent, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackd.sending.sender._REFUSED_PAUSE_S", 0.1)
    agent.failures = [(grpc.StatusCode.INTERNAL, "out of luck")] * 2
    with trackd.init(project="p", id="r") as run:
        run.log({"i": 1})
    assert "out of luck" in capsys.readouterr().err
    assert [record.data for record in agent.records() if isinstance(record, Row)] == [{"i": 1}]


def test_an_agent_that_refuses_this_process_says_so_at_init(agent: SmallAgent) -> None:
    agent.failures = [(grpc.StatusCode.PERMISSION_DENIED, "not yours")]
    with pytest.raises(trackd.CommError, match="not yours"):
        trackd.init(project="p", id="r")


def test_a_second_unlabelled_process_gets_a_label(agent: SmallAgent) -> None:
    first = trackd.init(project="p", id="r")
    second = trackd.init(project="p", id="r", reinit="create_new")
    assert first.label == ""
    assert second.label == f"p{os.getpid()}"
    second.log({"i": 2})
    second.finish()
    starts = [record for record in agent.records() if isinstance(record, Start)]
    assert {start.label for start in starts} == {"", second.label}


def test_the_label_comes_from_the_launcher(agent: SmallAgent, script: Script) -> None:
    source = "import trackd\nwith trackd.init(project='p', id='r') as run: print(run.label)\n"
    assert script(source, RANK="3", WORLD_SIZE="8").stdout == "rank3\n"
    assert script(source, RANK="0", WORLD_SIZE="1").stdout == "\n"
    assert script(source, SLURM_PROCID="5", SLURM_NTASKS="6").stdout == "rank5\n"
    assert script(source, OMPI_COMM_WORLD_RANK="1").stdout == "rank1\n"
    assert script(source, RANK="3", TRACKD_X_LABEL="mine").stdout == "mine\n"


def test_a_stopped_agent_never_blocks_log(place: Path, agent_process: Starter) -> None:
    process = agent_process()
    run = trackd.init(project="p", id="r")
    run.log({"i": 0})
    process.send_signal(signal.SIGSTOP)
    slow = 0
    for i in range(1, 50_000):
        before_s = time.monotonic()
        run.log({"i": i, "text": "x" * 200})
        slow += time.monotonic() - before_s > 0.5
    assert slow < 50  # a machine may stand still as well
    process.send_signal(signal.SIGCONT)
    run.finish()
    assert journalled_rows(place) == list(range(50_000))


def test_a_silent_agent_counts_as_dead(
    place: Path, agent: SmallAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackd.sending.sender._SILENCE_S", 0.3)
    monkeypatch.setattr("trackd.sending.sender._PING_S", 0.1)
    monkeypatch.setattr("trackd.sending.sender._SUPERVISE_S", 0.05)
    run = trackd.init(project="p", id="r")
    agent.mute = True
    run.log({"i": 0})
    deadline = time.monotonic() + 120
    while len(agent.requests) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    agent.mute = False
    run.log({"i": 1})
    run.finish()
    assert agent.requests[1].reattach
    assert journalled_rows(place) == [0, 1]


def test_reading_the_summary_sees_what_was_logged_just_before(agent: SmallAgent) -> None:
    run = trackd.init(project="p", id="r")
    run.log({"loss": 1.0})
    run.log({"loss": 0.5})
    assert run.summary["loss"] == 0.5
    assert run.step == 2
    assert run.summary.get("nope", "default") == "default"
    with pytest.raises(KeyError):
        run.summary["nope"]
    run.finish()


def test_a_data_directory_that_cannot_be_written_costs_a_warning_only(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "file").write_text("")
    (place / "spare").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place / "spare"))
    monkeypatch.setenv("TRACKD_DIR", str(place / "file"))
    monkeypatch.delenv("TRACKD_SERVICE")
    settings = {"init_timeout": 0.2, "finish_timeout": 0.1}
    run = trackd.init(project="p", id="r", settings=settings)
    run.log({"i": 0})
    run.finish()
    shown = capsys.readouterr().err
    assert "cannot start an agent" in shown
    assert "set TRACKD_DIR" in shown
    [spool] = (place / "spare").glob("trackd-*/agent/spool/*")
    assert kinds(spool) == ["START", "ROW", "EXIT"]


def test_an_agent_that_does_not_come_up_is_not_started_in_a_hurry(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRACKD_SERVICE")
    started: list[list[str]] = []

    class Fails:
        returncode = 1

        def __init__(self, command: list[str], **_: object) -> None:
            started.append(command)

        def wait(self) -> int:
            return 1

    monkeypatch.setattr("trackd.sending.discovery.subprocess.Popen", Fails)
    monkeypatch.setattr("trackd.sending.discovery._START_PAUSE_S", 600.0)
    settings = {"init_timeout": 0.3, "finish_timeout": 0.1}
    run = trackd.init(project="p", id="r", settings=settings)
    run.finish()
    assert len(started) == 1
    assert started[0][1:] == ["-m", "trackd_agent"]


def test_an_agent_that_takes_no_records_is_not_asked_all_the_time(agent: SmallAgent) -> None:
    run = trackd.init(project="p", id="r")
    agent.is_full = True
    began_s = time.monotonic()
    while len(agent.requests) < 2 or time.monotonic() - began_s < 2.0:
        run.log({"a": 1})
        time.sleep(0.02)
    assert len(agent.requests) <= 10 * (time.monotonic() - began_s)
    agent.is_full = False
    run.log({"last": 1})
    run.finish()
    rows = [record.data for record in agent.records() if isinstance(record, Row)]
    assert rows[-1] == {"last": 1}


def test_the_summary_that_was_written_is_read_without_an_agent_too(place: Path) -> None:
    waits = {"init_timeout": 0.1, "summary_timeout": 0, "finish_timeout": 0.1}
    run = trackd.init(project="p", id="r", settings=waits)
    run.summary["best"] = 1
    run.summary["nested"] = {"a": 1, "b": 2}
    run.summary["nested"]["a"] = {"deep": 3}
    del run.summary["nested"]["b"]
    assert run.summary["best"] == 1
    assert run.summary["nested"] == {"a": {"deep": 3}}
    run.finish()
