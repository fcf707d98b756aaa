"""Starts the ranks of the demonstration, shows how far they are, and looks at what was kept."""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from trackd_proto import layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.progress import TaskID

_STEP = re.compile(r"step (\d+)/\d+ (.*)")
_BAR_WIDTH = 24
#: How far the training is when `--kill-agent` strikes.
_KILL_AT = 0.4
#: How long the agent may take to bring the last rows to the server.
_UPLOAD_TIMEOUT_S = 60.0


@dataclass
class _Rank:
    number: int
    process: subprocess.Popen[bytes]
    bar: TaskID
    step: int = 0
    measured: str = ""
    rest: bytes = b""
    last_lines: deque[str] = field(default_factory=lambda: deque[str](maxlen=20))

    @property
    def output(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def read_lines(self) -> list[str] | None:
        """Return the lines that arrived, None at the end."""
        data = os.read(self.output.fileno(), 65536)
        if not data:
            return None
        *lines, self.rest = (self.rest + data).split(b"\n")
        texts = [line.decode(errors="replace").rstrip("\r") for line in lines]
        self.last_lines.extend(texts)
        for found in filter(None, map(_STEP.search, texts)):
            self.step, self.measured = int(found[1]), found[2]
        return texts


@dataclass
class Launch:
    """One run of the demonstration."""

    run_id: str
    project: str
    steps: int
    ranks: int
    socket: Path

    def run(self, *, kill_agent: bool) -> int:
        """Train, and return the exit status of the demonstration."""
        console = Console(highlight=False)
        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(_BAR_WIDTH),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[measured]}"),
            console=console,
            disable=not console.is_terminal,
        )
        console.print(f"{_ranks(self.ranks)}, {self.steps} steps, one run: {self.run_id}")
        killed = 0
        with progress:
            ranks = [self._start(number, progress) for number in range(self.ranks)]
            for lines in self._follow(ranks, progress):
                for line in lines:
                    console.print(line, markup=False, soft_wrap=True)
                if kill_agent and min(rank.step for rank in ranks) >= self.steps * _KILL_AT:
                    kill_agent = False
                    killed = _kill_agent(console)
        failed = [rank for rank in ranks if rank.process.wait() != 0]
        for rank in failed:
            console.print(f"rank {rank.number} ended with status {rank.process.returncode}")
            if rank.number != 0:  # rank 0's were shown as they came
                console.print("\n".join(rank.last_lines), markup=False, soft_wrap=True)
        return 1 if failed else self._look(console, killed)

    def _start(self, number: int, progress: Progress) -> _Rank:
        arguments = [self.run_id, self.project, str(self.steps), str(self.socket)]
        environ = os.environ | {
            "RANK": str(number),
            "LOCAL_RANK": str(number),
            "WORLD_SIZE": str(self.ranks),
            "TRACKD_MODE": "online",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "trackd.demo.training", *arguments],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        bar = progress.add_task(f"rank {number}", total=self.steps, measured="")
        return _Rank(number, process, bar)

    def _follow(self, ranks: list[_Rank], progress: Progress) -> Iterator[list[str]]:
        """Yield the lines to print whenever a rank printed something, until all have ended.

        They are those of rank 0, without its steps where bars show them.
        """
        with selectors.DefaultSelector() as selector:
            for rank in ranks:
                selector.register(rank.output, selectors.EVENT_READ, rank)
            while selector.get_map():
                for key, _ in selector.select():
                    rank: _Rank = key.data
                    lines = rank.read_lines()
                    if lines is None:
                        selector.unregister(rank.output)
                        rank.output.close()
                        continue
                    progress.update(rank.bar, completed=rank.step, measured=rank.measured)
                    shown = lines if rank.number == 0 else []
                    yield [line for line in shown if progress.disable or not _STEP.search(line)]

    def _look(self, console: Console, killed: int) -> int:
        """Count what the server has, and say how to look at it."""
        url, path, kept = self._wait_for_rows()
        expected = self.ranks * self.steps
        console.print()
        if killed:
            console.print(
                f"The agent (pid {killed}) was killed; a rank started another one"
                f" (pid {_agent_pid()}), which went on where that had been."
            )
        if kept == expected:
            console.print(f"All {kept} rows of {_ranks(self.ranks)} are in the server.")
        else:
            console.print(f"{kept} of {expected} rows are in the server.", style="bold red")
        command = "trackd" if shutil.which("trackd") else sys.argv[0]
        console.print(f"  in a browser   {url}", soft_wrap=True)
        console.print(f"  as a document  {command} export --json {path}", soft_wrap=True)
        console.print(f"  its output     {command} tail {path}", soft_wrap=True)
        console.print(f"  agent, queues  {command} status", soft_wrap=True)
        return 0 if kept == expected else 1

    def _wait_for_rows(self) -> tuple[str, str, int]:
        """Return the run's address, its path, and how many rows the server has in the end."""
        deadline_s = time.monotonic() + _UPLOAD_TIMEOUT_S
        url = path = ""
        kept = 0
        while kept < self.ranks * self.steps and time.monotonic() < deadline_s:
            for run in _runs():
                if run["run_id"] == self.run_id:
                    url, kept = run["url"], run["rows"] or 0
                    path = "/".join((run["entity"], run["project"], run["run_id"]))
            time.sleep(0.2)
        return url, path, kept


def _runs() -> list[dict[str, Any]]:
    """Return what `trackd ls --json` prints, nothing if it fails."""
    code = "import sys; from trackd.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "ls", "--json"]
    ended = subprocess.run(command, capture_output=True, check=False)
    return json.loads(ended.stdout) if ended.returncode == 0 else []


def _ranks(count: int) -> str:
    return f"{count} rank" if count == 1 else f"{count} ranks"


def _agent_pid() -> int:
    """Return the process id of the agent of this data directory, 0 if none is known."""
    try:
        return int(layout.agent_lock(layout.data_dir()).read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def _kill_agent(console: Console) -> int:
    """Kill the agent as a crash would, say so, and return its process id."""
    pid = _agent_pid()
    try:
        if pid:
            os.kill(pid, signal.SIGKILL)
    except OSError:
        pid = 0
    if pid:
        console.print(f"[bold red]killed the agent (pid {pid}, SIGKILL); the ranks go on[/]")
    else:
        console.print("[yellow]no agent to kill was found[/]")
    return pid
