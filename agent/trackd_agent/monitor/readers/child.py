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
        return self._process.poll() == 0

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
        until_s = time.monotonic() + deadline_s
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
        until_s = time.monotonic() + deadline_s
        while self._receive(until_s):
            if len(self._buffer) > max_bytes:
                raise ChildError(self._why(f"wrote more than {max_bytes} bytes"))
        try:
            status = self._process.wait(max(0.0, until_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise ChildError(self._why("closed its output and did not end")) from None
        if status and not self._buffer:
            raise ChildError(self._why("ended"))
        return bytes(self._buffer)

    def kill(self) -> None:
        """End the process at once, from any thread: whoever reads from it is told that it ended.

        What it started ends with it: a vendor's tool may be a script.
        """
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it ended this moment
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
                self._stderr += chunk
                del self._stderr[:-MAX_STDERR_BYTES]
            else:
                self._selector.unregister(key.fd)
        return True

    def _why(self, what: str) -> str:
        with contextlib.suppress(OSError):  # nothing more in the pipe, which holds one chunk
            self._stderr += os.read(self._err, _CHUNK_BYTES)
            del self._stderr[:-MAX_STDERR_BYTES]
        ended = ""
        if what == "ended":
            with contextlib.suppress(subprocess.TimeoutExpired):  # its output ends a moment before
                ended = f" with status {self._process.wait(_REAP_S)}"
        return f"{self._name} {what}{ended}" + (f": {self.stderr}" if self._stderr else "")
