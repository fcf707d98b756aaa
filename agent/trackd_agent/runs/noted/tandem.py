"""The two journals of a writer in one order: its own, and what the agent noted about it.

What the agent read from TensorBoard files (`Followed`) names the writer's record behind which it
stands, and comes right behind that, live and in every replay: the numbers of rows depend on it.
System metrics may stand anywhere. All else that the agent noted comes behind the writer's own
records that are there: an end that the agent recorded closes the open row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from trackd_proto.records import Followed, Kind, decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trackd_agent.journal import JournalReader
    from trackd_proto.frames import Frame


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

    def read(self, max_bytes: int) -> list[Frame]:
        """Return the next frames, about `max_bytes` of them; nothing when all are read."""
        # In this order: what the agent adds from now on stands behind what the rank has now.
        self._rank_ahead = self._rank_ahead or self._rank.read(max_bytes)
        self._agent_ahead = self._agent_ahead or self._agent.read(max_bytes)
        if free := _leading_stats(self._agent_ahead):
            del self._agent_ahead[: len(free)]
            return free
        at = self._find_followed(max_bytes)
        if at is None:
            return self._take_all(self._rank_ahead) or self._take_all(self._agent_ahead)
        before = _count_up_to(self._rank_ahead, anchor(self._agent_ahead[at]))
        if before and before == len(self._rank_ahead):  # and perhaps more that was not read yet
            return self._take_all(self._rank_ahead)
        taken = self._rank_ahead[:before] + self._agent_ahead[: at + 1]
        del self._rank_ahead[:before]
        del self._agent_ahead[: at + 1]
        return taken

    def _find_followed(self, max_bytes: int) -> int | None:
        """Return where the next `Followed` stands in what was read ahead, reading on to find it."""
        searched = 0
        while True:
            for at in range(searched, len(self._agent_ahead)):
                if self._agent_ahead[at].kind == Kind.FOLLOWED:
                    return at
            if not self._agent_ahead or not (more := self._agent.read(max_bytes)):
                return None
            searched = len(self._agent_ahead)
            self._agent_ahead += more

    def _take_all(self, ahead: list[Frame]) -> list[Frame]:
        taken = ahead.copy()
        ahead.clear()
        return taken


def in_order(rank_frames: Iterable[Frame], agent_frames: Iterable[Frame]) -> Iterator[Frame]:
    """Yield the frames of both journals, read to their ends, in the same order.

    What the agent noted otherwise comes first: the rank's own word counts more.
    """
    followed: list[Frame] = []
    for frame in agent_frames:
        if frame.kind == Kind.FOLLOWED:
            followed.append(frame)
        else:
            yield frame
    followed.reverse()
    for frame in rank_frames:
        while followed and anchor(followed[-1]) < frame.seq:
            yield followed.pop()
        yield frame
    yield from reversed(followed)


def anchor(frame: Frame) -> int:
    """Return the number of the writer's record behind which a `Followed` stands; damaged: 0."""
    try:
        return cast("Followed", decode(frame.kind, frame.payload)).after_seq
    except ValueError:
        return 0  # the state counts it


def _position(reader: JournalReader, ahead: list[Frame]) -> int:
    return ahead[0].seq - 1 if ahead else reader.position_seq


def _leading_stats(frames: list[Frame]) -> list[Frame]:
    count = next((i for i, frame in enumerate(frames) if frame.kind != Kind.STATS), len(frames))
    return frames[:count]


def _count_up_to(frames: list[Frame], seq: int) -> int:
    return next((i for i, frame in enumerate(frames) if frame.seq > seq), len(frames))
