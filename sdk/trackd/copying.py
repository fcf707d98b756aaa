"""Copying a file while its bytes are looked at: a thread reads and writes beside the caller."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import io
    from collections.abc import Generator

#: Blocks between the thread and the caller, and their size: together they fit a cache.
_BLOCKS = 8
_BLOCK_BYTES = 256 * 1024
#: Smaller files are not worth a thread.
_BESIDE_BYTES = 4 * 1024 * 1024


def blocks_of(source: io.FileIO, target: io.FileIO | None, size: int) -> Generator[memoryview]:
    """Yield the bytes of a file, each block valid until the next one, and write them to another.

    Args:
        source: where to read.
        target: where to write; None: nowhere.
        size: how many bytes are expected; it only decides on the manner.

    Raises:
        OSError: one of them cannot be read or written.
    """
    if target is not None and size >= _BESIDE_BYTES:
        return _Copier(source, target).blocks()
    return _in_turn(source, target)


def _in_turn(source: io.FileIO, target: io.FileIO | None) -> Generator[memoryview]:
    view = memoryview(bytearray(_BLOCK_BYTES))
    while count := source.readinto(view):
        yield view[:count]
        if target is not None:
            _write_all(target, view[:count])


class _Copier:
    """A copy that a thread makes."""

    def __init__(self, source: io.FileIO, target: io.FileIO) -> None:
        self._source, self._target = source, target
        #: Blocks to fill; None: no more.
        self._free: SimpleQueue[memoryview | None] = SimpleQueue()
        #: Blocks that were written, the last one empty; or what went wrong.
        self._written: SimpleQueue[tuple[memoryview, int] | Exception] = SimpleQueue()
        self._thread = threading.Thread(target=self._copy, name="trackd-copy", daemon=True)

    def blocks(self) -> Generator[memoryview]:
        """Yield the blocks; the thread ends with it."""
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is ending, or there are too many threads
            yield from _in_turn(self._source, self._target)
            return
        try:
            for _ in range(_BLOCKS):
                self._free.put(memoryview(bytearray(_BLOCK_BYTES)))
            while True:
                written = self._written.get()
                if isinstance(written, Exception):
                    raise written
                view, count = written
                if not count:
                    return
                yield view[:count]
                self._free.put(view)
        finally:
            self._free.put(None)
            self._thread.join()

    def _copy(self) -> None:
        try:
            while (view := self._free.get()) is not None:
                count = self._source.readinto(view)
                _write_all(self._target, view[:count])
                self._written.put((view, count))
                if not count:
                    return
        except Exception as error:  # noqa: BLE001 - raised where the blocks are wanted
            self._written.put(error)


def _write_all(output: io.FileIO, data: memoryview) -> None:
    while data:
        data = data[output.write(data) or 0 :]
