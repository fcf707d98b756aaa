"""Vendors' tools that print one answer and end (`rocm-smi -a --json`): their newest output.

Such a tool may take longer than a tick waits. It then runs on in a thread, what it printed counts
for the next sample, and from then on nobody waits for it: a tick is for all collectors. It is
started so seldom that it is at work a fifth of the time at most.
"""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackd_agent.monitor.contract import NoDataError
from trackd_agent.monitor.readers.backoff import Backoff
from trackd_agent.monitor.readers.child import Child, ChildError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: How long a tool may run before it is killed.
RUN_S = 30.0
MAX_OUTPUT_BYTES = 1024**2
#: A tool that took `t` seconds is not started again within this many times `t`.
PAUSE_FACTOR = 5
#: An output older than this is no news.
FRESH_S = 300.0


class ToolError(Exception):
    """A tool gave no output: it failed, hung, flooded, or is still at work."""


@dataclass(frozen=True, slots=True)
class _Output:
    text: str
    at_s: float


class ToolReader:
    """The newest output of one command."""

    def __init__(
        self,
        programs: Sequence[str],
        arguments: Sequence[str],
        wait_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is started before the first question.

        Args:
            programs: Names on PATH or absolute paths, the first that exists counts.
            arguments: What it is called with.
            wait_s: How long a question waits for an output before it takes the one before.
            clock: Monotonic seconds.
        """
        self._programs, self._arguments, self._wait_s = programs, arguments, wait_s
        self._clock = clock
        self._backoff = Backoff(clock)
        self._starting = threading.Lock()
        self._run: threading.Thread | None = None
        self._child: Child | None = None
        self._output: _Output | None = None
        self._next_start_s = float("-inf")
        self._closed = False
        #: Whether what is read is what the run before has printed.
        self.is_slow = False

    def read(self) -> str:
        """Return what the tool printed last; blocks for `wait_s` at most.

        Raises:
            NoDataError: There is no such program.
            ToolError: It failed, or has not printed anything yet.
        """
        program = self._find()
        with self._starting:
            self._start(program)
            run = self._run
        if run is not None and not self.is_slow:
            run.join(self._wait_s)
            self.is_slow = run.is_alive()
        if self._backoff.reason:
            raise ToolError(f"{self._backoff.reason}; next try in {self._backoff.wait_s:.0f} s")
        output = self._output
        if output is None or self._clock() - output.at_s > FRESH_S:
            raise ToolError(
                f"{program} is still at work; what it prints counts for the next sample"
            )
        return output.text

    def close(self) -> None:
        """End a run under way; nothing is started from now on."""
        self._closed = True
        if (child := self._child) is not None:
            child.kill()

    def _find(self) -> str:
        for program in self._programs:
            if path := shutil.which(program):
                return path
        raise NoDataError(f"there is no program {self._programs[0]}")

    def _start(self, program: str) -> None:
        """Start a run if one is due."""
        is_running = self._run is not None and self._run.is_alive()
        is_due = self._clock() >= self._next_start_s and not self._backoff.wait_s
        if is_running or not is_due or self._closed:
            return
        self._run = threading.Thread(
            target=self._keep_output, args=(program,), name=f"tool {program}", daemon=True
        )
        self._run.start()

    def _keep_output(self, program: str) -> None:
        started_s = self._clock()
        try:
            with Child([program, *self._arguments]) as child:
                self._child = child
                if self._closed:  # while it was being started
                    child.kill()
                printed = child.read_all(RUN_S, MAX_OUTPUT_BYTES)
        except ChildError as error:
            self._output = None
            self._backoff.failed(str(error))
        else:
            self._output = _Output(printed.decode(errors="replace"), self._clock())
            self._backoff.succeeded()
        finally:
            self._child = None
            took_s = self._clock() - started_s
            self._next_start_s = started_s + PAUSE_FACTOR * took_s
            self.is_slow = took_s > self._wait_s
