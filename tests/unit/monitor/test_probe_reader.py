from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from trackd_agent.monitor.contract import NoDataError
from trackd_agent.monitor.readers.backoff import Backoff
from trackd_agent.monitor.readers.child import MAX_MOANS_BYTES, MAX_STDERR_BYTES, Child, ChildError
from trackd_agent.monitor.readers.library import Libraries
from trackd_agent.monitor.readers.probe import ABSENT_S, MAX_ANSWER_BYTES, ProbeError, ProbeReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROBE = """
import os, sys, time
from trackd_agent.probes import AbsentError
class Probe:
    def read(self, request):
        print("noise of a library")
        act = request.get("act")
        if request.get("idle_s"): sys.modules["__main__"].IDLE_S = request["idle_s"]
        if act == "die": os._exit(7)
        if act == "hang": time.sleep(60)
        if act == "fail": raise ValueError("register 7 is on fire")
        if act == "absent": raise AbsentError("unplugged")
        if act == "flood": return {"much": "x" * 2_000_000}
        if act == "moan": os.write(2, b"m" * 200_000); os._exit(1)
        return {"pid": os.getpid(), "echo": request, "nan": float("nan")}
    def describe(self):
        return {"name": "Thing", "ppid": os.getppid()}
def open(options):
    if options.get("absent"): raise AbsentError(options["absent"])
    return Probe()
"""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., ProbeReader]]:
    """Make readers of a probe that lies beside those of the package."""
    package = tmp_path / "trackd_agent_probes"
    package.mkdir()
    (package / "thing.py").write_text(PROBE)
    site = tmp_path / "site"
    site.mkdir()
    # Extends the package's path in the probe's process, and only there.
    (site / "sitecustomize.py").write_text(
        f"import trackd_agent.probes as p; p.__path__.append({str(package)!r})"
    )
    environment = os.environ | {"PYTHONPATH": str(site)}
    readers: list[ProbeReader] = []

    def make(**options: Any) -> ProbeReader:
        readers.append(ProbeReader("thing", environment=environment, **options))
        return readers[-1]

    yield make
    for reader in readers:
        reader.close()


def test_one_process_answers_all_questions(made: Callable[..., ProbeReader]) -> None:
    reader = made()
    first, second = reader.ask({"a": 1}), reader.ask({"b": [2]})
    assert first["pid"] == second["pid"] != os.getpid()
    assert (first["echo"], second["echo"]) == ({"a": 1}, {"b": [2]})
    assert reader.describe() == {"name": "Thing", "ppid": os.getpid()}


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ("die", "ended with status 7"),
        ("hang", "gave no answer in time"),
        ("fail", "ValueError: register 7 is on fire"),
        ("flood", f"wrote a line of more than {MAX_ANSWER_BYTES} bytes"),
    ],
)
def test_a_failed_probe_is_ended_and_started_again_after_a_pause(
    made: Callable[..., ProbeReader], act: str, reason: str
) -> None:
    now = [0.0]
    reader = made(answer_s=0.5 if act == "hang" else 120, clock=lambda: now[0])
    pid = reader.ask()["pid"]
    with pytest.raises(ProbeError, match=reason):
        reader.ask({"act": act})
    assert not psutil.pid_exists(pid)
    with pytest.raises(ProbeError, match=rf"{reason}.*; next try in 1 s"):
        reader.ask()
    now[0] = 1.0
    assert reader.ask()["pid"] != pid


def test_what_a_dying_probe_said_is_in_the_reason_up_to_a_bound(
    made: Callable[..., ProbeReader],
) -> None:
    reader = made()
    with pytest.raises(ProbeError, match=r"ended.*mmm") as caught:
        reader.ask({"act": "moan"})
    assert len(str(caught.value)) < MAX_STDERR_BYTES + 200


def test_absence_is_believed_for_ten_minutes(made: Callable[..., ProbeReader]) -> None:
    now, missing = [0.0], ["no driver"]
    reader = made(clock=lambda: now[0], missing=lambda: missing[0])
    for _ in range(2):
        with pytest.raises(NoDataError, match="no driver"):
            reader.ask()
    missing[0] = ""
    with pytest.raises(NoDataError):
        reader.ask()
    now[0] = ABSENT_S
    pid = reader.ask()["pid"]
    with pytest.raises(NoDataError, match="unplugged"):
        reader.ask({"act": "absent"})
    assert not psutil.pid_exists(pid)


def test_a_probe_that_finds_nothing_says_why(made: Callable[..., ProbeReader]) -> None:
    with pytest.raises(NoDataError, match="no driver loaded"):
        made(options={"absent": "no driver loaded"}).ask()


def test_a_probe_that_left_for_lack_of_questions_is_no_failure(
    made: Callable[..., ProbeReader],
) -> None:
    reader = made()
    first = psutil.Process(reader.ask({"idle_s": 0.05})["pid"])
    deadline_s = time.monotonic() + 120
    while first.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert reader.ask()["pid"] != first.pid


