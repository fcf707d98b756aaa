"""A rank and the processes that record into its run: one sequence of rows.

A child (forked, or given the run by pickling) writes records of its own, in its own folder. What
all of them logged belongs into one history, numbered in the order in which it was logged: the
runtimes of rows tell that order, since all of them count from the same start on the same clock.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, cast

import msgspec

from trackd_proto.records import Kind, decode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackd_agent.runs.folders.run_folder import WriterSource
    from trackd_proto.frames import Frame
    from trackd_proto.records import Start

#: What ends or begins a child is no end or begin of the run.
_OWN_KINDS = frozenset({Kind.START, Kind.EXIT, Kind.STATS})


class _RowHead(msgspec.Struct, array_like=True):
    """The part of a row that tells when it was logged."""

    time_s: float
    runtime_s: float


class _ConsoleHead(msgspec.Struct, array_like=True):
    time_s: float


_decode_row_head = msgspec.msgpack.Decoder(_RowHead).decode
_decode_console_head = msgspec.msgpack.Decoder(_ConsoleHead).decode


def grouped(sources: list[WriterSource]) -> list[tuple[WriterSource, list[WriterSource]]]:
    """Return the writers of a run folder, each with the children that record into its sequence."""
    starts = {int(source.producer, 16): source.start() for source in sources}
    children: dict[int, list[WriterSource]] = {}
    roots: list[WriterSource] = []
    for source in sources:
        producer = int(source.producer, 16)
        root = _root_of(producer, starts)
        if root == producer:
            roots.append(source)
        else:
            children.setdefault(root, []).append(source)
    return [(root, children.get(int(root.producer, 16), [])) for root in roots]


def _root_of(producer: int, starts: dict[int, Start | None]) -> int:
    """Return the writer into whose sequence one records: itself, or an ancestor that is known."""
    seen = {producer}
    while (start := starts.get(producer)) and start.parent_producer in starts:
        if start.parent_producer in seen:  # damaged beyond sense
            break
        producer = start.parent_producer
        seen.add(producer)
    return producer


def rank_frames(source: WriterSource, children: list[WriterSource]) -> Iterator[Frame]:
    """Yield the frames of a rank, and among them those of its children."""
    if not children:
        yield from source.rank_frames()
        return
    start = source.start()
    began_s = start.time_s if start else 0.0
    streams = [
        _timed(writer.rank_frames(), began_s, number, is_child=writer is not source)
        for number, writer in enumerate([source, *children])
    ]
    for _, _, frame in heapq.merge(*streams, key=lambda timed: timed[:2]):
        yield frame


def _timed(
    frames: Iterator[Frame], began_s: float, number: int, *, is_child: bool
) -> Iterator[tuple[float, int, Frame]]:
    """Yield frames with when they were made: with the one before, where they do not tell that."""
    made_s = 0.0
    for frame in frames:
        made_s = max(made_s, _made_s(frame, began_s, made_s))
        if not (is_child and frame.kind in _OWN_KINDS):
            yield made_s, number, frame


def _made_s(frame: Frame, began_s: float, last_s: float) -> float:
    """Return when a frame was made, in seconds since `init`."""
    try:
        if frame.kind == Kind.ROW:
            return _decode_row_head(frame.payload).runtime_s
        if frame.kind == Kind.CONSOLE:
            return _decode_console_head(frame.payload).time_s - began_s
        if frame.kind == Kind.EXIT:
            return float("inf")
        if frame.kind == Kind.START:
            return cast("Start", decode(frame.kind, frame.payload)).joined_s
    except ValueError:  # the state counts it
        pass
    return last_s
