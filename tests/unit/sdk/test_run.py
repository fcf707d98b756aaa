"""Runs from the first to the last line of a script."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import TypeVar

import pytest
from tests.unit.sdk.small_agent import SmallAgent, read_frames

import trackd
from trackd_proto.layout import RunFolderFacts
from trackd_proto.records import (
    ConfigUpdate,
    ConsoleOutput,
    Exit,
    FileSaved,
    MetricDefinition,
    Row,
    RunUpdate,
    Start,
    SummaryUpdate,
    decode,
)

Script = Callable[..., subprocess.CompletedProcess[str]]
T = TypeVar("T")


def of_kind(agent: SmallAgent, kind: type[T]) -> list[T]:
    return [record for record in agent.records() if isinstance(record, kind)]


def saved(agent: SmallAgent) -> list[FileSaved]:
    """Return the announced files but the list of packages, which every run has."""
    return [file for file in of_kind(agent, FileSaved) if file.path != "requirements.txt"]


@pytest.mark.parametrize(
    ("ending", "recorded", "status"),
    [
        ("", 0, 0),
        ("run.finish()", 0, 0),
        ("run.finish(7)", 7, 0),
        ("sys.exit(3)", 3, 3),
        ("sys.exit('words')", 1, 1),
        ("sys.exit()", 0, 0),
        ("raise KeyError('boom')", 1, 1),
        ("raise KeyboardInterrupt", 255, -2),
        ("with run: pass", 0, 0),
        ("with run: raise KeyError('boom')", 1, 1),
        ("trackd.teardown(4)", 4, 0),
    ],
)
def test_the_end_of_the_script_is_the_end_of_the_run(
    agent: SmallAgent, script: Script, ending: str, recorded: int, status: int
) -> None:
    done = script(
        "import sys, trackd\n"
        f"run = trackd.init(project='p', id='r')\nrun.log({{'a': 1}})\n{ending}\n"
    )
    assert done.returncode == status, done.stderr
    records = agent.records()
    assert isinstance(records[-1], Exit)
    assert records[-1].exit_code == recorded
    assert len(of_kind(agent, Row)) == 1


def test_a_killed_rank_leaves_every_row_in_its_spool(agent: SmallAgent, place: Path) -> None:
    source = (
        "import trackd, sys\n"
        "run = trackd.init(project='p', id='r')\n"
        "i = 0\n"
        "while True:\n"
        "    run.log({'i': i})\n"
        "    i += 1\n"
        "    if i % 1000 == 0: print(i, flush=True)\n"
    )
    (place / "train.py").write_text(source)
    process = subprocess.Popen([sys.executable, "train.py"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    returned = 0
    for _ in range(5):
        returned = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    with process.stdout:
        rest = process.stdout.read().split()
    process.wait()
    returned = int(rest[-1]) if rest else returned
    [spool] = (place / "data" / "agent" / "spool").iterdir()
    time.sleep(0.2)
    frames = {
        frame.seq: frame
        for folder in (spool, next((place / "journal").iterdir()))
        for frame in read_frames(folder)
    }
    assert sorted(frames) == list(range(1, len(frames) + 1))
    rows = [decode(frame.kind, frame.payload) for _, frame in sorted(frames.items())]
    values = [row.data["i"] for row in rows if isinstance(row, Row)]
    assert values == list(range(len(values)))
    assert len(values) >= returned


def test_the_run_folder(agent: SmallAgent, place: Path) -> None:
    with trackd.init(project="p", id="r1") as run:
        assert re.fullmatch(r"run-\d{8}_\d{6}-r1", Path(run.sync_dir).name)
        assert Path(run.dir) == Path(run.sync_dir) / "files"
        assert Path(run.dir).is_dir()
        facts = RunFolderFacts.read(Path(run.sync_dir))
        assert facts is not None
        assert (facts.run_id, facts.project, facts.mode) == ("r1", "p", "online")
        assert facts.data_dir == str(place / "data")
        link = place / "trackd" / "latest-run"
        assert link.readlink() == Path(Path(run.sync_dir).name)
        assert (place / "trackd" / "debug.log").readlink().name == "debug.log"


def test_facts_of_the_run(agent: SmallAgent, capsys: pytest.CaptureFixture[str]) -> None:
    run = trackd.init(
        project="conf",
        entity="me",
        id="attrs",
        name="first",
        group="grp",
        job_type="train",
        tags=["one", "two"],
        notes="n",
        config={"lr": 0.1},
        mode="offline",
    )
    assert trackd.run is run
    assert (run.path, run.name, run.group, run.job_type) == (
        "me/conf/attrs",
        "first",
        "grp",
        "train",
    )
    assert run.url is not None or "offline" in capsys.readouterr().err
    with pytest.raises(Exception, match="'whatever'") as caught:
        run.whatever = 1  # type: ignore[attr-defined]
    assert type(caught.value) is Exception
    run.name = "second"
    run.tags += ("three",)
    run.tags = ("",)
    assert run.tags == ("one", "two", "three")
    assert "tag" in capsys.readouterr().err
    run.finish()
    assert trackd.run is None
    [start] = of_kind(agent, Start)
    assert (start.mode, start.name, start.tags, start.config) == (
        "offline",
        "first",
        ["one", "two"],
        {"lr": 0.1},
    )
    assert of_kind(agent, RunUpdate) == [
        RunUpdate(name="second"),
        RunUpdate(tags=["one", "two", "three"]),
    ]


def test_threads_that_call_init_at_once_get_one_run(agent: SmallAgent, script: Script) -> None:
    done = script(
        dedent("""
        import os, trackd
        import threading
        runs, gate = [], threading.Barrier(4)
        def work():
            gate.wait()
            runs.append(trackd.init(project="p", id="same"))
        threads = [threading.Thread(target=work) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        print([run is runs[0] for run in runs])
        """)
    )
    assert done.stdout == "[True, True, True, True]\n"
    assert len(of_kind(agent, Start)) == 1


def test_a_child_that_is_forked_during_init_may_call_it(agent: SmallAgent, script: Script) -> None:
    done = script(
        dedent("""
        import os, trackd
        from trackd.session import session
        import threading
        trackd.init(project="p", id="parent").finish()
        held, done = threading.Event(), threading.Event()
        def hold():
            with session().starting:
                held.set()
                done.wait()
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        if pid := os.fork():
            status = os.waitpid(pid, 0)[1]
            done.set()
            thread.join()
            print(status)
        else:
            trackd.init(project="p", id="child", mode="disabled")
            os._exit(0)
        """)
    )
    assert done.stdout == "0\n"


def test_a_second_init(agent: SmallAgent, capsys: pytest.CaptureFixture[str]) -> None:
    a = trackd.init(project="p", id="a")
    assert trackd.init(project="p", id="b") is a
    assert "returns the previous run" in capsys.readouterr().err
    c = trackd.init(project="p", id="c", reinit="create_new")
    assert c is not a
    assert trackd.run is a
    d = trackd.init(project="p", id="d", reinit="finish_previous")
    assert trackd.run is d
    assert a.is_finished
    assert c.is_finished
    trackd.log({"who": "d"})
    trackd.finish()
    trackd.finish()
    with pytest.raises(trackd.UsageError, match="finished"):
        d.log({"x": 1})
    with pytest.raises(trackd.Error, match=r"call trackd.init"):
        trackd.log({"x": 1})
    with pytest.raises(trackd.Error, match=r"call trackd.init"):
        trackd.config["x"] = 1


def test_config_is_guarded_and_published(agent: SmallAgent) -> None:
    run = trackd.init(project="p", id="r", config={"lr": 0.1, "net": {"depth": 3}})
    assert run.config.lr == 0.1
    assert run.config["net"]["depth"] == 3
    with pytest.raises(trackd.ConfigError, match="allow_val_change=True"):
        run.config.update({"lr": 0.2})
    run.config.update({"lr": 0.1})
    run.config.update({"lr": 0.3}, allow_val_change=True)
    run.config.batch = 8
    run.config.setdefaults({"batch": 99, "extra": "yes"})
    with pytest.raises(AttributeError, match="nothing"):
        _ = run.config.nothing
    with pytest.raises(AttributeError, match="read-only"):
        run.config_static.lr = 5  # type: ignore[misc]
    trackd.config["by_module"] = 1
    run.finish()
    changes = [change for record in of_kind(agent, ConfigUpdate) for change in record.set]
    assert [(path, value) for path, value in changes] == [
        (["lr"], 0.1),
        (["lr"], 0.3),
        (["batch"], 8),
        (["extra"], "yes"),
        (["by_module"], 1),
    ]


def test_summary_writes_and_metrics_are_records(agent: SmallAgent) -> None:
    run = trackd.init(project="p", id="r")
    run.summary["best"] = 0.9
    run.summary.update({"x": 1, "nan": float("nan")})
    run.summary.attr = "a"
    del run.summary["x"]
    run.define_metric("val/*", step_metric="epoch", summary="MIN,Max")
    for name, summary in (("", None), ("a/*/b", None), ("a", "median")):
        with pytest.raises(trackd.Error):
            run.define_metric(name, summary=summary)
    with pytest.raises(trackd.Error, match="hidden='yes'"):
        run.define_metric("a", hidden="yes")  # type: ignore[arg-type]
    run.finish()
    updates = of_kind(agent, SummaryUpdate)
    assert updates[0].set == [(["best"], 0.9)]
    assert updates[1].set == [(["x"], 1), (["nan"], None)]
    assert updates[3].remove == [["x"]]
    assert of_kind(agent, MetricDefinition) == [
        MetricDefinition("val/*", "epoch", True, None, ["min", "max"], False)
    ]


def test_saved_files(agent: SmallAgent, place: Path) -> None:
    (place / "out" / "deep").mkdir(parents=True)
    for name in ("notes.txt", "out/a.csv", "out/b.csv", "out/deep/c.csv"):
        (place / name).write_text(name)
    run = trackd.init(project="p", id="r")
    folder = Path(run.dir)

    def tails(paths: list[str] | bool) -> list[str]:
        assert isinstance(paths, list)
        return [str(Path(path).relative_to(folder)) for path in paths]

    assert tails(run.save("notes.txt")) == ["notes.txt"]
    assert (folder / "notes.txt").read_text() == "notes.txt"
    assert tails(run.save("out/*.csv", policy="end")) == ["out/a.csv", "out/b.csv"]
    assert tails(run.save("out/deep/c.csv", base_path="out", policy="now")) == ["deep/c.csv"]
    assert run.save("missing-*.txt") == []
    assert run.save("s3://bucket/key") == []
    with pytest.raises(ValueError, match="'later'"):
        run.save("notes.txt", policy="later")
    with pytest.raises(ValueError, match="not below base_path"):
        run.save("notes.txt", base_path="out")
    run.finish()
    assert saved(agent) == [
        FileSaved("notes.txt", "live"),
        FileSaved("out/a.csv", "end"),
        FileSaved("out/b.csv", "end"),
        FileSaved("deep/c.csv", "now"),
    ]


def test_the_console_is_captured(agent: SmallAgent, script: Script) -> None:
    done = script(
        """
import sys, time, trackd
print("before")
run = trackd.init(project="p", id="r")
print("one", 1)
sys.stderr.write("to stderr\\n")
sys.stdout.write("50%\\r")
sys.stdout.write("100%\\n")
sys.stdout.write("no newline yet")
time.sleep(1.2)
sys.stdout.write("... and the rest\\n")
sys.stdout.write("cut \\udcff off")
run.finish()
print("after")
"""
    )
    assert done.returncode == 1 or done.returncode == 0, done.stderr
    records = of_kind(agent, ConsoleOutput)
    out = "".join(record.text for record in records if record.stream == 1)
    err = "".join(record.text for record in records if record.stream == 2)
    assert out.startswith("one 1\n50%\r100%\nno newline yet... and the rest\n")
    assert "before" not in out
    assert "after" not in out
    assert err.startswith("to stderr\n")
    assert any(record.text == "no newline yet" for record in records)
    assert "before\none 1\n" in done.stdout


def test_console_off_leaves_the_streams_alone(agent: SmallAgent) -> None:
    before = sys.stdout.write
    run = trackd.init(project="p", id="r", settings={"console": "off"})
    assert sys.stdout.write == before
    run.finish()
    assert of_kind(agent, ConsoleOutput) == []


def test_quiet_and_silent(agent: SmallAgent, script: Script) -> None:
    source = "import trackd\nwith trackd.init(project='p', id='r') as run: run.log({'a': 1})\n"
    assert "trackd: recording run r" in script(source).stderr
    assert script(source, TRACKD_QUIET="true").stderr == ""
    assert script(source, WANDB_SILENT="true").stderr == ""


def test_disabled_runs_accept_everything_and_write_nothing(place: Path) -> None:
    run = trackd.init(project="conf", id="off1", mode="disabled", config={"a": 1})
    assert run.disabled
    assert run.config["a"] == 1
    run.log({"x": 1, "o": object()})
    run.summary["s"] = 2
    assert (run.summary["x"], run.summary["s"]) == (1, 2)
    assert run.save("*") is False
    run.define_metric("x", summary="max")
    run.finish()
    assert not (place / "trackd").exists()
    assert not (place / "data").exists()


def test_an_unwritable_folder_is_replaced_with_a_warning(
    agent: SmallAgent,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(place / "spare"))
    (place / "spare").mkdir()
    (place / "file").write_text("")
    run = trackd.init(project="p", id="r", dir=place / "file")
    assert Path(run.sync_dir).is_relative_to(place / "spare")
    assert "cannot write run folders" in capsys.readouterr().err
    run.finish()


def test_the_package_loads_little_and_names_everything(place: Path) -> None:
    source = (
        "import sys, json, trackd\n"
        "print(json.dumps([m for m in sys.modules if m.split('.')[0] in "
        "('grpc', 'google', 'msgspec', 'click', 'trackd_proto', 'numpy')]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []
    for name in trackd.__all__:
        getattr(trackd, name)
    with pytest.raises(AttributeError, match="'nope'"):
        _ = trackd.nope  # type: ignore[attr-defined]


def test_the_command_line_knows_its_verbs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from trackd.cli import main; main()", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"trackd, version {trackd.__version__}\n"


def test_a_step_that_goes_back_is_reported_at_once_and_once(
    agent: SmallAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trackd.init(project="p", id="r")
    run.log({"a": 1}, step=5, commit=True)
    for step in (3, 2, 1):
        run.log({"a": 2}, step=step)
    shown = capsys.readouterr().err
    assert shown.count("step 3, which is less than the current step 6") == 1
    assert shown.count("which is less") == 1
    run.finish()


def test_saving_what_is_in_the_run_folder_already_is_no_news(
    agent: SmallAgent, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trackd.init(project="p", id="r")
    (Path(run.dir) / "model.bin").write_text("weights")
    assert run.save(f"{run.dir}/model.bin", base_path=run.dir) == [f"{run.dir}/model.bin"]
    assert "inked" not in capsys.readouterr().err
    (place / "other.bin").write_text("more")
    run.save("other.bin")
    assert "Symlinked 1 file " in capsys.readouterr().err
    run.save("other.bin")
    assert "inked" not in capsys.readouterr().err
    run.finish()
