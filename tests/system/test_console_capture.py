"""What scripts print, as it ends up in a run: real processes, a real agent, real terminals."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.agent import agent_environment

TRACKD = Path(sys.executable).with_name("trackd")
#: The end of a run gets what it shows, and the last words, however slow the machine is.
PATIENT = """
import os, sys, time, trackd
from trackd.sending import quiet_grpc
quiet_grpc.load()  # as `init` does it
from trackd import writer
from trackd.console import descriptors, feed
writer._DIGEST_ACKS_S = writer._DIGEST_S = 120.0
descriptors._LAST_BYTES_S = feed._LAST_WORD_S = 120.0
"""
START = f'{PATIENT}run = trackd.init(project="p", id="r", mode="offline"'


@dataclass
class Ended:
    """A script that ran."""

    folder: Path
    code: int
    out: str
    err: str
    environment: dict[str, str]

    def document(self, run_id: str = "r") -> dict[str, Any]:
        return json.loads(
            subprocess.run(
                [TRACKD, "export", "--json", run_id],
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                check=True,
                timeout=240,
            ).stdout
        )

    def console(self, run_id: str = "r") -> list[str]:
        return self.document(run_id)["console"]

    def file(self, pattern: str) -> str:
        """Return the content of a file that the agent writes when the run is over."""
        deadline = time.monotonic() + 120
        while True:
            found = sorted((self.folder / "trackd").glob(pattern))
            text = "".join(path.read_bytes().decode() for path in found)
            if text or time.monotonic() > deadline:
                return text
            time.sleep(0.05)


def printed(lines: list[str]) -> list[str]:
    """Return the lines that are not ours."""
    return [line for line in lines if not line.startswith("trackd:")]


class Runner:
    """Runs scripts in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = agent_environment(
            folder / "data", TRACKD_IDLE_TIMEOUT="2", HOME=str(folder), NO_COLOR="1"
        )

    def __call__(self, source: str, **settings: Any) -> Ended:
        """Run a script that begins with `init`."""
        begin = f"{START}, settings={settings!r})\n"
        return self.whole(begin + textwrap.dedent(source))

    def whole(self, source: str) -> Ended:
        path = self.folder / "main.py"
        path.write_text(source)
        done = subprocess.run(
            [sys.executable, path],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            timeout=240,
            check=False,
        )
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        return Ended(self.folder, done.returncode, out, err, self.environment)

    def on_terminal(self, source: str) -> Ended:
        """Run a script whose three standard streams are a terminal; return what that shows."""
        path = self.folder / "main.py"
        path.write_text(source)
        reader, writer = pty.openpty()
        termios.tcsetwinsize(writer, (24, 100))
        environment = {k: v for k, v in self.environment.items() if k != "NO_COLOR"}
        process = subprocess.Popen(
            [sys.executable, path],
            cwd=self.folder,
            env={**environment, "TERM": "xterm", "PYTHONUTF8": "1"},
            stdin=writer,
            stdout=writer,
            stderr=writer,
        )
        os.close(writer)
        shown = b""
        try:
            while data := os.read(reader, 65536):
                shown += data
        except OSError:  # the way a terminal ends
            pass
        os.close(reader)
        return Ended(self.folder, process.wait(240), shown.decode(), "", self.environment)


