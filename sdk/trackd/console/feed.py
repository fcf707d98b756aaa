"""What this process writes to `sys.stdout` and `sys.stderr`, in order, for every run that listens.

`write` of the two streams is wrapped once per process. The wrapper writes to the terminal as
before and puts the text into a queue. While little is printed every line is passed on before
`print` returns, so that it outlives a kill. While much is printed the wrapper of stdout is another
one, which does nothing but append to a `Batch`; full batches are joined, and a tick (of the runs'
senders, every few milliseconds) passes on what there is in one piece.
"""

from __future__ import annotations

import functools
import io
import itertools
import operator
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from trackd.console.batch import Batch
from trackd.logs import LOGGER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    #: Takes seconds since 1970, 1 or 2 (stdout, stderr), and raw text.
    Listener = Callable[[float, int, str], None]

STDOUT, STDERR = 1, 2
#: Longer pieces are split.
MAX_RECORD_CHARACTERS = 64 * 1024
#: Lines that are passed on at once between two ticks; more than that wait for the tick.
_PROMPT_LINES = 16
#: A tick that finds at most so many writes lets lines be passed on at once again.
_FEW_WRITES = 64
#: Writes that may wait; the next one passes them on.
_MAX_WAITING = 4096
#: Characters of joined texts that may wait for the tick; whoever prints more passes them on.
_MAX_PACKED_CHARACTERS = 4 * 1024 * 1024
#: Writes that are joined into one text where much is printed.
_BATCH_WRITES = 2048
#: Full batches that are looked at again, for the text of a thread that was on its way.
_LATE_BATCHES = 64
_STREAMS = ((STDOUT, "stdout"), (STDERR, "stderr"))
#: Longest wait of the end of a run for another thread that is passing text on, in seconds.
_LAST_WORD_S = 1.0


