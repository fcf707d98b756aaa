"""What this process writes to `sys.stdout` and `sys.stderr`, in order, for every run that listens.

`write` of the two streams is wrapped once per process. The wrapper writes to the terminal as
before and puts the text into a queue. While little is printed every line is passed on before
`print` returns, so that it outlives a kill. While much is printed the wrapper of stdout does
nothing but append to a `Batch`; full batches are joined, and a tick (of the runs' senders, every
few milliseconds) passes on what there is in one piece.
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
from typing import TYPE_CHECKING, Any, NamedTuple, cast

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
_MAX_PACKED_CHARACTERS = 16 * 1024 * 1024
#: Writes that are joined into one text where much is printed.
_BATCH_WRITES = 2048
_STREAMS = ((STDOUT, "stdout"), (STDERR, "stderr"))
#: Longest wait of the end of a run for another thread that is passing text on, in seconds.
_LAST_WORD_S = 1.0


class Feed:
    """The output of this process and who listens to it."""

    __slots__ = (
        "_batches", "_calm_append", "_delivering", "_listeners", "_packed", "_packing",
        "_prompt_lines", "_queue", "_switch", "_taps", "max_waiting",
    )  # fmt: skip

    def __init__(self) -> None:
        #: Texts of stdout, and 1-tuples of texts of stderr.
        self._queue: list[Any] = []
        #: What was before that: pairs of stream and text.
        self._packed: list[tuple[int, str]] = []
        #: What takes stdout while much is printed, and before that those that are full.
        self._batches: deque[Batch] = deque()
        #: Where stdout's wrapper puts a text; None where stdout is something of its own kind.
        self._switch: _Switch | None = None
        self._calm_append = self._append
        #: Queue length above which a write settles; 0: every write does.
        self.max_waiting = 0
        self._prompt_lines = _PROMPT_LINES
        # Never waited for by who prints: a signal handler or a finaliser may print in the
        # middle of anything. Two, since delivering may take long, and batches fill meanwhile.
        self._packing, self._delivering = threading.Lock(), threading.Lock()
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
        for lock in (self._delivering, self._packing):
            if lock.acquire(timeout=_LAST_WORD_S):
                lock.release()
        self.drain()
        self._listeners = tuple(one for one in self._listeners if one is not listener)
        if not self._listeners:
            self._untap()

    def renew(self) -> None:
        """Wrap the streams again: a notebook takes the wrappers off at the end of a cell."""
        if self._listeners:
            self.calm()
            for tap in self._taps:
                tap.remove()
            self._taps = []
            self._tap()

    def abandon(self) -> None:
        """Forget everything; called in a forked child, whose output is its own."""
        # Other threads may have held them at the fork.
        self._packing, self._delivering = threading.Lock(), threading.Lock()
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
                if self._switch is not None:
                    self._pack_and_hurry()
                    return
        self.drain()

    def tick(self) -> None:
        """Pass on what waits; called every few milliseconds by a thread of each run."""
        waiting = len(self._queue) + sum(map(len, tuple(self._batches)))
        is_calm = waiting <= _FEW_WRITES and not self._packed
        if is_calm:  # otherwise much is printed still: on in large pieces
            self.calm()
            self._prompt_lines = _PROMPT_LINES
            self.max_waiting = 0
        self.drain()

    def drain(self) -> None:
        """Pass on what waits, unless a thread, perhaps this one, is at it already."""
        while self._is_waiting() and self._delivering.acquire(blocking=False):
            try:
                if not (packed := self._take()):
                    return
                self._deliver(packed)
            except Exception:  # noqa: BLE001 - `print` must not fail because we do
                LOGGER.exception("console output could not be recorded")
                return
            finally:
                self._delivering.release()

    def _is_waiting(self) -> bool:
        return bool(self._queue or self._packed or any(map(len, tuple(self._batches))))

    def _take(self) -> list[tuple[int, str]]:
        """Return all that waits; nothing while a thread, perhaps this one, is packing."""
        if not self._packing.acquire(blocking=False):
            return []
        try:
            self._pack()
            packed, self._packed = self._packed, []
        finally:
            self._packing.release()
        return packed

    def _pack_and_hurry(self) -> None:
        if self._packing.acquire(blocking=False):
            try:
                self._pack()
                self._hurry()
            except Exception:  # noqa: BLE001 - as above
                LOGGER.exception("console output could not be recorded")
            finally:
                self._packing.release()
            if sum(len(text) for _, text in self._packed) > _MAX_PACKED_CHARACTERS:
                self.drain()

    def _pack(self) -> None:
        batches, switch = self._batches, self._switch
        if batches and self.is_hurried and batches[-1]:
            self._hurry()  # with the next one: what is in this one is taken
        used = switch.get() if switch else None
        while batches and batches[0].append is not used:
            if items := batches.popleft().take():
                self._packed += _joined(items)
        items = self._queue[:]
        del self._queue[: len(items)]
        if items:
            self._packed += _joined(items)

    # --- much is printed, or little ----------------------------------------------------------

    @property
    def is_hurried(self) -> bool:
        """Whether stdout goes into a batch."""
        return self._switch is not None and self._switch.get() is not self._calm_append

    def _hurry(self) -> None:
        """Let stdout go into a new batch; while `_packing` is held."""
        if self._switch is not None:
            batch = Batch(_BATCH_WRITES, self._on_full)
            self._batches.append(batch)
            self._switch.put(batch.append)

    def calm(self) -> None:
        """Let stdout go into the queue."""
        if self._switch is not None:
            self._switch.put(self._calm_append)

    def _on_full(self) -> None:
        """Let the next text come to `settle`."""
        self.calm()
        self._prompt_lines = self.max_waiting = 0

    def _append(self, text: str) -> None:
        self._queue.append(text)
        if len(self._queue) > self.max_waiting:
            self.settle(text)

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
        self.calm()
        self._switch = None
        self._forget()
        self.max_waiting = 0

    def _forget(self) -> None:
        self._batches.clear()
        self._queue.clear()
        self._packed = []

    def _make_tap(self, stream: Any, number: int) -> _Tap:
        original = stream.write
        is_original = stream is getattr(sys, _STREAMS[number - 1][1])
        # Python's own streams take text only, and all of it.
        if type(stream) is not io.TextIOWrapper or not is_original:
            write = self._make_careful_write(original, number)
        elif number == STDERR:
            write = self._make_error_write(original)
        else:
            self._switch = _switchable(original, self._calm_append)
            write = self._switch.write
        return _Tap(stream, write)

    def _make_error_write(self, original: Callable[[str], int]) -> Callable[..., Any]:
        feed, queue = self, self._queue
        append = queue.append

        def write(text: str, /) -> int:
            written = original(text)
            if feed.is_hurried:
                feed.calm()  # what is in the batch comes first
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


class _Switch(NamedTuple):
    """A wrapper of `write`, and how to change or see what it puts texts into."""

    write: Callable[[str], int]
    put: Callable[[Callable[[str], object]], None]
    get: Callable[[], Callable[[str], object]]


def _switchable(original: Callable[[str], int], append: Callable[[str], object]) -> _Switch:
    """Return the wrapper of a stream that takes text only, and all of it.

    It stays the same, since others may wrap or keep it, and loses no text while `append` is
    changed: a thread that reads that variable calls what it read before another one's turn.
    """

    def write(text: str, /) -> int:
        written = original(text)
        append(text)
        return written

    def put(new: Callable[[str], object]) -> None:
        nonlocal append
        append = new

    return _Switch(write, put, lambda: append)


class _Tap:
    """One wrapped stream."""

    def __init__(self, stream: Any, write: Callable[..., Any]) -> None:
        self._stream = stream
        self._write = write
        attributes: dict[str, Any] = getattr(stream, "__dict__", {})
        #: What somebody else had put there before.
        self._before = attributes.get("write")
        stream.write = write

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
