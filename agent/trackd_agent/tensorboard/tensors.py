"""Tensors in event files: flat numbers or texts with a shape."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field

from trackd_agent.tensorboard import wire

#: `struct` letter of the types whose elements may stand as raw bytes (`DataType` of TensorFlow).
_RAW = {1: "f", 2: "d", 3: "i", 4: "B", 5: "h", 6: "b", 9: "q", 10: "?", 17: "H", 19: "e"} | {
    22: "I",
    23: "Q",
}
_FLOAT, _DOUBLE, _HALF = 1, 2, 19
_TYPE, _SHAPE, _CONTENT, _TEXTS = 1, 2, 4, 8
_HALVES, _FLOATS, _DOUBLES = 13, 5, 6
#: Fields of int_val, int64_val, bool_val, uint32_val and uint64_val.
_NUMBERS = frozenset({7, 10, 11, 16, 17})
#: What is larger means nothing to a history, and takes seconds to decode.
MAX_ELEMENTS = 1 << 17
_MAX_DIMENSIONS = 32


@dataclass(slots=True)
class Tensor:
    """A tensor: `numbers` in row order, or `texts`."""

    shape: list[int] = field(default_factory=list[int])
    numbers: list[float] = field(default_factory=list[float])
    texts: list[bytes] = field(default_factory=list[bytes])


def tensor_of(data: bytes) -> Tensor:
    """Decode a tensor; one of an unknown type, or too large a one, is empty.

    Raises:
        ValueError: the bytes are no tensor.
    """
    tensor = Tensor()
    kind, content = 0, b""
    for number, value in wire.fields(data):
        if number == _TYPE:
            kind = wire.as_int(value)
        elif number == _SHAPE:
            tensor.shape = _shape_of(wire.as_bytes(value))
            if len(tensor.shape) > _MAX_DIMENSIONS or math.prod(tensor.shape) > MAX_ELEMENTS:
                return Tensor()
        elif number == _CONTENT:
            content = wire.as_bytes(value)
        elif number == _TEXTS:
            tensor.texts.append(wire.as_bytes(value))
        else:
            tensor.numbers += _listed(number, value)
    if content and (letter := _RAW.get(kind)):
        tensor.numbers = _unpacked(letter, content)
    if len(tensor.numbers) > MAX_ELEMENTS:
        return Tensor()
    _repeat_last(tensor)
    return tensor


def _listed(number: int, value: wire.FieldValue) -> list[float]:
    """Return the elements in one of the typed lists; of too many one more than are allowed."""
    value = value[: 8 * (MAX_ELEMENTS + 1)] if isinstance(value, bytes) else value
    if number == _FLOATS:
        raw = wire.as_bytes(value)
        return [wire.as_float(raw[at : at + 4]) for at in range(0, len(raw) - 3, 4)]
    if number == _DOUBLES:
        return wire.doubles(value)
    if number == _HALVES:
        return [struct.unpack("<e", struct.pack("<H", bits))[0] for bits in wire.varints(value)]
    return [float(item) for item in wire.varints(value)] if number in _NUMBERS else []


def _unpacked(letter: str, content: bytes) -> list[float]:
    size = struct.calcsize(letter)
    content = content[: size * (MAX_ELEMENTS + 1)]
    if letter == "f":
        return [wire.as_float(content[at : at + 4]) for at in range(0, len(content) - 3, 4)]
    count = len(content) // size
    return list(struct.unpack(f"<{count}{letter}", content[: count * size]))


def _shape_of(data: bytes) -> list[int]:
    sizes: list[int] = []
    for number, value in wire.fields(data):
        if number == 2:
            dimension = [part for key, part in wire.fields(wire.as_bytes(value)) if key == 1]
            sizes.append(wire.as_int(dimension[0]) if dimension else 0)
    return sizes


def _repeat_last(tensor: Tensor) -> None:
    """Fill in what writers leave out: further elements that equal the last one."""
    wanted = math.prod(tensor.shape)
    if tensor.numbers and len(tensor.numbers) < wanted:
        tensor.numbers += tensor.numbers[-1:] * (wanted - len(tensor.numbers))
