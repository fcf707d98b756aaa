"""The messages of event files: `Event` of TensorFlow, as far as it says something about a run.

Field numbers are those of `event.proto`, `summary.proto` and `tensor.proto`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from trackd_agent.tensorboard import wire
from trackd_agent.tensorboard.tensors import MAX_ELEMENTS, Tensor, tensor_of


@dataclass(slots=True)
class Picture:
    """An encoded image."""

    width: int = 0
    height: int = 0
    data: bytes = b""


@dataclass(slots=True)
class Buckets:
    """A histogram: right edges of its buckets and what lies in each."""

    low: float = 0.0
    limits: list[float] = field(default_factory=list[float])
    counts: list[float] = field(default_factory=list[float])


@dataclass(slots=True)
class Value:
    """One tagged value of an event; what it does not hold is None."""

    tag: str = ""
    plugin: str = ""
    content: bytes = b""  # what the plugin keeps beside the value
    number: float | None = None
    picture: Picture | None = None
    buckets: Buckets | None = None
    tensor: Tensor | None = None


@dataclass(slots=True)
class Event:
    """One event: values of one step."""

    time_s: float = 0.0
    step: int = 0
    values: list[Value] = field(default_factory=list[Value])


def event_of(data: bytes) -> Event:
    """Decode an event.

    Raises:
        ValueError: the bytes are no event.
    """
    event = Event()
    for number, value in wire.fields(data):
        if number == 1:
            event.time_s = wire.as_double(value)
        elif number == 2:
            event.step = wire.as_int(value)
        elif number == 5:
            parts = wire.fields(wire.as_bytes(value))
            event.values += [_value_of(wire.as_bytes(part)) for key, part in parts if key == 1]
    return event


def _value_of(data: bytes) -> Value:
    found = Value()
    for number, value in wire.fields(data):
        if number == 1:
            found.tag = wire.as_text(value)
        elif number == 2:
            found.number = wire.as_float(value)
        elif number == 4:
            found.picture = _picture_of(wire.as_bytes(value))
        elif number == 5:
            found.buckets = _buckets_of(wire.as_bytes(value))
        elif number == 8:
            found.tensor = tensor_of(wire.as_bytes(value))
        elif number == 9:
            found.plugin, found.content = _plugin_of(wire.as_bytes(value))
    return found


def _picture_of(data: bytes) -> Picture:
    found = Picture()
    for number, value in wire.fields(data):
        if number == 1:
            found.height = wire.as_int(value)
        elif number == 2:
            found.width = wire.as_int(value)
        elif number == 4:
            found.data = wire.as_bytes(value)
    return found


def _buckets_of(data: bytes) -> Buckets:
    found = Buckets()
    for number, value in wire.fields(data):
        if number == 1:
            found.low = wire.as_double(value)
        elif number in (6, 7):
            numbers = found.limits if number == 6 else found.counts
            numbers += wire.doubles(value, MAX_ELEMENTS + 1)
            if len(numbers) > MAX_ELEMENTS:
                return Buckets()
    return found


def _plugin_of(data: bytes) -> tuple[str, bytes]:
    name, content = "", b""
    for number, value in wire.fields(data):
        if number == 1:
            for key, part in wire.fields(wire.as_bytes(value)):
                if key == 1:
                    name = wire.as_text(part)
                elif key == 2:
                    content = wire.as_bytes(part)
    return name, content
