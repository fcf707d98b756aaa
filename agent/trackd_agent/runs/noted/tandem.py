"""The two journals of a writer in one order: its own, and what the agent noted about it.

What the agent read from TensorBoard files (`Followed`) and what it took over from processes that
record into the writer's run (`GuestRecords`) name the writer's record behind which they stand, and
come right behind that, live and in every replay: the numbers of rows depend on it.
System metrics and events of devices may stand anywhere. All else that the agent noted comes behind
the writer's own records that are there: an end that the agent recorded closes the open row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from trackd_proto.records import Kind, decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trackd_agent.journal import JournalReader
    from trackd_proto.frames import Frame
    from trackd_proto.records import Followed, GuestRecords


#: What has its place among the writer's own records.
ANCHORED = frozenset({Kind.FOLLOWED, Kind.GUEST})
#: What has no place: it changes nothing but its own lines.
_FREE = frozenset({Kind.STATS, Kind.EVENT, Kind.ENVIRONMENT})
_NO_LIMIT = 2**63


class Tandem:
    """Reads both journals.

    Args:
        rank: reader of the writer's own journal.
        agent: reader of the agent's journal of it.
    """

    def __init__(self, rank: JournalReader, agent: JournalReader) -> None:
        self._rank = rank
        self._agent = agent
        # What was read and has to wait for its turn.
        self._rank_ahead: list[Frame] = []
        self._agent_ahead: list[Frame] = []

    @property
    def positions(self) -> tuple[int, int]:
        """Last numbers handed out of the writer's own and of the agent's journal."""
        return (
            _position(self._rank, self._rank_ahead),
            _position(self._agent, self._agent_ahead),
        )

    def read(self, max_bytes: int, through_seq: int = _NO_LIMIT) -> list[Frame]:
        """Return the next frames, about `max_bytes` of them; nothing when all are read.

        Args:
            max_bytes: how much is read at a time.
            through_seq: the last of the writer's own records that may be handed out by now: the
                agent may still put something between those behind it.
        """
        # In this order: what the agent adds from now on stands behind what the rank has now.
        self._rank_ahead = self._rank_ahead or self._rank.read(max_bytes)
        self._agent_ahead = self._agent_ahead or self._agent.read(max_bytes)
        if free := _leading_free(self._agent_ahead):
            del self._agent_ahead[: len(free)]
            return free
        at = self._find_anchored(max_bytes)
        due = _count_up_to(self._rank_ahead, through_seq)
        if at is None:
            if self._rank_ahead:
                return _take(self._rank_ahead, due)
            return _take(self._agent_ahead, len(self._agent_ahead))
        before = _count_up_to(self._rank_ahead, anchor(self._agent_ahead[at]))
        # Perhaps there is more before it that was not read yet, or that has to wait.
        if before and (before == len(self._rank_ahead) or before > due):
            return _take(self._rank_ahead, min(before, due))
        return _take(self._rank_ahead, before) + _take(self._agent_ahead, at + 1)

    def _find_anchored(self, max_bytes: int) -> int | None:
        """Return where the next of them stands in what was read ahead, reading on to find it."""
        searched = 0
        while True:
            for at in range(searched, len(self._agent_ahead)):
                if self._agent_ahead[at].kind in ANCHORED:
                    return at
            if not self._agent_ahead or not (more := self._agent.read(max_bytes)):
                return None
            searched = len(self._agent_ahead)
            self._agent_ahead += more


def in_order(rank_frames: Iterable[Frame], agent_frames: Iterable[Frame]) -> Iterator[Frame]:
    """Yield the frames of both journals, read to their ends, in the same order.

    What the agent noted otherwise comes first: the rank's own word counts more.
    """
    anchored: list[Frame] = []
    for frame in agent_frames:
        if frame.kind in ANCHORED:
            anchored.append(frame)
        else:
            yield frame
    anchored.reverse()
    for frame in rank_frames:
        while anchored and anchor(anchored[-1]) < frame.seq:
            yield anchored.pop()
        yield frame
    yield from reversed(anchored)


def anchor(frame: Frame) -> int:
    """Return the number of the writer's record behind which another one stands; damaged: 0."""
    try:
        return cast("Followed | GuestRecords", decode(frame.kind, frame.payload)).after_seq
    except ValueError:
        return 0  # the state counts it


def _position(reader: JournalReader, ahead: list[Frame]) -> int:
    return ahead[0].seq - 1 if ahead else reader.position_seq


def _leading_free(frames: list[Frame]) -> list[Frame]:
    count = next((i for i, frame in enumerate(frames) if frame.kind not in _FREE), len(frames))
    return frames[:count]


def _count_up_to(frames: list[Frame], seq: int) -> int:
    return next((i for i, frame in enumerate(frames) if frame.seq > seq), len(frames))


def _take(frames: list[Frame], count: int) -> list[Frame]:
    taken = frames[:count]
    del frames[:count]
    return taken
