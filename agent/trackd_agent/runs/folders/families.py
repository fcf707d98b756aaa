"""A rank and the processes that record into its run: one sequence of rows.

A child (forked, or given the run by pickling) writes records of its own, in its own folder. What
all of them logged belongs into one history, numbered in the order in which it was logged: the
runtimes of rows tell that order, since all of them count from the same start on the same clock.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from trackd_agent.runs.noted.guest import OWN_KINDS
from trackd_agent.runs.noted.guests import copied_in
from trackd_agent.runs.noted.moments import made_s, origin_of
from trackd_agent.runs.noted.tandem import ANCHORED, in_order
from trackd_proto.records import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackd_agent.runs.folders.run_folder import WriterSource
    from trackd_proto.frames import Frame


def grouped(sources: list[WriterSource]) -> list[tuple[WriterSource, list[WriterSource]]]:
    """Return the writers of a run folder, each with the children that record into its sequence."""
    by_producer = {int(source.producer, 16): source for source in sources}
    starts = {producer: source.start() for producer, source in by_producer.items()}
    parents = {producer: start.parent_producer for producer, start in starts.items() if start}
    if any(parent and parent not in by_producer for parent in parents.values()):
        for producer, source in by_producer.items():  # of who was copied nothing else may be left
            parents |= {p: producer for p in copied_in(source.agent_frames()) if p not in parents}
    children: dict[int, list[WriterSource]] = {}
    for producer, source in by_producer.items():
        children.setdefault(_root_of(producer, parents, by_producer), []).append(source)
    return [
        (by_producer[root], [source for source in found if source is not by_producer[root]])
        for root, found in children.items()
    ]


def _root_of(producer: int, parents: dict[int, int], by_producer: dict[int, WriterSource]) -> int:
    """Return the writer into whose sequence one records: itself, or an ancestor that is known."""
    root, seen = producer, {producer}
    while parent := parents.get(producer, 0):
        if parent in seen:  # damaged beyond sense
            break
        producer = parent
        seen.add(parent)
        root = parent if parent in by_producer else root
    return root


def frames_of(source: WriterSource, children: list[WriterSource]) -> Iterator[Frame]:
    """Yield all frames of a writer in the order in which they count.

    Those of its children stand where the agent put them; what it has not taken over yet is put
    in by the time.
    """
    if not children:
        yield from in_order(source.rank_frames(), source.agent_frames())
        return
    copied = copied_in(source.agent_frames())
    yield from (frame for frame in source.agent_frames() if frame.kind not in ANCHORED)
    anchored = (frame for frame in source.agent_frames() if frame.kind in ANCHORED)
    origin_s = origin_of(source.start())
    streams = [_timed(in_order(source.rank_frames(), anchored), origin_s, 0)]
    for number, child in enumerate(children, 1):
        behind_seq = copied.get(int(child.producer, 16), 0)
        streams.append(_timed(_own(child, behind_seq), origin_s, number))
    for _, _, frame in heapq.merge(*streams, key=lambda timed: timed[:2]):
        yield frame


def _own(child: WriterSource, behind_seq: int) -> Iterator[Frame]:
    """Yield what a child recorded behind a number, its begin for the time it tells."""
    for frame in child.rank_frames():
        if frame.kind == Kind.START or (frame.seq > behind_seq and frame.kind not in OWN_KINDS):
            yield frame


def _timed(
    frames: Iterator[Frame], origin_s: float, number: int
) -> Iterator[tuple[float, int, Frame]]:
    """Yield frames with when they were made: with the one before, where they do not tell that."""
    last_s = 0.0
    for frame in frames:
        found_s = made_s(frame, origin_s)
        last_s = last_s if found_s is None else max(last_s, found_s)
        yield last_s, number, frame
