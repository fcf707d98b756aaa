"""Capture of file descriptors 1 and 2: subprocesses and C libraries are heard, too.

A descriptor is replaced by the writing end of a pipe (of a pseudo-terminal where the original is
a terminal, so that programs go on colouring), and a thread carries what comes to the original
and to the listeners. What is still on its way when the process is killed is lost to both.
"""

from __future__ import annotations

import atexit
import codecs
import contextlib
import fcntl
import functools
import os
import secrets
import select
import sys
import threading
import time
from typing import TYPE_CHECKING

from trackd.console.feed import STDERR, STDOUT
from trackd.logs import LOGGER

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd.console.feed import Listener

_READ_BYTES = 64 * 1024
#: Room in the pipe: code that holds the interpreter lock while it prints more than this stalls.
_PIPE_BYTES = 1024 * 1024
#: Longest wait for the last bytes, in seconds.
_LAST_BYTES_S = 2.0
_LOOK_S = 0.005


class DescriptorFeed:
    """The output of this process and its children, and who listens to it."""

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()
        self._relays: list[_Relay] = []

    def join(self, listener: Listener) -> None:
        """Let a listener hear what is printed from now on.

        Raises:
            OSError: there is no such descriptor, or no pipe is to be had.
        """
        if not self._listeners:
            _flush()
            try:
                for number in (STDOUT, STDERR):
                    self._relays.append(_Relay(number, functools.partial(self._hear, number)))
            except OSError:
                self._end()
                raise
        self._listeners += (listener,)

    def leave(self, listener: Listener) -> None:
        """Wait for what is on its way, and let the listener hear nothing more."""
        if listener in self._listeners:
            _flush()
            if len(self._listeners) == 1:
                self._end()
            for relay in self._relays:
                relay.settle()
        self._listeners = tuple(one for one in self._listeners if one is not listener)

    def drain(self) -> None:
        """Bring what Python holds back on its way."""
        _flush()

    def tick(self) -> None:
        """Nothing waits here."""

    def abandon(self) -> None:
        """Forget who listened; called in a forked child, whose output its parent hears."""
        self._listeners = ()
        for relay in self._relays:
            relay.forget()
        self._relays = []

    def _end(self) -> None:
        for relay in self._relays:
            relay.end()
        self._relays = []

    def _hear(self, number: int, text: str) -> None:
        now_s = time.time()
        for listener in self._listeners:
            try:
                listener(now_s, number, text)
            except Exception:  # noqa: BLE001 - without this thread every `print` would fail
                LOGGER.exception("console output could not be recorded")


class _Relay:
    """One descriptor that was replaced."""

    def __init__(self, number: int, hear: Callable[[str], None]) -> None:
        self._number = number
        self._hear = hear
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._original = os.dup(number)
        try:
            self._is_terminal = os.isatty(self._original)
            self._reader, writer = _terminal_pair() if self._is_terminal else _pipe()
        except OSError:
            os.close(self._original)
            raise
        #: Marks the end in a terminal, where nothing tells that all was read.
        self._mark = b"\x00trackd-" + secrets.token_hex(8).encode()
        self._is_ending = threading.Event()
        self._is_heard = threading.Event()
        self._is_carrying = False
        self._window = b""
        name = f"trackd-console-{number}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # there are as many as the system allows
            for descriptor in (self._reader, writer, self._original):
                os.close(descriptor)
            raise OSError(str(error)) from error
        os.dup2(writer, number, inheritable=True)
        os.close(writer)

    def end(self) -> None:
        """Put the original back and wait until all that came before was heard."""
        if self._is_terminal:
            with contextlib.suppress(OSError):
                os.write(self._number, self._mark)
        os.dup2(self._original, self._number, inheritable=True)
        self._is_ending.set()
        self._is_heard.wait(_LAST_BYTES_S)
        # The thread goes on for children that still write; it ends with the last of them, or
        # with this process.
        if self._thread.is_alive():
            atexit.register(self.settle)

    def settle(self) -> None:
        """Wait until what was written is carried on and heard; not long while more comes."""
        until_s = time.monotonic() + _LAST_BYTES_S
        while self._thread.is_alive() and time.monotonic() < until_s:
            with contextlib.suppress(OSError, ValueError):  # the thread closed it
                if not select.select([self._reader], [], [], 0)[0] and not self._is_carrying:
                    return
            time.sleep(_LOOK_S)

    def forget(self) -> None:
        """Close what belongs to the parent."""
        os.close(self._reader)
        os.close(self._original)

    def _run(self) -> None:
        """Carry bytes until nobody can write any more."""
        hearing = True
        try:
            while True:
                hearing = hearing and not (self._is_ending.is_set() and self._is_empty())
                if not hearing:
                    self._is_heard.set()
                elif not select.select([self._reader], [], [], 0.05)[0]:
                    continue  # the end may have been asked for meanwhile
                if self._is_terminal:
                    self._copy_window()
                data = self._read()
                if not data:
                    break
                if hearing and self._is_terminal:
                    data, hearing = self._cut_mark(data)
                self._write(data)
                if data and (hearing or not self._is_heard.is_set()):
                    self._hear(self._decode(data))
                self._is_carrying = False
        except OSError:  # of a terminal: nobody holds the other end any more
            pass
        finally:
            self._is_heard.set()
            os.close(self._reader)
            os.close(self._original)

    def _read(self) -> bytes:
        select.select([self._reader], [], [])
        self._is_carrying = True
        return os.read(self._reader, _READ_BYTES)

    def _is_empty(self) -> bool:
        """Whether a pipe holds nothing; a terminal says so by the mark only."""
        return not self._is_terminal and not select.select([self._reader], [], [], 0)[0]

    def _cut_mark(self, data: bytes) -> tuple[bytes, bool]:
        """Return the data without the mark, and whether the mark is still to come."""
        begins = [self._mark[:n] for n in range(1, len(self._mark))]
        while self._mark not in data and data.endswith(tuple(begins)):
            more = os.read(self._reader, _READ_BYTES)
            if not more:
                break
            data += more
        if self._mark not in data:
            return data, True
        return data.replace(self._mark, b""), False

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._original, data) :]
            except BlockingIOError:  # the original does not block: whoever reads it is slow
                select.select([], [self._original], [], 1.0)
            except OSError:
                return  # the terminal is gone; the run goes on hearing

    def _copy_window(self) -> None:
        """Give the pseudo-terminal the size of the terminal."""
        import termios

        with contextlib.suppress(OSError):
            window = fcntl.ioctl(self._original, termios.TIOCGWINSZ, b"\0" * 8)
            if window != self._window:
                self._window = window
                fcntl.ioctl(self._reader, termios.TIOCSWINSZ, window)


def _pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    with contextlib.suppress(OSError, AttributeError):  # what the user's limit allows will do
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return reader, writer


def _terminal_pair() -> tuple[int, int]:
    import pty  # only where there is a terminal
    import tty

    reader, writer = pty.openpty()
    tty.setraw(writer)  # the real terminal turns line feeds into new lines
    return reader, writer


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


@functools.cache
def descriptor_feed() -> DescriptorFeed:
    """Return the feed of this process."""
    return DescriptorFeed()