class Feed:
    """The output of this process and who listens to it."""

    __slots__ = (
        "_batches", "_listeners", "_lock", "_number", "_packed", "_printer", "_prompt_lines",
        "_queue", "_taps", "batch", "max_waiting",
    )  # fmt: skip

    def __init__(self) -> None:
        #: Texts of stdout, and 1-tuples of texts of stderr.
        self._queue: list[Any] = []
        #: What was before that: pairs of stream and text.
        self._packed: list[tuple[int, str]] = []
        #: What takes stdout while much is printed.
        self.batch: Batch | None = None
        #: The number of it.
        self._number = 0
        #: It, and those before.
        self._batches: deque[Batch] = deque()
        #: The thread that prints much; 0: more than one does, and they use no batches.
        self._printer: int | None = None
        #: Queue length above which a write settles; 0: every write does.
        self.max_waiting = 0
        self._prompt_lines = _PROMPT_LINES
        # Never waited for by who prints: a signal handler or a finaliser may print in the
        # middle of anything.
        self._lock = threading.Lock()
        self._listeners: tuple[Listener, ...] = ()
        self._taps: list[_Tap] = []

    # --- who listens -------------------------------------------------------------------------

    def join(self, listener: Listener) -> list[str]:
        """Let a listener hear what is printed from now on; return what cannot be tapped."""
        refused: list[str] = []
        if self._listeners:
            self.drain()
        else:
            self._forget()
            refused = self._tap()
        self._listeners += (listener,)
        return refused

    def leave(self, listener: Listener) -> None:
        """Pass on what waits, and let the listener hear nothing more."""
        if self._lock.acquire(timeout=_LAST_WORD_S):
            self._lock.release()
        self.drain()
        self._listeners = tuple(one for one in self._listeners if one is not listener)
        if not self._listeners:
            self._untap()

    def renew(self) -> None:
        """Wrap the streams again: a notebook takes the wrappers off at the end of a cell."""
        if self._listeners:
            for tap in self._taps:
                tap.remove()
            self._taps = []
            self._tap()

    def abandon(self) -> None:
        """Forget everything; called in a forked child, whose output is its own."""
        self._lock = threading.Lock()  # another thread may have held it at the fork
        self._listeners = ()
        self._untap()

    # --- passing on --------------------------------------------------------------------------

    def settle(self, text: str) -> None:
        """Called by a write: pass on what waits, if it is time."""
        if not self.max_waiting:
            is_line = text.endswith("\n") or len(text) >= MAX_RECORD_CHARACTERS
            if not is_line and len(self._queue) <= _MAX_WAITING:
                return
            self._prompt_lines -= 1
            if self._prompt_lines <= 0:
                self.max_waiting = _MAX_WAITING
                printer = threading.get_ident()
                self._printer = printer if self._printer in (None, printer) else 0
                if self._printer:
                    self._pack_and_hurry()
                    return
        self.drain()

    def tick(self) -> None:
        """Pass on what waits; called every few milliseconds by a thread of each run."""
        batch = self.batch
        waiting = len(self._queue) + (len(batch) if batch else 0)
        is_calm = waiting <= _FEW_WRITES and not self._packed
        if is_calm:  # otherwise much is printed still: on in large pieces
            self.calm()
            self._prompt_lines = _PROMPT_LINES
            self.max_waiting = 0
            self._printer = None
        self.drain()

    def drain(self) -> None:
        """Pass on what waits, unless a thread, perhaps this one, is at it already."""
        lock = self._lock
        while self._is_waiting() and lock.acquire(blocking=False):
            try:
                self._pack()
                packed, self._packed = self._packed, []
                self._deliver(packed)
            except Exception:  # noqa: BLE001 - `print` must not fail because we do
                LOGGER.exception("console output could not be recorded")
                return
            finally:
                lock.release()

    def _is_waiting(self) -> bool:
        return bool(self._queue or self._packed or any(map(len, self._batches)))

    def _pack_and_hurry(self) -> None:
        if self._lock.acquire(blocking=False):
            try:
                self._pack()
                self._hurry()
            finally:
                self._lock.release()
            if sum(len(text) for _, text in self._packed) > _MAX_PACKED_CHARACTERS:
                self.drain()

    def _pack(self) -> None:
        if self.batch:
            self._hurry()  # with the next one: what is in this one is taken
        batches = self._batches
        for batch in tuple(batches):
            if batch is not self.batch and (items := batch.take()):
                self._packed += _joined(items)
        while len(batches) > _LATE_BATCHES:
            batches.popleft()
        items = self._queue[:]
        del self._queue[: len(items)]
        if items:
            self._packed += _joined(items)

    # --- much is printed, or little ----------------------------------------------------------

    def _hurry(self) -> None:
        """Let stdout write into a new batch; not where somebody else wrapped what we wrapped."""
        number = self._number + 1
        batch = Batch(_BATCH_WRITES, self._on_full, number)
        self._batches.append(batch)
        taken = [tap.hurry(batch.append) for tap in self._taps]
        self._number = number
        self.batch = batch if any(taken) else None

    def calm(self) -> None:
        """Let stdout write into the queue again."""
        if self.batch is not None:
            self.batch = None
            for tap in self._taps:
                tap.calm()

    def _on_full(self, number: int) -> None:
        """Let the next write come to `settle`, unless that batch is done with anyway."""
        if number == self._number and self.batch is not None:
            self._prompt_lines = self.max_waiting = 0
            self.calm()

    def _deliver(self, packed: list[tuple[int, str]]) -> None:
        listeners = self._listeners
        if not listeners:
            return
        now_s = time.time()
        for stream, pieces in itertools.groupby(packed, operator.itemgetter(0)):
            text = "".join(piece for _, piece in pieces)
            for start in range(0, len(text), MAX_RECORD_CHARACTERS):
                piece = text[start : start + MAX_RECORD_CHARACTERS]
                for listener in listeners:
                    listener(now_s, stream, piece)

    # --- the streams -------------------------------------------------------------------------

    def _tap(self) -> list[str]:
        """Wrap both streams; return those that refuse it."""
        refused: list[str] = []
        for number, name in _STREAMS:
            stream, original = getattr(sys, name, None), getattr(sys, f"__{name}__", None)
            # What replaced the stream may be there for a moment only, or write to the original.
            for one in (stream,) if stream is original else (stream, original):
                if one is None:
                    continue
                try:
                    self._taps.append(self._make_tap(one, number))
                except (AttributeError, TypeError):
                    if one is stream:
                        refused.append(f"sys.{name} ({type(one).__name__})")
        return refused

    def _untap(self) -> None:
        for tap in self._taps:
            tap.remove()
        self._taps = []
        self._forget()
        self.max_waiting = 0

    def _forget(self) -> None:
        self._number += 1  # the alarm of the last batch concerns nobody any more
        self.batch = None
        self._batches.clear()
        self._queue.clear()
        self._packed = []

    def _make_tap(self, stream: Any, number: int) -> _Tap:
        is_original = stream is getattr(sys, _STREAMS[number - 1][1])
        original = stream.write
        if type(stream) is not io.TextIOWrapper or not is_original:
            return _Tap(stream, self._make_careful_write(original, number))
        # Python's own streams take text only, and all of it.
        if number == STDOUT:
            return _Tap(stream, self._make_write(original), original)
        return _Tap(stream, self._make_error_write(original))

    def _make_write(self, original: Callable[[str], int]) -> Callable[..., Any]:
        feed, queue = self, self._queue
        append = queue.append

        def write(text: str, /) -> int:
            written = original(text)
            append(text)
            if len(queue) > feed.max_waiting:
                feed.settle(text)
            return written

        return write

    def _make_error_write(self, original: Callable[[str], int]) -> Callable[..., Any]:
        feed, queue = self, self._queue
        append = queue.append

        def write(text: str, /) -> int:
            written = original(text)
            if feed.batch is not None:
                feed.calm()  # what is in it comes first
            append((text,))
            if len(queue) > feed.max_waiting:
                feed.settle(text)
            return written

        return write

    def _make_careful_write(
        self, original: Callable[[Any], Any], number: int
    ) -> Callable[..., Any]:
        """Return the wrapper for other objects, which may write to a wrapped stream themselves."""

        def write(data: Any, /, *more: Any, **named: Any) -> Any:
            if _inside.get():
                return original(data, *more, **named)
            _inside.enter()
            try:
                written = original(data, *more, **named)
            finally:
                _inside.leave()
            if text := _text_of(data, written):
                self._queue.append(text if number == STDOUT else (text,))
                if len(self._queue) > self.max_waiting:
                    self.settle(text)
            return written

        return write


