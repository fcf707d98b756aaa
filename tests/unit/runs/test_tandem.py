"""Both journals of a writer in one order: live, in slices of any size, and in a replay."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from tests.support.frames import KINDS, row

from trackd_agent.journal import Journal, JournalConfig
from trackd_agent.runs.noted.tandem import Tandem, in_order
from trackd_proto import records
from trackd_proto.frames import encode_frame
from trackd_proto.records import Followed, GuestRecords, Kind

if TYPE_CHECKING:
    import msgspec
    import pytest

    from trackd_proto.frames import Frame

RANK, AGENT = 7, 8


class Both:
    """Two journals, written alternately as an agent does."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        folder = factory.mktemp("journals")
        config = JournalConfig()
        self.rank = Journal.open(folder / "rank", RANK, 1, config)
        self.agent = Journal.open(folder / "agent", AGENT, 1, config)
        #: What an agent that reads at once would see.
        self.truth: list[tuple[int, int]] = []
        #: The last of the rank's records that may be read by now.
        self.bound_seq = 0

    def log(self) -> None:
        seq = self.rank.last_seq + 1
        frame = encode_frame(Kind.ROW, RANK, seq, records.encode(row({"n": seq})))
        self.rank.receive(seq, 1, frame, zlib.crc32(frame))
        self.truth.append((Kind.ROW, seq))

    def note(self, record: msgspec.Struct) -> None:
        seq = self.agent.append(KINDS[type(record)], records.encode(record))
        if isinstance(record, Followed):
            self.truth.append((Kind.FOLLOWED, seq))
        elif isinstance(record, GuestRecords):
            after = [at for at, (kind, n) in enumerate(self.truth) if _is_past(kind, n, record)]
            self.truth.insert(max(after, default=-1) + 1, (Kind.GUEST, seq))

    def follow(self) -> None:
        self.note(Followed("file", 1, "", [], after_seq=self.rank.last_seq))

    def gather(self) -> None:
        """Put one record of a guest somewhere among what the rank logged since the last time."""
        between = (self.bound_seq + self.rank.last_seq + 1) // 2
        self.note(GuestRecords(9, 1, [], between))
        self.bound_seq = self.rank.last_seq

    def close(self) -> None:
        self.rank.close()
        self.agent.close()


def _is_past(kind: int, seq: int, record: GuestRecords) -> bool:
    """Whether something stands before a record: no later row, but all that was noted earlier."""
    return kind != Kind.ROW or seq <= record.after_seq


def rows_in(frames: list[Frame]) -> list[tuple[int, int]]:
    kinds = (Kind.ROW, Kind.FOLLOWED, Kind.GUEST)
    return [(f.kind, f.seq) for f in frames if f.kind in kinds]


@given(
    acts=st.lists(st.sampled_from(["log", "log", "follow", "stats", "read"]), max_size=40),
    slice_rows=st.integers(1, 5),
)
def test_the_order_is_the_same_however_it_is_read(
    tmp_path_factory: pytest.TempPathFactory, acts: list[str], slice_rows: int
) -> None:
    both = Both(tmp_path_factory)
    live = Tandem(both.rank.reader(0), both.agent.reader(0))
    seen: list[Frame] = []
    for act in acts:
        if act == "read":
            seen += live.read(slice_rows * 64)
        elif act == "stats":
            both.note(records.Stats(1.0, {"cpu": 1.0}))
        else:
            getattr(both, act)()
    while frames := live.read(64):
        seen += frames
    assert rows_in(seen) == both.truth
    assert live.positions == (both.rank.last_seq, both.agent.last_seq)
    late = Tandem(both.rank.reader(0), both.agent.reader(0))
    again: list[Frame] = []
    while frames := late.read(1 << 20):
        again += frames
    assert rows_in(again) == both.truth
    whole = [both.rank.reader(0).read(), both.agent.reader(0).read()]
    assert rows_in(list(in_order(*whole))) == both.truth
    both.close()


@given(
    acts=st.lists(
        st.sampled_from(["log", "log", "follow", "gather", "stats", "read"]), max_size=40
    ),
    slice_rows=st.integers(1, 5),
)
def test_what_is_put_between_stands_there_live_and_in_a_replay(
    tmp_path_factory: pytest.TempPathFactory, acts: list[str], slice_rows: int
) -> None:
    both = Both(tmp_path_factory)
    live = Tandem(both.rank.reader(0), both.agent.reader(0))
    seen: list[Frame] = []
    for act in acts:
        if act == "read":
            seen += live.read(slice_rows * 64, both.bound_seq)
        elif act == "stats":
            both.note(records.Stats(1.0, {"cpu": 1.0}))
        else:
            getattr(both, act)()
    while frames := live.read(64):
        seen += frames
    assert rows_in(seen) == both.truth
    again: list[Frame] = []
    late = Tandem(both.rank.reader(0), both.agent.reader(0))
    while frames := late.read(1 << 20):
        again += frames
    assert rows_in(again) == both.truth
    whole = [both.rank.reader(0).read(), both.agent.reader(0).read()]
    assert rows_in(list(in_order(*whole))) == both.truth
    both.close()


@given(stop=st.integers(0, 30))
def test_reading_on_from_the_positions_loses_and_doubles_nothing(
    tmp_path_factory: pytest.TempPathFactory, stop: int
) -> None:
    both = Both(tmp_path_factory)
    for number in range(12):
        both.log()
        if number % 3 == 0:
            both.follow()
    first = Tandem(both.rank.reader(0), both.agent.reader(0))
    seen: list[Frame] = []
    while len(seen) < stop and (frames := first.read(64)):
        seen += frames
    rank_seq, agent_seq = first.positions
    second = Tandem(both.rank.reader(rank_seq), both.agent.reader(agent_seq))
    while frames := second.read(64):
        seen += frames
    assert rows_in(seen) == both.truth
    both.close()


def test_an_end_that_the_agent_recorded_comes_behind_all_rows(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    both = Both(tmp_path_factory)
    both.note(records.Exit(1, 1.0, 1.0, crashed=True))
    for _ in range(100):
        both.log()
    reader = Tandem(both.rank.reader(0), both.agent.reader(0))
    kinds: list[int] = []
    while frames := reader.read(64):
        kinds += [frame.kind for frame in frames]
    assert kinds == [Kind.ROW] * 100 + [Kind.EXIT]
    both.close()
