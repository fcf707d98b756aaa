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

_STEP = re.compile(r"step (\d+)/\d+")
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
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        progress = Progress(
            *columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal
        )
        console.print(f"{self.ranks} ranks, {self.steps} steps, one run: {self.run_id}")
        with progress:
            ranks = [self._start(number, progress) for number in range(self.ranks)]
            for line in self._follow(ranks, progress):
                console.print(line, markup=False)
                if kill_agent and min(rank.step for rank in ranks) >= self.steps * _KILL_AT:
                    kill_agent = False
                    console.print(_kill_agent())
        failed = [rank for rank in ranks if rank.process.wait() != 0]
        for rank in failed:
            console.print(f"rank {rank.number} ended with status {rank.process.returncode}:")
            console.print("\n".join(rank.last_lines), markup=False)
        return 1 if failed else self._look(console)

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
        return _Rank(number, process, progress.add_task(f"rank {number}", total=self.steps))

    def _follow(self, ranks: list[_Rank], progress: Progress) -> Iterator[str]:
        """Yield the lines of rank 0 until all ranks have closed their output."""
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
                    steps = [int(found[1]) for line in lines if (found := _STEP.search(line))]
                    rank.step = max([rank.step, *steps])
                    progress.update(rank.bar, completed=rank.step)
                    yield from lines if rank.number == 0 else ()

    def _look(self, console: Console) -> int:
        """Count what the server has, and say how to look at it."""
        url, path, kept = self._wait_for_rows()
        expected = self.ranks * self.steps
        console.print()
        if kept == expected:
            console.print(f"All {kept} rows of {self.ranks} ranks are in the server.")
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


def _kill_agent() -> str:
    """Kill the agent of this data directory as a crash would, and say so."""
    try:
        pid = int(layout.agent_lock(layout.data_dir()).read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
    except (OSError, ValueError, IndexError) as error:
        return f"[yellow]no agent to kill was found: {error}[/]"
    return f"[bold red]killed the agent (pid {pid}, SIGKILL); the ranks go on[/]"