class _Tap:
    """One wrapped stream."""

    def __init__(
        self,
        stream: Any,
        write: Callable[..., Any],
        original: Callable[[str], int] | None = None,
    ) -> None:
        self._stream = stream
        self._write = self._calm_write = write
        #: Set where the stream takes nothing but text.
        self._original = original
        attributes: dict[str, Any] = getattr(stream, "__dict__", {})
        #: What somebody else had put there before.
        self._before = attributes.get("write")
        stream.write = write

    def hurry(self, append: Callable[[str], None]) -> bool:
        """Use a wrapper that appends what is written, and nothing else; False: it does not go."""
        original = self._original
        if original is None:
            return False

        def write(text: str, /) -> int:
            append(text)
            return original(text)

        return self._use(write)

    def calm(self) -> None:
        """Use the wrapper that passes lines on at once, or when they are many."""
        self._use(self._calm_write)

    def _use(self, write: Callable[..., Any]) -> bool:
        # One that somebody wrapped, or kept, goes on as it is: every wrapper loses nothing.
        is_ours = self._stream.__dict__.get("write") is self._write
        if is_ours:
            self._stream.write = self._write = write
        return is_ours

    def remove(self) -> None:
        """Take the wrapper off. One that somebody wrapped stays where it is, and harmless."""
        if self._stream.__dict__.get("write") is not self._write:
            return
        if self._before is None:
            del self._stream.write
        else:
            self._stream.write = self._before


class _Inside(threading.local):
    """Whether this thread is writing to a wrapped stream."""

    depth = 0

    def get(self) -> bool:
        return self.depth > 0

    def enter(self) -> None:
        self.depth += 1

    def leave(self) -> None:
        self.depth -= 1


_inside = _Inside()


def _text_of(data: Any, written: Any) -> str:
    """Return what of `data` a stream took."""
    if isinstance(written, int) and 0 <= written < len(data):
        data = data[:written]
    if isinstance(data, str):
        return str(data)
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(cast("bytes", data)).decode("utf-8", "replace")
    return ""


def _joined(items: list[Any]) -> list[tuple[int, str]]:
    """Return the texts of each stream, as long as possible, in order."""
    try:
        return [(STDOUT, "".join(items))]
    except TypeError:  # there is something of stderr, or what a stream is about to refuse
        return [
            (stream, "".join(text for _, text in texts))
            for stream, texts in itertools.groupby(_labelled(items), operator.itemgetter(0))
        ]


def _labelled(items: list[Any]) -> Iterator[tuple[int, str]]:
    for item in items:
        if isinstance(item, str):
            yield STDOUT, item
        elif isinstance(item, tuple):
            yield STDERR, cast("tuple[str]", item)[0]


@functools.cache
def feed() -> Feed:
    """Return the feed of this process."""
    return Feed()
