"""Which run hears what: the console of one run, as its settings want it."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Protocol

from trackd.console.feed import feed
from trackd.console.loggers import LoggerCapture
from trackd.errors import UsageError
from trackd_proto.records import LOG_LINES, ConsoleOutput, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd.backends import RecordSink
    from trackd.console.feed import Listener
    from trackd.settings import Settings
    from trackd.terminal import Terminal

_TICK_S = 0.05


class _Feed(Protocol):
    """Passes on what the process prints."""

    def leave(self, listener: Listener) -> None: ...
    def drain(self) -> None: ...
    def tick(self) -> None: ...
    def abandon(self) -> None: ...


class ConsoleCapture:
    """The console of one run: what is printed, and what loggers get.

    Args:
        record: takes seconds since 1970, the stream's number, and raw text.
        settings: `console` and `capture_loggers` count.
        terminal: for warnings.
        write_logs: takes the text of captured loggers.
    """

    def __init__(
        self,
        record: Listener,
        settings: Settings,
        terminal: Terminal,
        write_logs: Callable[[str], None],
    ) -> None:
        self._record = record
        self._pid = os.getpid()
        self._terminal = terminal
        self._is_over = threading.Event()
        #: One object, so that it can be told from those of other runs.
        self._listener: Listener = self._hear
        self._feed: _Feed | None = None
        if settings.console == "redirect":
            self._feed = self._join_descriptors()
        if self._feed is None and settings.console != "off":
            self._feed = self._join_streams()
        self._loggers = LoggerCapture(settings.capture_loggers or {}, write_logs)

    def _join_descriptors(self) -> _Feed | None:
        from trackd.console.descriptors import descriptor_feed  # few want it, and not all systems

        found = descriptor_feed()
        try:
            found.join(self._listener)
        except OSError as error:
            self._terminal.warn(
                f"console='redirect' does not work here ({error}): sys.stdout and sys.stderr are "
                "captured instead, without the output of subprocesses"
            )
            return None
        return found

    def _join_streams(self) -> _Feed:
        found = feed()
        for name in found.join(self._listener):
            self._terminal.warn(
                f"{name} takes no new write(), so what is printed there is not captured: use "
                "console='redirect', or run.write_logs()"
            )
        return found

    def _hear(self, time_s: float, stream: int, text: str) -> None:
        if os.getpid() == self._pid:
            self._record(time_s, stream, text)

    def drain(self) -> None:
        """Record what was printed up to now."""
        if self._feed is not None:
            self._feed.drain()

    def tick(self) -> None:
        """Record what waits; called every few milliseconds by the sender."""
        if self._feed is not None:
            self._feed.tick()

    def start_ticking(self) -> None:
        """Tick by a thread of our own: there is no sender."""

        def tick() -> None:
            while not self._is_over.wait(_TICK_S):
                self.tick()

        threading.Thread(target=tick, name="trackd-console", daemon=True).start()

    def finish(self) -> None:
        """Record what is incomplete and stop."""
        self._is_over.set()
        self._loggers.remove()
        if self._feed is not None:
            self._feed.leave(self._listener)
            self._feed = None

    def abandon(self) -> None:
        """Stop without recording anything; used in forked children, whose loggers go on."""
        if self._feed is not None:
            self._feed.abandon()
            self._feed = None


def write_logs(sink: RecordSink, console: ConsoleCapture | None, text: str) -> None:
    """Record text as console lines, behind what was printed before; see `Run.write_logs`.

    Raises:
        TypeError: it is no text.
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] - users do it
        raise TypeError(
            f"write_logs() takes text, got {type(text).__name__}: use write_logs(str(value))"
        )
    if console is not None:
        console.drain()
    lines = text if text.endswith("\n") else f"{text}\n"
    try:
        sink.record(Kind.CONSOLE, ConsoleOutput(time.time(), LOG_LINES, lines))
    except UsageError:
        return  # the run has finished: a logger may well go on
