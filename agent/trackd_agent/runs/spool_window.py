"""Reads frames where a living rank keeps them, so that they need not travel to the agent."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from trackd_agent.core.errors import InvalidRequest
from trackd_proto import frames
from trackd_proto.layout import SEGMENT_SUFFIX, segment_name

if TYPE_CHECKING:
    from pathlib import Path

_NO_FILE = -1


class SpoolWindow:
    """A view of one writer's spool; holds at most one descriptor.

    Args:
        producer: of the writer.
    """

    def __init__(self, producer: int) -> None:
        self._folder: Path | None = None
        self._producer = producer
        self._segment_seq = 0
        self._descriptor = _NO_FILE
        self._has_failed = False

    def look_at(self, folder: Path | None) -> None:
        """Say where the spool is."""
        self.close()
        self._folder = folder

    def is_usable(self) -> bool:
        """Return whether this node sees the writer's spool, and no reading of it failed so far."""
        if self._has_failed or self._folder is None:
            return False
        for path in sorted(self._folder.glob("*" + SEGMENT_SUFFIX)):
            try:
                descriptor = _open_file(path)
            except OSError:  # the rank has removed it, or it is not ours to read
                continue
            try:
                beginning = os.pread(descriptor, frames.SEGMENT_HEADER_BYTES, 0)
            finally:
                os.close(descriptor)
            header = frames.decode_segment_header(beginning)
            return header is not None and header.producer == self._producer
        return False

    def read(self, segment_seq: int, offset: int, length: int) -> bytes:
        """Return a piece of one segment.

        Raises:
            InvalidRequest: it is not there. The writer will be told to send its frames instead.
        """
        try:
            if segment_seq != self._segment_seq:
                self._open(segment_seq)
            piece = os.pread(self._descriptor, length, offset)
            problem = f"it ends {length - len(piece)} bytes early" if len(piece) < length else ""
        except (OSError, OverflowError) as error:
            problem = str(error)
        else:
            if not problem:
                return piece
        self._has_failed = True
        self.close()
        raise InvalidRequest(
            "SPOOL_UNREADABLE",
            f"slice.length={length} bytes at slice.offset={offset} of segment {segment_seq} cannot "
            f"be read from {self._folder}: {problem}; attach again and send the frames themselves",
        )

    def close(self) -> None:
        """Give the descriptor back; a later reading opens it again."""
        descriptor, self._descriptor = self._descriptor, _NO_FILE
        self._segment_seq = 0
        if descriptor != _NO_FILE:
            os.close(descriptor)

    def _open(self, segment_seq: int) -> None:
        self.close()
        if self._folder is None:
            raise FileNotFoundError("the writer named no spool_dir when it attached")
        self._descriptor = _open_file(self._folder / segment_name(segment_seq))
        self._segment_seq = segment_seq


def _open_file(path: Path) -> int:
    """Open a segment: a plain file. Of a pipe in its place the agent would wait for a writer."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(f"{path} is no plain file")
    return descriptor
