"""Any sequence of operations, crashes and reopenings, against a model that is a list."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from tests.unit.journal.support import (
    KIND,
    blob_of,
    check_rows,
    frames_of,
    open_journal,
    payload_of,
    read_all,
)

from trackd_agent.journal import Journal, Receipt, read_folder


class JournalMachine(RuleBasedStateMachine):
    """The model: the highest number acknowledged, synced, and asked to be released."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp()) / "j"
        self.journal: Journal = open_journal(self.folder)
        self.reader = self.journal.reader(0)
        self.read = 0
        self.last = 0
        self.released = 0

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.reader.close()
            self.journal.close()
            shutil.rmtree(self.folder.parent)

    @rule(count=st.integers(1, 30))
    def receive_next(self, count: int) -> None:
        receipt = self.journal.receive(*blob_of(self.last + 1, count))
        self.last += count
        assert receipt == Receipt(self.last, rewind=False)

    @rule(back=st.integers(0, 40), count=st.integers(1, 40))
    def receive_again(self, back: int, count: int) -> None:
        first = max(1, self.last - back)
        self.last = max(self.last, first + count - 1)
        receipt = self.journal.receive(*blob_of(first, count))
        assert receipt == Receipt(self.last, rewind=False)

    @rule(ahead=st.integers(2, 9), count=st.integers(1, 5))
    def receive_with_a_gap(self, ahead: int, count: int) -> None:
        receipt = self.journal.receive(*blob_of(self.last + ahead, count))
        assert receipt == Receipt(self.last, rewind=True)

    @rule()
    def append(self) -> None:
        self.last += 1
        assert self.journal.append(KIND, payload_of(self.last)) == self.last

    @rule()
    def sync(self) -> None:
        self.journal.sync()
        assert not self.journal.is_dirty
        assert self.journal.synced_seq == self.last

    @rule(slice_bytes=st.sampled_from([4096, 20_000]), at_most=st.integers(1, 5))
    def read_some(self, slice_bytes: int, at_most: int) -> None:
        for _ in range(at_most):
            frames = self.reader.read(slice_bytes)
            check_rows(frames, range(self.read + 1, self.read + 1 + len(frames)))
            self.read += len(frames)
            if not frames:
                assert self.read == self.last

    @rule(part=st.floats(0, 1))
    def release_what_was_read(self, part: float) -> None:
        through = int(self.read * part)
        size_bytes = self.journal.size_bytes
        assert self.journal.release(through) == size_bytes - self.journal.size_bytes
        self.released = max(self.released, through)

    @rule()
    def read_the_rest_anew(self) -> None:
        reader = self.journal.reader(self.released)
        check_rows(read_all(reader), range(self.released + 1, self.last + 1))
        assert (reader.missing, reader.damages) == ([], [])
        reader.close()

    @rule()
    def read_the_folder(self) -> None:
        reader = read_folder(self.folder, after_seq=self.released)
        check_rows(read_all(reader), range(self.released + 1, self.last + 1))
        assert (reader.missing, reader.damages) == ([], [])
        reader.close()

    @precondition(lambda self: self.last > 0)
    @rule(torn=st.integers(0, 500), zeros=st.integers(0, 64), tidy=st.booleans())
    def die_and_come_back(self, torn: int, zeros: int, tidy: bool) -> None:
        self.reader.close()
        self.journal.close()
        if not tidy:  # part of a blob that was never acknowledged
            part = frames_of(self.last + 1, 3)[:torn] + bytes(zeros)
            with self.journal.segments[-1].path.open("ab") as file:
                file.write(part)
        self.journal = open_journal(self.folder)
        assert self.last <= self.journal.last_seq <= self.last + 3
        self.last = self.journal.last_seq  # whole frames of that blob may be there, that is fine
        self.reader = self.journal.reader(self.read)

    @invariant()
    def sizes_are_those_of_the_files(self) -> None:
        if hasattr(self, "journal"):
            sizes = [os.stat(segment.path).st_size for segment in self.journal.segments]
            assert sum(sizes) == self.journal.size_bytes
            assert all(size % 8 == 0 for size in sizes)
            assert self.journal.last_seq == self.last


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(max_examples=60, stateful_step_count=40)
