"""A child process whose output is read under a deadline and a bound: probes and vendors' tools.

Without threads: standard output and standard error are read together by whoever waits for an
answer. A child that writes while nobody asks fills its pipe (64 KiB) and stands still.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

_CHUNK_BYTES = 65536
#: What is kept of standard error, from its end: it becomes part of a reason that people read.
MAX_STDERR_BYTES = 2048
#: How long an ended child is waited for. One stuck in the kernel cannot be; it is left behind.
_REAP_S = 1.0
#: How much it may write to standard error until it has answered; reading on would cost a core.
MAX_MOANS_BYTES = 4 * 1024**2
_LOOK_S = 0.005


class ChildError(Exception):
    """A child process gave no usable output: it hung, flooded, ended or could not be started."""


class Child:
    """A running process of which lines, or everything, is read."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        with_input: bool = False,
    ) -> None:
        """Start the process, in a session of its own (Ctrl-C at a terminal is for the agent).

        Raises:
            ChildError: It cannot be started.
        """
        self._name = os.path.basename(command[0])  # noqa: PTH119 (text, for messages)
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if with_input else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise ChildError(f"{command[0]} does not start: {error.strerror}") from error
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._out, self._err = self._process.stdout.fileno(), self._process.stderr.fileno()
        self._buffer = bytearray()
        self._stderr = bytearray()
        self._moans_bytes = 0  # since it was last waited for
        self._selector = selectors.DefaultSelector()
        for descriptor in (self._out, self._err):
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def stderr(self) -> str:
        """The end of what it wrote to standard error, in one line."""
        return " ".join(self._stderr.decode(errors="replace").split())

    @property
    def has_left(self) -> bool:
        """Whether it ended by itself and all was well."""
        return self._status() == 0

    def send(self, line: bytes) -> None:
        """Write a line (shorter than a pipe, so that this never waits) to its standard input.

        Raises:
            ChildError: It has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
        except (OSError, ValueError) as error:  # ValueError: closed meanwhile
            raise ChildError(self._why("ended")) from error

    def read_line(self, deadline_s: float, max_bytes: int) -> bytes:
        """Return the next line of its output, without the end of the line.

        Raises:
            ChildError: None came in time, it is too long, or the process ended.
        """
        until_s, self._moans_bytes = time.monotonic() + deadline_s, 0
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > max_bytes:
                raise ChildError(self._why(f"wrote a line of more than {max_bytes} bytes"))
            if not self._receive(until_s):
                raise ChildError(self._why("ended"))
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def read_all(self, deadline_s: float, max_bytes: int) -> bytes:
        """Return everything it writes until it ends.

        A status other than 0 after an answer is the reader's to judge: tools end so where one
        device out of many lacks something that they ask for.

        Raises:
            ChildError: It does not end in time, writes too much, or fails without a word.
        """
        until_s, self._moans_bytes = time.monotonic() + deadline_s, 0
        while self._receive(until_s):
            if len(self._buffer) > max_bytes:
                raise ChildError(self._why(f"wrote more than {max_bytes} bytes"))
        status = self._wait(until_s)
        if status is None:
            raise ChildError(self._why("closed its output and did not end"))
        if status and not self._buffer:
            raise ChildError(self._why("ended"))
        return bytes(self._buffer)

    def kill(self) -> None:
        """End the process at once, from any thread: whoever reads from it is told that it ended.

        What it started ends with it: a vendor's tool may be a script, which may have ended first.
        """
        if self._process.returncode is None:  # else its number may be that of others by now
            with contextlib.suppress(ProcessLookupError, PermissionError):  # all have ended
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the process and give back its pipes; again is harmless. Only for who reads it."""
        self.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_REAP_S)
        self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _receive(self, until_s: float) -> bool:
        """Wait for some output and take it; False when standard output has ended."""
        remaining_s = until_s - time.monotonic()
        ready = self._selector.select(remaining_s) if remaining_s > 0 else []
        if not ready:
            raise ChildError(self._why("gave no answer in time"))
        for key, _ in ready:
            try:
                chunk = os.read(key.fd, _CHUNK_BYTES)
            except BlockingIOError:
                continue
            if key.fd == self._out:
                self._buffer += chunk
                if not chunk:
                    return False
            elif chunk:
                self._hear(chunk)
            else:
                self._selector.unregister(key.fd)
        return True

    def _hear(self, chunk: bytes) -> None:
        self._stderr += chunk
        del self._stderr[:-MAX_STDERR_BYTES]
        self._moans_bytes += len(chunk)
        if self._moans_bytes > MAX_MOANS_BYTES:
            raise ChildError(self._why(f"wrote more than {MAX_MOANS_BYTES} bytes of errors"))

    def _wait(self, until_s: float) -> int | None:
        """Return the status with which it ended, None if it runs at that time."""
        while (status := self._status()) is None and time.monotonic() < until_s:
            time.sleep(_LOOK_S)
        return status

    def _status(self) -> int | None:
        """Return the status with which it ended, negative for a signal; None while it runs.

        It is not reaped: until `close` its number stays that of all that it started.
        """
        if self._process.returncode is not None or not hasattr(os, "waitid"):  # (macOS)
            return self._process.poll()
        found = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def _why(self, what: str) -> str:
        with contextlib.suppress(OSError):  # nothing more in the pipe, which holds one chunk
            self._stderr += os.read(self._err, _CHUNK_BYTES)
            del self._stderr[:-MAX_STDERR_BYTES]
        ended = ""
        if what == "ended":
            status = self._wait(time.monotonic() + _REAP_S)  # its output ends a moment before
            ended = "" if status is None else f" with status {status}"
        return f"{self._name} {what}{ended}" + (f": {self.stderr}" if self._stderr else "")
