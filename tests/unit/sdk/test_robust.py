"""What surrounds a training script is in no state to be relied on: the script goes on."""

from __future__ import annotations

import copy
import logging
import os
import pickle
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import trackd
from trackd import identity
from trackd.sending.agent_link import AgentCallError, AgentLink
from trackd.sending.sender import Sender
from trackd_proto import layout
from trackd_proto.records import Exit
from trackd_proto.v1 import run_pb2

if TYPE_CHECKING:
    from collections.abc import Callable
    from subprocess import CompletedProcess

    from tests.unit.sdk.small_agent import SmallAgent

    Script = Callable[..., CompletedProcess[str]]

KEY = "k" * 40


def _exit_codes(agent: SmallAgent) -> list[int]:
    return [record.exit_code for record in agent.records() if isinstance(record, Exit)]


class _Hostile:
    """A stream that a user made, and that does not work."""

    encoding = 3

    def _fail(self, *_: object) -> Any:
        raise RuntimeError("no terminal here")

    write = flush = isatty = _fail


# --- where and who ---------------------------------------------------------------------------


def test_a_working_folder_that_is_gone(agent: SmallAgent, place: Path) -> None:
    gone = place / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    trackd.teardown()
    try:
        run = trackd.init(project="p", settings={"silent": True})
        run.log({"a": 1})
        assert run.save("nothing") == []
        run.finish()
        assert identity.default_project("train.py") == identity.NO_PROJECT
    finally:
        os.chdir(place)


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", str)
    assert layout.data_dir({}).name == "data"
    assert layout.data_dir({}).is_absolute()
    assert "~" not in str(layout.data_dir({}))


def test_a_repository_that_may_not_be_read(agent: SmallAgent, script: Script) -> None:
    ended = script(
        """
import os, trackd
os.mkdir(".git", 0o000)
# Root reads everything; without these two capabilities it is a user like others.
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
data = (ctypes.c_uint32 * 6)()
libc.capget(header, data)
for word in (0, 1, 2):
    data[word] &= ~0b110
libc.capset(header, data)
run = trackd.init(project="p")
run.finish()
print("went on")
"""
    )
    assert "went on" in ended.stdout, ended.stderr


