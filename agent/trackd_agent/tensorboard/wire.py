"""Protobuf messages as they lie in a file, without their definitions."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_VARINT = (1 << 64) - 1
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

#: The value of one field: a number for VARINT, else its bytes.
FieldValue = int | bytes


def fields(data: bytes) -> Iterator[tuple[int, FieldValue]]:
    """Yield number and value of each field, in order.

    Raises:
        ValueError: this is no protobuf message.
    """
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if kind == BYTES:
            size, at = _varint(data, at)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise ValueError(f"unknown wire type {kind}")
        if at + size > end:
            raise ValueError("a field reaches beyond its message")
        yield tag >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("a number has no end")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value & _MAX_VARINT, at
        shift += 7


def signed(value: int) -> int:
    """Return a number as the int64 or int32 that it was."""
    return value - (1 << 64) if value >= 1 << 63 else value


def as_bytes(value: FieldValue) -> bytes:
    """Return the bytes of a field.

    Raises:
        ValueError: it holds a number.
    """
    if isinstance(value, int):
        raise ValueError("a number stands where bytes belong")  # noqa: TRY004 - the data is wrong
    return value


def as_int(value: FieldValue) -> int:
    """Return the number in a field.

    Raises:
        ValueError: it holds bytes.
    """
    if isinstance(value, int):
        return signed(value)
    raise ValueError("bytes stand where a number belongs")


def as_text(value: FieldValue) -> str:
    """Return the text in a field."""
    return as_bytes(value).decode("utf-8", "replace")


def as_double(value: FieldValue) -> float:
    """Return the double in a field."""
    return float(struct.unpack("<d", _sized(value, 8))[0])


def as_float(value: FieldValue) -> float:
    """Return the float in a field as the shortest decimal that means it: 0.1, not 0.10000000149."""
    raw = _sized(value, 4)
    exact = float(struct.unpack("<f", raw)[0])
    for digits in (6, 7, 8):
        short = float(f"{exact:.{digits}g}")
        if short == exact or _packs_to(short, raw):
            return short
    return exact


def doubles(value: FieldValue, most: int | None = None) -> list[float]:
    """Return packed doubles, the first `most` of them."""
    raw = as_bytes(value)[: None if most is None else 8 * most]
    return list(struct.unpack(f"<{len(raw) // 8}d", raw[: len(raw) & ~7]))


def varints(value: FieldValue) -> list[int]:
    """Return packed numbers, or the one that stands alone."""
    if isinstance(value, int):
        return [signed(value)]
    found: list[int] = []
    at = 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(signed(number))
    return found


def _packs_to(number: float, raw: bytes) -> bool:
    try:
        return struct.pack("<f", number) == raw
    except OverflowError:
        return False


def _sized(value: FieldValue, size: int) -> bytes:
    raw = as_bytes(value)
    if len(raw) != size:
        raise ValueError(f"{len(raw)} bytes where {size} belong")
    return raw
