"""Event files written by hand, as TensorBoard's writers lay them out."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from trackd_agent.tensorboard.event_file import masked_crc32c

if TYPE_CHECKING:
    from pathlib import Path


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    found = b""
    while value > 0x7F:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])


def message(number: int, body: bytes) -> bytes:
    """Return a field that holds bytes or a message."""
    return varint(number << 3 | 2) + varint(len(body)) + body


def scalar(tag: str, value: float) -> bytes:
    return message(1, message(1, tag.encode()) + struct.pack("<Bf", 2 << 3 | 5, value))


def event(step: int, *values: bytes, time_s: float = 1000.0) -> bytes:
    body = struct.pack("<Bd", 1 << 3 | 1, time_s) + varint(2 << 3) + varint(step)
    return body + (message(5, b"".join(values)) if values else b"")


def framed(data: bytes) -> bytes:
    """Return a frame; huge data has a checksum of 0: nobody looks at it, and it takes seconds."""
    head = struct.pack("<Q", len(data))
    checksum = masked_crc32c(data) if len(data) < 1_000_000 else 0
    return b"".join(
        [head, struct.pack("<I", masked_crc32c(head)), data, struct.pack("<I", checksum)]
    )


def scalars(first: int, count: int, tag: str = "loss") -> bytes:
    """Return frames of so many steps with one scalar, which is the number of the step."""
    return b"".join(framed(event(n, scalar(tag, n))) for n in range(first, first + count))


def event_file(folder: Path, content: bytes = b"", begun_s: int = 1000) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"events.out.tfevents.{begun_s}.host.1.0"
    path.write_bytes(content)
    return path