@pytest.mark.parametrize("mode", ["online", "disabled"])
def test_a_terminal_that_fails(
    agent: SmallAgent, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", _Hostile())
    run = trackd.init(project="p", mode=mode)
    run.log({"a": 1}, step=5)
    run.log({"a": 1}, step=1)  # is told about
    run.finish()


def test_hidden_folder_and_suffix_of_runs(agent: SmallAgent, place: Path) -> None:
    settings = {"use_dot_wandb": True, "x_sync_dir_suffix": "mine"}
    run = trackd.init(project="p", settings=settings)
    assert Path(run.sync_dir).parent == place / ".trackd"
    assert run.sync_dir.endswith(f"-{run.id}-mine")
    run.finish()


def test_a_folder_for_all_users_that_belongs_to_another_one(
    agent: SmallAgent, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(place / "tmp"))
    (place / "tmp").mkdir()
    (place / "tmp" / "trackd").write_text("in the way")
    (place / "trackd").write_text("in the way")
    run = trackd.init(project="p", settings={"silent": True})
    assert Path(run.sync_dir).parent.name.startswith("trackd-")
    run.finish()


# --- ends ------------------------------------------------------------------------------------


def test_an_exit_code_that_is_none_leaves_the_run_open(agent: SmallAgent) -> None:
    run = trackd.init(project="p", settings={"silent": True})
    with pytest.raises(ValueError, match="invalid literal"):
        run.finish("no number")  # type: ignore[arg-type]
    run.log({"a": 1})
    run.finish()
    assert _exit_codes(agent) == [0]


def test_an_action_that_fails_does_not_keep_a_run_from_ending(agent: SmallAgent) -> None:
    run = trackd.init(project="p", settings={"silent": True})

    def fail() -> None:
        raise RuntimeError("an integration")

    run.before_finish(fail)
    run.finish()
    assert run.is_finished
    assert _exit_codes(agent) == [0]


def test_one_of_many_threads_ends_a_run(agent: SmallAgent) -> None:
    run = trackd.init(project="p", settings={"silent": True})
    run.before_finish(lambda: time.sleep(0.05))
    threads = [threading.Thread(target=run.finish) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _exit_codes(agent) == [0]


def test_teardown_finishes_all_runs_whatever_one_of_them_says(place: Path) -> None:
    given = {
        "silent": True,
        "init_timeout": 0,
        "finish_timeout": 0.1,
        "finish_timeout_raises": True,
    }
    runs = [trackd.init(project="p", reinit="create_new", settings={**given}) for _ in range(2)]
    with pytest.raises(TimeoutError):
        trackd.teardown()
    assert all(run.is_finished for run in runs)


def test_a_run_whose_beginning_fails_is_ended(
    agent: SmallAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("trackd.starting.print_header", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        trackd.init(project="p", settings={"silent": True})
    assert _exit_codes(agent) == [1]
    assert not [t for t in threading.enumerate() if t.name == "trackd-sender"]


# --- connection ------------------------------------------------------------------------------


def test_a_connection_that_another_thread_closed_is_a_failed_call(agent: SmallAgent) -> None:
    link = AgentLink(os.environ["TRACKD_SERVICE"])
    link.close()
    with pytest.raises(AgentCallError) as caught:
        link.detach("capability", 1, 1.0)
    assert caught.value.retryable
    with pytest.raises(AgentCallError):
        link.read_summary(run_pb2.ReadSummaryRequest(), 1.0)


@pytest.mark.parametrize("method", ["attach", "continue_run"])
def test_an_agent_that_dies_after_its_socket_took_us_is_not_waited_for(
    tmp_path: Path, method: str
) -> None:
    request = {"attach": run_pb2.AttachRequest, "continue_run": run_pb2.ContinueRunRequest}[method]
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dying:
        dying.bind(str(path))
        dying.listen()
        link = AgentLink(f"unix:{path}")
        threading.Thread(target=lambda: (dying.accept()[0].close(), dying.close())).start()
        with pytest.raises(AgentCallError) as caught:
            getattr(link, method)(request(), 30.0)
        link.close()
    assert caught.value.retryable
    assert not caught.value.is_timeout


def test_reading_the_step_without_an_agent_costs_time_once(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackd.sending.sender._ABSENCE_S", 0.5)
    waits: list[float] = []
    wait_acked = Sender.wait_acked

    def noted(sender: Sender, seq: int, timeout_s: float) -> bool:
        waits.append(timeout_s)
        return wait_acked(sender, seq, timeout_s)

    monkeypatch.setattr(Sender, "wait_acked", noted)
    run = trackd.init(project="p", settings={"silent": True, "init_timeout": 0})
    run.log({"a": 1})
    assert run.step == 1
    waits.clear()
    assert [run.step for _ in range(20)] == [1] * 20
    assert waits and not any(waits)
    run.finish()


# --- secrets and other people's code ---------------------------------------------------------


def test_a_pickled_run_holds_no_secret(agent: SmallAgent) -> None:
    run = trackd.init(project="p", settings={"silent": True, "api_key": KEY})
    assert KEY.encode() not in pickle.dumps(run)
    run.finish()


def test_our_log_stays_out_of_the_logging_of_a_script(agent: SmallAgent) -> None:
    heard: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name == "trackd":
                heard.append(record.getMessage())

    handler = Handler()
    logging.getLogger().addHandler(handler)
    try:
        run = trackd.init(project="p", settings={"show_warnings": False})
        run.log({"a": 1}, step=5)
        run.log({"a": 1}, step=1)
        run.finish()
    finally:
        logging.getLogger().removeHandler(handler)
    assert heard == []


def test_copies_of_config_and_summary_are_plain_dictionaries(agent: SmallAgent) -> None:
    run = trackd.init(project="p", config={"net": {"depth": 3}}, settings={"silent": True})
    for copied in (copy.copy(run.config), copy.deepcopy(run.config), copy.copy(run.config_static)):
        assert copied == {"net": {"depth": 3}}
        assert type(copied) is dict
    assert pickle.loads(pickle.dumps(run.config)) == {"net": {"depth": 3}}
    deep = copy.deepcopy(run.config)
    deep["net"]["depth"] = 4
    assert run.config["net"]["depth"] == 3
    assert copy.copy(run.summary) == {}
    run.finish()


# --- files -----------------------------------------------------------------------------------


def test_saving_goes_on_where_a_file_cannot_be_stored(
    agent: SmallAgent, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trackd.init(project="p")
    for name in ("a/one.txt", "b/two.txt"):
        path = place / name
        path.parent.mkdir()
        path.write_text("x")
    (Path(run.dir) / "a").write_text("in the way")
    saved = run.save("?/*.txt")
    assert isinstance(saved, list)
    assert [Path(path).name for path in saved] == ["two.txt"]
    assert "one.txt' is not saved" in capsys.readouterr().err
    run.finish()


def test_saving_an_empty_folder_that_was_saved_before(agent: SmallAgent, place: Path) -> None:
    run = trackd.init(project="p", settings={"silent": True})
    (place / "out").mkdir()
    (place / "out" / "x.txt").write_text("x")
    run.save("out/x.txt")
    (place / "out" / "x.txt").unlink()
    assert run.save("out") == [str(Path(run.dir) / "out")]
    run.finish()


# --- forks, threads, signals -----------------------------------------------------------------


def test_a_guest_that_ends_leaves_what_auto_resume_remembers(
    agent: SmallAgent, place: Path, script: Script
) -> None:
    ended = script(
        """
import os, sys, trackd
from pathlib import Path
run = trackd.init(project="p", settings={"console": "off", "mode": "offline"}, resume="auto")
remembered = Path(run.settings.resume_fname)
assert remembered.exists()
if os.fork() == 0:
    run.log({"a": 1})
    run.finish()
    os._exit(0)
os.wait()
print("there" if remembered.exists() else "gone")
run.finish()
print("there" if remembered.exists() else "gone")
"""
    )
    assert ended.stdout.split() == ["there", "gone"], ended.stderr


def test_threads_of_a_forked_process_share_one_spool(
    agent: SmallAgent, place: Path, script: Script
) -> None:
    ended = script(
        """
import os, threading, trackd
run = trackd.init(project="p", settings={"console": "off"})
spools = run.backend._writer.spool.folder.parent
before = len(list(spools.iterdir()))
if os.fork() == 0:
    barrier = threading.Barrier(16)
    def log(n):
        barrier.wait()
        run.log({"n": n})
    threads = [threading.Thread(target=log, args=(n,)) for n in range(16)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print(len(list(spools.iterdir())) - before, flush=True)
    os._exit(0)
os.wait()
run.finish()
"""
    )
    assert ended.stdout.split() == ["1"], ended.stderr


def test_a_forked_process_without_room_for_a_spool_goes_on(
    agent: SmallAgent, place: Path, script: Script
) -> None:
    ended = script(
        """
import os, trackd
from trackd.context import WriterContext
run = trackd.init(project="p", settings={"console": "off"})
def no_room(self, producer):
    raise trackd.CommError("no room")
WriterContext.make_spool = no_room
if os.fork() == 0:
    run.log({"a": 1})
    run.summary["b"] = 1
    run.finish()
    print("went on", flush=True)
    os._exit(0)
os.wait()
run.finish()
"""
    )
    assert "went on" in ended.stdout, ended.stderr


def test_a_signal_handler_may_log_and_finish(agent: SmallAgent, script: Script) -> None:
    ended = script(
        """
import faulthandler, signal, trackd
faulthandler.dump_traceback_later(20, exit=True)
run = trackd.init(project="p", settings={"console": "off"})
count = 0
def handler(*_):
    global count
    count += 1
    if not run.is_finished:
        run.log({"from_handler": count})
        run.config.update({f"k{count % 7}": 1}, allow_val_change=True)
    if count == 100:
        run.finish()
    else:
        signal.setitimer(signal.ITIMER_REAL, 0.002)
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.002)
try:
    while True:
        run.log({"a": 1, "new": {"x": 1}})
except trackd.UsageError:
    pass
print("finished", run.is_finished)
"""
    )
    assert ended.stdout.split() == ["finished", "True"], ended.stderr


def test_a_listener_that_fails_does_not_break_the_output(place: Path, script: Script) -> None:
    ended = script(
        """
import subprocess
from trackd.console.descriptors import DescriptorFeed
feed, heard = DescriptorFeed(), []
def fail(*_): raise RuntimeError("a bug")
def hear(time_s, stream, text): heard.append(text)
feed.join(fail)
feed.join(hear)
for n in range(3):
    subprocess.run(["echo", f"line {n}"], check=True)
feed.leave(hear)
feed.leave(fail)
print("".join(heard).split() == ["line", "0", "line", "1", "line", "2"])
"""
    )
    assert ended.stdout.splitlines() == ["line 0", "line 1", "line 2", "True"], ended.stderr
    assert ended.stderr == ""


def test_redirection_gives_way_where_no_thread_is_to_be_had(place: Path, script: Script) -> None:
    ended = script(
        """
import os, threading
from trackd.console.descriptors import DescriptorFeed
start = threading.Thread.start
def refuse(self): raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
before = len(os.listdir("/proc/self/fd"))
try:
    DescriptorFeed().join(lambda *_: None)
except OSError as error:
    print(error, len(os.listdir("/proc/self/fd")) - before)
"""
    )
    assert ended.stdout == "can't start new thread 0\n", ended.stderr
