"""One event file: TFRecord frames, read from where the last reading ended.

A frame is the length of its data (8 bytes), a checksum of the length (4), the data, a checksum
of the data (4), all little endian; checksums are CRC-32C, rotated and shifted ("masked").
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from trackd_agent.tensorboard.events import Event, event_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEAD = struct.Struct("<QI")
_CRC = struct.Struct("<I")
#: Of small events these are some hundred rows: what whoever takes them does at a time.
_READ_BYTES = 32 << 10
MAX_RECORD_BYTES = 64 << 20
#: Longer data is checked by its length and by being an event: a checksum takes 0.2 s a MB here.
_CHECKED_BYTES = 16 << 10


class DamagedFileError(ValueError):
    """The file has no readable frame where the next one should be."""


class Placed(NamedTuple):
    """An event and where it ends in its file."""

    event: Event
    end: int


def read_events(path: Path, offset: int) -> tuple[list[Placed], bool]:
    """Return the next whole events with values, at least one if there is one.

    Returns:
        The events, and whether the file goes on with whole frames behind them.

    Raises:
        DamagedFileError: there is something else than a frame, or the beginning of one.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(_READ_BYTES)
        need = _frame_bytes(data, path, offset)
        if need > len(data):
            data += file.read(need - len(data))
        more = len(data) >= _READ_BYTES
    events = [Placed(event, offset + end) for event, end in _events(data, path, offset)]
    return events, more


def _frame_bytes(data: bytes, path: Path, offset: int) -> int:
    """Return the size of the frame that data begins with; 0: not known yet."""
    if len(data) < _HEAD.size:
        return 0
    length, checksum = _HEAD.unpack_from(data)
    if masked_crc32c(data[:8]) != checksum or length > MAX_RECORD_BYTES:
        raise DamagedFileError(f"{path} is damaged at byte {offset}")
    return _HEAD.size + length + _CRC.size


def _events(data: bytes, path: Path, offset: int) -> Iterator[tuple[Event, int]]:
    at = 0
    while at + _HEAD.size <= len(data):
        try:
            end = at + _frame_bytes(data[at : at + _HEAD.size], path, offset + at)
        except DamagedFileError:
            if at == 0:
                raise
            return  # what is before it comes first
        if end > len(data):
            return
        body = data[at + _HEAD.size : end - _CRC.size]
        (checksum,) = _CRC.unpack_from(data, end - _CRC.size)
        yield _event_in(body, checksum), end
        at = end


def _event_in(body: bytes, checksum: int) -> Event:
    """Return the event in the data of a frame; damaged data holds no values."""
    if len(body) <= _CHECKED_BYTES and masked_crc32c(body) != checksum:
        return Event()
    try:
        return event_of(body)
    except ValueError:
        return Event()


def _table() -> tuple[int, ...]:
    table: list[int] = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _table()


def masked_crc32c(data: bytes) -> int:
    """Return the checksum that event files use."""
    crc = 0xFFFFFFFF
    table = _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