@pytest.fixture
def run_script(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def test_files_hold_the_lines_and_the_raw_text(run_script: Runner) -> None:
    done = run_script(
        r"""
        for i in range(0, 101, 25):
            sys.stdout.write(f"\r{i}%")
        print()
        print("to stderr", file=sys.stderr)
        print("last", end="")
        run.finish()
        print("after")
        """
    )
    assert done.console() == ["100%", "to stderr", "last"]
    assert done.file("*-r/files/output.log") == "100%\nto stderr\nlast\n"
    raw = "\r0%\r25%\r50%\r75%\r100%\nto stderr\nlast"
    assert done.file("*-r/logs/console.raw") == raw
    assert done.out == "\r0%\r25%\r50%\r75%\r100%\nlastafter\n"


BARS = r"""
from tqdm import tqdm
for _ in tqdm(range(50), mininterval=0, ncols=40, ascii=True, bar_format="{l_bar}{bar}|"):
    pass
from rich.console import Console
from rich.progress import Progress, TextColumn
screen = Console(file=sys.stdout, width=40, force_terminal=True, color_system=None)
columns = TextColumn("{task.description}:{task.completed:.0f}")
with Progress(columns, console=screen, auto_refresh=False) as progress:
    first, second = progress.add_task("first", total=9), progress.add_task("second", total=9)
    for _ in range(9):
        progress.advance(first)
        progress.advance(second)
        progress.refresh()
print("done")
run.finish()
"""
TQDM_LINE = "100%|##################################|"


@pytest.mark.parametrize("mode", ["wrap_emu", "redirect"])
def test_the_whole_emulation_shows_bars_as_a_terminal_does(run_script: Runner, mode: str) -> None:
    done = run_script(BARS, console=mode)
    assert sorted(done.console()) == sorted([TQDM_LINE, "first:9", "second:9", "done"])
    assert done.file("*-r/logs/console.raw").count("first:") >= 9


def test_on_a_terminal_bars_are_recorded_as_it_shows_them(run_script: Runner) -> None:
    done = run_script.on_terminal(f"{START})\n{BARS}")
    assert done.code == 0, done.out
    assert done.console() == [TQDM_LINE, "first:9", "second:9", "done"]


def test_elsewhere_lines_that_are_written_again_are_one_line(run_script: Runner) -> None:
    lines = run_script(BARS).console()
    assert lines[0] == TQDM_LINE
    assert lines[-1].endswith("done")


def test_redirect_hears_everything_that_the_process_and_its_children_print(
    run_script: Runner,
) -> None:
    done = run_script(
        r"""
        import subprocess
        print("python")
        sys.stdout.flush()
        os.write(1, b"descriptor\n")
        sys.stdout.buffer.write(b"bytes \xff\n")
        sys.stdout.flush()
        subprocess.run("echo child; echo child error >&2", shell=True)
        pid = os.fork()
        if pid == 0:
            print("forked")
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(pid, 0)
        late = subprocess.Popen("read go; echo late child", shell=True, stdin=subprocess.PIPE)
        print("no line feed", end="")
        run.finish()
        print(" after", flush=True)
        late.communicate(b"go")
        """,
        console="redirect",
    )
    lines = done.console()
    assert [line for line in lines if line != "child error"] == [
        *("python", "descriptor", "bytes \N{REPLACEMENT CHARACTER}", "child", "forked"),
        "no line feed",
    ]
    assert "child error" in lines
    assert done.out.endswith("no line feed after\nlate child\n")
    assert "child error\n" in done.err


def test_redirect_on_a_terminal_leaves_it_one(run_script: Runner) -> None:
    shown = run_script.on_terminal(
        f"{START}, settings={{'console': 'redirect'}})\n"
        "import subprocess\n"
        "print('tty', sys.stdout.isatty(), os.isatty(2))\n"
        "subprocess.run('test -t 1 && echo child has a terminal', shell=True)\n"
        "print('end', end='')\n"
        "descriptors._LAST_BYTES_S = 1e6  # what is waited for in vain is waited for in full\n"
        "run.finish()\n"
        "print('\\nfinished')\n"
    )
    assert shown.code == 0, shown.out
    assert "tty True True\r\nchild has a terminal\r\nend" in shown.out
    assert "finished" in shown.out
    assert shown.console() == ["tty True True", "child has a terminal", "end"]


def test_loggers_and_write_logs(run_script: Runner) -> None:
    source = r"""
        import logging
        log = logging.getLogger("train.sub")
        log.setLevel("DEBUG")
        print("printed ", end="")
        log.info("first\n\x1b[Asecond")
        log.debug("too low")
        run.write_logs("by hand\r!")
        run.write_logs("")
        try:
            run.write_logs(5)
        except TypeError as error:
            print(error)
        run.finish()
        log.error("after the end")
        run.write_logs("after the end")
        """
    levels = {"train": "INFO"}
    lines = ["INFO:train.sub:first", "\x1b[Asecond", "by hand\r!", ""]
    done = run_script(source, capture_loggers=levels)
    refused = "write_logs() takes text, got int: use write_logs(str(value))"
    assert done.console() == [f"printed {refused}", *lines]
    off = run_script(source.replace("run.finish", "sys.stdout.flush(); run.finish"), console="off",
                     capture_loggers=levels)  # fmt: skip
    assert off.code == 0, off.err


def test_without_capture_loggers_reach_no_file(run_script: Runner) -> None:
    done = run_script("print('x'); run.write_logs('y'); run.finish()", console="off")
    assert done.console() == []
    assert list((done.folder / "trackd").glob("*-r/files/output*")) == []


def test_a_level_that_does_not_exist_is_refused_before_anything_happens(
    run_script: Runner,
) -> None:
    done = run_script("", capture_loggers={"x": "LOUD"})
    assert done.code == 1
    assert "'LOUD' for 'x' is no level" in done.err
    assert not (done.folder / "trackd").exists()


def test_parts(run_script: Runner) -> None:
    done = run_script(
        "for i in range(20): print('line', i)\nrun.finish()",
        console_multipart=True,
        console_chunk_max_bytes=40,
    )
    lines = [f"line {i}" for i in range(20)]
    assert done.console() == lines
    assert done.file("*-r/files/logs/output_*.log") == "".join(f"{line}\n" for line in lines)
    parts = sorted((done.folder / "trackd").glob("*-r/files/logs/output_*.log"))
    assert len(parts) > 2
    assert all(re.fullmatch(r"output_\d{8}_\d{6}_\d{9}\.log", part.name) for part in parts)
    assert not list((done.folder / "trackd").glob("*-r/files/output.log"))


def test_two_runs_of_one_process_hear_each_while_it_lasts(run_script: Runner) -> None:
    done = run_script(
        r"""
        print("first only")
        other = trackd.init(project="p", id="other", mode="offline", reinit="create_new")
        print("both")
        run.finish()
        print("other only")
        other.finish()
        """
    )
    assert printed(done.console()) == ["first only", "both"]
    assert printed(done.console("other")) == ["both", "other only"]
    # Header and footer of a run are part of the other run's console.
    assert "trackd: recording run other of project p" in done.console()
    assert any("-r, logs in" in line for line in done.console("other"))


def test_forked_children_are_not_heard_and_have_consoles_of_their_own(run_script: Runner) -> None:
    done = run_script(
        r"""
        pid = os.fork()
        if pid == 0:
            print("child before")
            own = trackd.init(project="p", id="own", mode="offline", reinit="create_new")
            print("child in its run")
            own.finish()
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(pid, 0)
        print("parent")
        run.finish()
        """
    )
    assert done.console() == ["parent"]
    assert done.console("own") == ["child in its run"]
    assert "child before\nchild in its run\n" in done.out


def test_what_was_printed_outlives_a_kill(run_script: Runner) -> None:
    done = run_script(
        r"""
        import signal
        time.sleep(0.2)
        print("one")
        print("two", file=sys.stderr)
        print("the last words")
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    assert done.code == -signal.SIGKILL
    assert done.console() == ["one", "two", "the last words"]


def test_the_traceback_of_a_block_is_part_of_the_console(run_script: Runner) -> None:
    done = run_script.whole(
        "import trackd\n"
        "with trackd.init(project='p', id='r', mode='offline') as run:\n"
        "    print('inside')\n"
        "    raise ValueError('oh')\n"
    )
    lines = done.console()
    assert lines[:2] == ["inside", "Traceback (most recent call last):"]
    assert lines[-1] == "ValueError: oh"
    assert done.document()["run"]["exit_code"] == 1


def test_a_test_that_captures_its_output_records_it(run_script: Runner) -> None:
    (run_script.folder / "test_inner.py").write_text(
        "import trackd\n"
        "def test_it(capsys):\n"
        "    run = trackd.init(project='p', id='r', mode='offline')\n"
        "    print('captured by pytest')\n"
        "    run.finish()\n"
        "    assert 'captured by pytest' in capsys.readouterr().out\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_inner.py"],
        cwd=run_script.folder,
        env=run_script.environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    ended = Ended(run_script.folder, 0, "", "", run_script.environment)
    assert ended.console() == ["captured by pytest"]


def test_a_flood_is_recorded_whole(run_script: Runner) -> None:
    done = run_script(
        r"""
        for i in range(200_000):
            print("line", i)
        run.finish()
        """
    )
    assert done.console() == [f"line {i}" for i in range(200_000)]


def test_header_and_footer_on_a_terminal(run_script: Runner) -> None:
    shown = run_script.on_terminal(
        f"{PATIENT}import math\n"
        'run = trackd.init(project="p", id="r", name="brave-fox", mode="offline")\n'
        "for i in range(100):\n"
        '    run.log({"loss": math.exp(-i / 20), "up": i, "text": "x"})\n'
        'run.summary["best"] = 0.123456789\n'
        "run.finish()\n"
    )
    assert shown.code == 0, shown.out
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown.out).replace("\r\n", "\n")
    assert "trackd: recording run brave-fox of project p\n" in plain
    found = re.search(r"trackd: Run history:\ntrackd: loss (█\S+▁)\ntrackd:   up (▁\S+█)\n", plain)
    assert found is not None, plain
    assert len(found[1]) == len(found[2]) == 40
    assert "trackd: Run summary:\ntrackd: best 0.12346\ntrackd: loss 0.00708\n" in plain
    assert re.search(
        r"trackd: to upload this run: trackd sync \./trackd/offline-run-\S+-r\n", plain
    )
    assert "\x1b[33mbrave-fox\x1b[0m" in shown.out
    assert "trackd" not in "".join(shown.console())


@pytest.mark.parametrize(
    ("settings", "is_there"), [({"quiet": True}, False), ({"show_colors": True}, True)]
)
def test_quiet_hides_the_block_and_colours_can_be_wanted(
    run_script: Runner, settings: dict[str, bool], is_there: bool
) -> None:
    done = run_script("run.log({'a': 1}); run.finish()", **settings)
    assert ("Run summary" in done.err) is is_there
    assert ("\x1b[34;1mtrackd\x1b[0m: " in done.err) is is_there