def test_closing_ends_a_question_under_way(made: Callable[..., ProbeReader]) -> None:
    reader = made(answer_s=30)
    pid = reader.ask()["pid"]
    failures: list[Exception] = []

    def ask() -> None:
        try:
            reader.ask({"act": "hang"})
        except ProbeError as error:
            failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.1)
    reader.close()
    thread.join(120)
    assert len(failures) == 1
    assert not psutil.pid_exists(pid)
    with pytest.raises(ProbeError, match="closed"):
        reader.ask()


def test_a_probe_ends_with_the_process_that_asked(tmp_path: Path) -> None:
    program = (
        "import sys, time; from trackd_agent.monitor.readers.child import Child\n"
        "child = Child([sys.executable, '-m', 'trackd_agent.probes', 'none'], with_input=True)\n"
        "child.send(b'{}\\n'); child.read_line(120, 1000); print(child.pid, flush=True)\n"
        "time.sleep(600)"
    )
    with Child([sys.executable, "-c", program]) as parent:
        probe = psutil.Process(int(parent.read_line(120, 100)))
        assert probe.is_running()
        os.kill(parent.pid, signal.SIGKILL)
        probe.wait(120)


def test_a_tool_is_read_to_its_end_within_bounds() -> None:
    with Child(["/bin/sh", "-c", "echo '{}'"]) as child:
        assert child.read_all(120, 100) == b"{}\n"
    with Child(["/bin/sh", "-c", "yes"]) as child, pytest.raises(ChildError, match="more than 100"):
        child.read_all(120, 100)
    with (
        Child(["/bin/sh", "-c", "echo broken >&2; exit 3"]) as child,
        pytest.raises(ChildError, match="sh ended with status 3: broken"),
    ):
        child.read_all(120, 100)
    with (
        Child(["/bin/sleep", "600"]) as child,
        pytest.raises(ChildError, match="no answer in time"),
    ):
        child.read_all(0.1, 100)
    with pytest.raises(ChildError, match="does not start: No such file"):
        Child(["/no/such/tool"])


@pytest.mark.parametrize("last_words", ["echo '{}'", "exit 3", "echo '{}'; exec >&- 2>&-"])
def test_what_a_tool_leaves_running_ends_with_it(tmp_path: Path, last_words: str) -> None:
    left = tmp_path / "left"
    script = f"sleep 600 >/dev/null 2>&1 & echo $! > {left}; {last_words}"
    with (
        Child(["/bin/sh", "-c", script]) as child,
        pytest.raises(ChildError) if "3" in last_words else contextlib.nullcontext(),
    ):
        assert child.read_all(120, 100) == b"{}\n"
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(left.read_text())).wait(120)
    # Here it keeps the output open as well, so that the tool does not seem to end.
    with (
        Child(["/bin/sh", "-c", f"sleep 600 & echo $! > {left}"]) as child,
        pytest.raises(ChildError, match="no answer in time"),
    ):
        child.read_all(0.2, 100)
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(left.read_text())).wait(120)


def test_a_flood_of_errors_ends_a_tool_before_its_time() -> None:
    started_s = time.monotonic()
    with (
        Child(["/bin/sh", "-c", "yes moan >&2"]) as child,
        pytest.raises(ChildError, match=f"more than {MAX_MOANS_BYTES} bytes of errors: .*moan"),
    ):
        child.read_all(240, 100)
    assert time.monotonic() - started_s < 200


def test_lines_of_a_tool_that_runs_on_come_one_by_one() -> None:
    with Child(["/bin/sh", "-c", "printf 'one\\ntwo\\nthr'; sleep 600"]) as child:
        assert [child.read_line(120, 100), child.read_line(120, 100)] == [b"one", b"two"]
        with pytest.raises(ChildError, match="no answer in time"):
            child.read_line(0.1, 100)


def test_pauses_double_up_to_five_minutes_and_start_over_after_a_success() -> None:
    now = [0.0]
    backoff = Backoff(lambda: now[0])
    waits: list[float] = []
    for _ in range(11):
        backoff.failed("broken")
        waits.append(backoff.wait_s)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    backoff.succeeded()
    assert (backoff.wait_s, backoff.reason) == (0, "")


def test_a_library_is_found_without_loading_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Libraries().find("libc.so.6")
    assert not Libraries("").find("libc.so.6")
    (tmp_path / "libthing.so.1").touch()
    assert not Libraries().find("libthing.so.1")
    assert Libraries(str(tmp_path)).find("libthing.so.1")
    environment = Libraries(str(tmp_path)).environment
    assert environment is not None
    assert environment["LD_LIBRARY_PATH"] == str(tmp_path)
    monkeypatch.setenv("LD_LIBRARY_PATH", f"/nowhere:{tmp_path}")
    assert Libraries().find("libother.so", "libthing.so.1")
    assert json.dumps(Libraries().environment) == "null"
