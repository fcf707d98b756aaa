"""Receiving blobs: in order, repeated, overlapping, with gaps, damaged."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

import pytest
from tests.unit.journal.support import (
    KIND,
    PRODUCER,
    SMALL,
    blob_of,
    check_rows,
    frames_of,
    open_journal,
    payload_of,
    read_all,
)

from trackd_agent.core.errors import InvalidRequest, JournalFull
from trackd_agent.journal import Journal, JournalConfig, Receipt
from trackd_proto.frames import encode_frame

if TYPE_CHECKING:
    from pathlib import Path


def test_blobs_in_order_are_appended_verbatim_and_acknowledged(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "a" / "b", JournalConfig())
    assert journal.receive(*blob_of(1, 3)) == Receipt(3, rewind=False)
    assert journal.receive(*blob_of(4, 2)) == Receipt(5, rewind=False)
    (segment,) = journal.segments
    assert segment.path.read_bytes()[64:] == frames_of(1, 5)
    assert segment.path.name == "00000000000000000001.seg"
    assert segment.path.stat().st_mode & 0o777 == 0o600
    assert segment.path.parent.stat().st_mode & 0o777 == 0o700
    check_rows(read_all(journal.reader(0)), range(1, 6))


def test_a_blob_is_written_by_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = open_journal(tmp_path / "j", JournalConfig())
    journal.receive(*blob_of(1, 1))
    sizes: list[int] = []
    plain_write = os.write

    def write(descriptor: int, data: bytes) -> int:
        sizes.append(len(data))
        return plain_write(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    journal.receive(*blob_of(2, 100))
    assert sizes == [len(frames_of(2, 100))]


@pytest.mark.parametrize(("first", "count"), [(1, 10), (3, 4), (10, 1)])
def test_what_is_wholly_known_is_only_acknowledged(tmp_path: Path, first: int, count: int) -> None:
    journal = open_journal(tmp_path / "j")
    journal.receive(*blob_of(1, 10))
    size_bytes = journal.size_bytes
    assert journal.receive(*blob_of(first, count)) == Receipt(10, rewind=False)
    assert journal.size_bytes == size_bytes


@pytest.mark.parametrize("first", [1, 5, 10])
def test_an_overlapping_blob_is_cut_at_the_frame_boundary(tmp_path: Path, first: int) -> None:
    journal = open_journal(tmp_path / "j")
    journal.receive(*blob_of(1, 10))
    assert journal.receive(*blob_of(first, 20)) == Receipt(first + 19, rewind=False)
    check_rows(read_all(journal.reader(0)), range(1, first + 20))
    journal.close()
    assert sum(len(s.path.read_bytes()) - 64 for s in journal.segments) == len(
        frames_of(1, first + 19)
    )


def test_a_gap_asks_for_a_rewind_and_takes_nothing(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j")
    journal.receive(*blob_of(1, 10))
    assert journal.receive(*blob_of(12, 3)) == Receipt(10, rewind=True)
    assert journal.receive(12, 0, b"", 0) == Receipt(10, rewind=True)
    assert journal.receive(11, 0, b"", 0) == Receipt(10, rewind=False)
    check_rows(read_all(journal.reader(0)), range(1, 11))


def test_an_accepted_gap_shows_as_missing_also_after_recovery(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j")
    journal.receive(*blob_of(1, 10))
    assert journal.receive(*blob_of(14, 3), accept_gap=True) == Receipt(16, rewind=False)
    journal.close()
    journal = open_journal(tmp_path / "j")
    assert journal.last_seq == 16
    reader = journal.reader(0)
    check_rows(read_all(reader), [*range(1, 11), *range(14, 17)])
    assert reader.missing == [(11, 13)]


def test_a_blob_that_does_not_match_its_crc_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j")
    first, count, frames, crc = blob_of(1, 10)
    with pytest.raises(InvalidRequest) as caught:
        journal.receive(first, count, frames, crc ^ 1)
    assert caught.value.code == "FRAMES_DAMAGED"
    assert (journal.last_seq, journal.size_bytes) == (0, 0)
    assert journal.receive(first, count, frames, crc).acked_seq == 10


@pytest.mark.parametrize(
    ("count", "frames"),
    [
        (1, b"x" * 32),
        (1, frames_of(1, 1) + b"1234"),
        (10_000, frames_of(1, 10)),
        (1, frames_of(2, 1)),
        (1, encode_frame(KIND, PRODUCER + 1, 1, b"")),
        (1, b""),
        (1, b"12345678"),
    ],
)
def test_malformed_blobs_are_refused(tmp_path: Path, count: int, frames: bytes) -> None:
    journal = open_journal(tmp_path / "j")
    with pytest.raises(InvalidRequest):
        journal.receive(1, count, frames, zlib.crc32(frames))
    assert journal.receive(*blob_of(1, 1)).acked_seq == 1


def test_a_bad_frame_inside_a_blob_costs_only_itself(tmp_path: Path) -> None:
    """The count says 5, the CRC of the blob is right, the frame in the middle is not."""
    journal = open_journal(tmp_path / "j")
    frames = bytearray(frames_of(1, 5))
    at = len(frames_of(1, 2)) + 30
    frames[at] ^= 0xFF
    journal.receive(1, 5, bytes(frames), zlib.crc32(frames))
    journal.receive(*blob_of(6, 3))
    reader = journal.reader(0)
    check_rows(read_all(reader), [1, 2, 4, 5, 6, 7, 8])
    assert reader.missing == [(3, 3)]
    assert [damage.length for damage in reader.damages] == [len(frames_of(3, 1))]


def test_a_bad_frame_at_the_very_end_does_not_hold_up_the_reader(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j")
    frames = bytearray(frames_of(1, 5))
    frames[-20] ^= 0xFF
    journal.receive(1, 5, bytes(frames), zlib.crc32(frames))
    reader = journal.reader(0)
    check_rows(read_all(reader), range(1, 5))
    assert reader.position_seq == journal.last_seq == 5
    assert reader.missing == [(5, 5)]
    journal.receive(*blob_of(6, 1))
    check_rows(read_all(reader), [6])
    (damage,) = reader.damages
    assert 0 <= len(frames_of(5, 1)) - damage.length < 8  # zeros at its end do not count


def test_the_agents_own_records_are_numbered_by_the_journal(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j")
    assert [journal.append(KIND, payload_of(seq)) for seq in (1, 2, 3)] == [1, 2, 3]
    check_rows(read_all(journal.reader(1)), [2, 3])


def test_the_quota_refuses_and_a_release_makes_room_again(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j", SMALL.model_copy(update={"max_bytes": 20_000}))
    seq = 1
    with pytest.raises(JournalFull) as caught:
        while True:
            seq = journal.receive(*blob_of(seq, 5)).acked_seq + 1
    assert (caught.value.code, caught.value.retryable) == ("JOURNAL_QUOTA", True)
    assert journal.size_bytes <= 20_000
    journal.sync()
    assert journal.release(seq // 2) > 0
    assert journal.receive(*blob_of(seq, 5)).acked_seq == seq + 4
    check_rows(read_all(journal.reader(seq // 2)), range(seq // 2 + 1, seq + 5))


def test_a_blob_larger_than_a_segment_gets_one_of_its_own(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j")
    journal.receive(*blob_of(1, 1))
    journal.receive(*blob_of(2, 100))
    journal.receive(*blob_of(102, 1))
    assert [segment.first_seq for segment in journal.segments] == [1, 2, 102]
    check_rows(read_all(journal.reader(0)), range(1, 103))


def test_sync_always_reaches_the_disk_before_the_receipt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal(tmp_path / "j", SMALL.model_copy(update={"sync": "always"}))
    calls: list[int] = []
    monkeypatch.setattr(os, "fdatasync", calls.append)
    for n in range(1, 50):
        journal.receive(*blob_of(n, 1))
        assert not journal.is_dirty
    assert len(calls) >= 49


def test_sync_always_does_not_acknowledge_what_an_earlier_call_could_not_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal(tmp_path / "j", SMALL.model_copy(update={"sync": "always"}))

    def refuse(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        for _ in range(2):  # the second time the rows are there already: still no receipt
            with pytest.raises(JournalFull):
                journal.receive(*blob_of(1, 3))
    assert journal.receive(*blob_of(1, 3)) == Receipt(3, rewind=False)


def test_two_owners_of_one_journal_do_not_truncate_each_other(tmp_path: Path) -> None:
    """A journal is never opened for writing from the start: O_APPEND and O_EXCL."""
    first = open_journal(tmp_path / "j")
    first.receive(*blob_of(1, 10))
    again = Journal.open(tmp_path / "j", PRODUCER, 1, SMALL)
    assert again.last_seq == 10
    first.receive(*blob_of(11, 1))
    check_rows(read_all(open_journal(tmp_path / "j").reader(0)), range(1, 12))
