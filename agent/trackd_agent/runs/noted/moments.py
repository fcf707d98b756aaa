"""When records were made, on the clock of their run: what tells the order of several processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec

from trackd_proto.records import Kind, decode

if TYPE_CHECKING:
    from trackd_proto.frames import Frame
    from trackd_proto.records import Start


class _RowHead(msgspec.Struct, array_like=True):
    """The part of a row that tells when it was logged."""

    time_s: float
    runtime_s: float


class _ConsoleHead(msgspec.Struct, array_like=True):
    time_s: float


_decode_row_head = msgspec.msgpack.Decoder(_RowHead).decode
_decode_console_head = msgspec.msgpack.Decoder(_ConsoleHead).decode


def origin_of(start: Start | None) -> float:
    """Return where the runtimes of a run begin, in seconds since 1970."""
    return start.time_s - start.earlier_runtime_s if start else 0.0


def made_s(frame: Frame, origin_s: float) -> float | None:
    """Return when a record was made, as a runtime of its run in seconds; None: it does not tell."""
    try:
        if frame.kind == Kind.ROW:
            return _decode_row_head(frame.payload).runtime_s
        if frame.kind == Kind.CONSOLE:
            return _decode_console_head(frame.payload).time_s - origin_s
        if frame.kind == Kind.EXIT:
            return float("inf")
        if frame.kind == Kind.START:
            return cast("Start", decode(frame.kind, frame.payload)).joined_s
    except ValueError:  # the state counts it
        pass
    return None
