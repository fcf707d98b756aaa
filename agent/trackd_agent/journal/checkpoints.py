"""Checkpoints: a small state that survives any death, in two files that take turns.

File, little endian: magic ``TRKDCKP1``, generation u64, length u32, CRC-32 u32 of the 20 bytes
before and the data, then the data. Files keep their allocated size, so that a full disk does not
stop a checkpoint that is no larger than those before it: storing one is what lets segments go.
"""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from trackd_agent.core.errors import JournalFull
from trackd_agent.journal.segments import sync_folder
from trackd_proto.layout import safe_name

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC = b"TRKDCKP1"
_SUFFIX = ".ckpt"
_HEAD = struct.Struct("<8sQI")
_CRC = struct.Struct("<I")
_HEADER_BYTES = _HEAD.size + _CRC.size
_SMALLEST_FILE_BYTES = 4096


class _Slot(NamedTuple):
    generation: int
    data: bytes


class Checkpoints:
    """The latest state of one upstream's cursor (or of any other owner, by `name`).

    `store` overwrites the older of two files and syncs it before it returns, so the newer one
    is always whole. Blocking; one call at a time, in any thread.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._paths = [folder / f"{safe_name(name)}.{slot}{_SUFFIX}" for slot in (0, 1)]
        self._folder = folder
        self._names_synced = False
        self._generation = -1  # of the newest whole file; -1: not looked yet

    def load(self) -> bytes | None:
        """Return what was stored last; None when there is nothing whole."""
        slots = [slot for path in self._paths if (slot := _read(path))]
        newest = max(slots, default=None)
        self._generation = newest.generation if newest else 0
        return newest.data if newest else None

    def store(self, data: bytes) -> None:
        """Replace the state durably: after any crash `load` returns the old or the new one.

        Raises:
            JournalFull: not stored; the former state stays.
        """
        if self._generation < 0:
            self.load()
        generation = self._generation + 1
        head = _HEAD.pack(_MAGIC, generation, len(data))
        crc = zlib.crc32(data, zlib.crc32(head))
        try:
            # Generations alternate between the files, so this one holds the older state. Both
            # get their room at once: the next checkpoint may meet a full disk.
            for path in self._paths:
                _make_room(path, _HEADER_BYTES + len(data))
            _overwrite(self._paths[generation % 2], head + _CRC.pack(crc) + data)
            if not self._names_synced:
                sync_folder(self._folder)
                self._names_synced = True
        except OSError as error:
            raise JournalFull(
                "CHECKPOINT_UNWRITABLE",
                f"{self._paths[generation % 2]}: {error.strerror or error}",
                details={"errno": str(error.errno)},
            ) from error
        self._generation = generation


def generation_of(path: Path) -> int:
    """Return the age of a checkpoint file: higher is later; 0: it is none, or damaged."""
    slot = _read(path) if path.suffix == _SUFFIX else None
    return slot.generation if slot else 0


def remove_remnant(folder: Path) -> bool:
    """Delete what is left of a journal whose deletion an agent did not survive.

    Returns:
        False: it holds more than checkpoints, or cannot be deleted.
    """
    try:
        paths = list(folder.iterdir())
        if any(path.suffix != _SUFFIX for path in paths):
            return False
        for path in sorted(paths, key=generation_of):
            path.unlink(missing_ok=True)
        folder.rmdir()
    except OSError:
        return False
    return True


def _read(path: Path) -> _Slot | None:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(raw) < _HEADER_BYTES:
        return None
    magic, generation, length = _HEAD.unpack_from(raw)
    data = raw[_HEADER_BYTES : _HEADER_BYTES + length]
    (crc,) = _CRC.unpack_from(raw, _HEAD.size)
    if magic != _MAGIC or len(data) != length:
        return None
    if crc != zlib.crc32(data, zlib.crc32(raw[: _HEAD.size])):
        return None
    return _Slot(generation, data)


def _make_room(path: Path, content_bytes: int) -> None:
    """Allocate a file for content of this size and some growth; what it holds stays."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        if os.fstat(descriptor).st_size < content_bytes:
            room_bytes = max(_SMALLEST_FILE_BYTES, 1 << (content_bytes - 1).bit_length())
            os.posix_fallocate(descriptor, 0, room_bytes)
    finally:
        os.close(descriptor)


def _overwrite(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        written = 0
        while written < len(content):
            with suppress(InterruptedError):
                written += os.pwrite(descriptor, content[written:], written)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
