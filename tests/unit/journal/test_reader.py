"""Readers: following a living journal, starting anywhere, folders of spools, release."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest
from tests.unit.journal.support import (
    PRODUCER,
    RUN_HASH,
    SMALL,
    blob_of,
    check_rows,
    frames_of,
    open_journal,
    payload_of,
    read_all,
)

from trackd_agent.journal import JournalConfig, read_folder
from trackd_proto.frames import encode_frame, encode_segment_header
from trackd_proto.layout import segment_name

if TYPE_CHECKING:
    from pathlib import Path


def fill(folder: Path, count: int, config: JournalConfig = SMALL) -> None:
    """Write a journal of so many records and close it."""
    journal = open_journal(folder, config)
    for first in range(1, count + 1, 7):
        journal.receive(*blob_of(first, min(7, count + 1 - first)))
    journal.close()


def test_a_reader_follows_a_living_journal_over_segments(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j")
    early, seen = journal.reader(0), 0
    assert early.read() == []
    for first in range(1, 500, 5):
        journal.receive(*blob_of(first, 5))
        if first % 3 == 0:
            frames = read_all(early)
            check_rows(frames, range(seen + 1, first + 5))
            seen = early.position_seq
            assert seen == journal.last_seq
    assert len(journal.segments) > 5
    check_rows(read_all(early), range(seen + 1, 501))


@pytest.mark.parametrize("after", [0, 1, 6, 7, 250, 499, 500, 501, 600])
@pytest.mark.parametrize("segment_max_bytes", [4096, 16 * 1024 * 1024])
def test_a_reader_starts_behind_any_number(
    tmp_path: Path, after: int, segment_max_bytes: int
) -> None:
    fill(tmp_path / "j", 500, JournalConfig(segment_max_bytes=segment_max_bytes))
    reader = open_journal(tmp_path / "j").reader(after)
    check_rows(read_all(reader), range(after + 1, 501))
    assert reader.missing == []
    assert reader.damages == []


def test_a_reader_finds_its_place_in_a_large_segment_without_reading_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal(tmp_path / "j", JournalConfig())
    journal.receive(*blob_of(1, 40_000))
    read_bytes: list[int] = []
    plain_pread = os.pread

    def pread(descriptor: int, length: int, offset: int) -> bytes:
        data = plain_pread(descriptor, length, offset)
        read_bytes.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", pread)
    for after in (0, 1, 17_123, 39_990):
        read_bytes.clear()
        assert journal.reader(after).read(4096)[0].seq == after + 1
        assert sum(read_bytes) < journal.size_bytes / 8
    check_rows(read_all(journal.reader(39_000), 65536), range(39_001, 40_001))


def test_a_slice_holds_no_more_than_was_asked_for(tmp_path: Path) -> None:
    fill(tmp_path / "j", 2000, JournalConfig())
    reader = open_journal(tmp_path / "j").reader(0)
    slices = 0
    while frames := reader.read(8192):
        slices += 1
        assert len(frames_of(frames[0].seq, len(frames))) <= 8192
    assert slices > 20


def test_payloads_stay_valid_after_later_reads_and_release(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j")
    journal.receive(*blob_of(1, 200))
    frames = read_all(journal.reader(0))
    journal.destroy()
    check_rows(frames, range(1, 201))
    assert not (tmp_path / "j").exists()


def test_a_release_takes_whole_segments_that_everybody_passed(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j")
    for first in range(1, 300, 10):
        journal.receive(*blob_of(first, 10))
    slow, slower = journal.reader(0), journal.reader(0)
    slow.read(4096)
    assert journal.release(150) == 0  # nothing was synced: a power cut could take what remains
    journal.sync()
    before = journal.size_bytes
    freed = journal.release(150)
    assert freed == before - journal.size_bytes > 0
    assert journal.segments[0].first_seq <= 151
    assert journal.size_bytes == sum(s.path.stat().st_size for s in journal.segments)
    check_rows(read_all(journal.reader(150)), range(151, 301))
    # Readers that had not come so far: one is in a deleted file, one has not begun.
    first = journal.segments[0].first_seq
    assert read_all(slow)[-1].seq == 300
    check_rows(read_all(slower), range(first, 301))
    assert slower.missing == [(1, first - 1)]
    journal.release(10**9)
    assert len(journal.segments) == 1
    journal.close()
    assert open_journal(tmp_path / "j").last_seq == 300


def test_an_empty_newest_segment_keeps_the_number(tmp_path: Path) -> None:
    """Rolled, all before it released, and then death before its first frame."""
    fill(tmp_path / "j", 30)
    for path in (tmp_path / "j").iterdir():
        path.unlink()
    header = encode_segment_header(RUN_HASH, PRODUCER, 31, 0)
    for content in (b"", header[:40], header, header + frames_of(31, 1)[:50]):
        (tmp_path / "j" / segment_name(31)).write_bytes(content)
        journal = open_journal(tmp_path / "j")
        assert journal.last_seq == 30
        journal.receive(*blob_of(31, 2))
        check_rows(read_all(journal.reader(30)), [31, 32])
        journal.close()
        assert open_journal(tmp_path / "j").last_seq == 32


def test_foreign_files_in_the_folder_do_no_harm(tmp_path: Path) -> None:
    fill(tmp_path / "j", 50)
    (tmp_path / "j" / "notes.txt").write_text("mine")
    (tmp_path / "j" / "x.seg").write_bytes(os.urandom(100))
    (tmp_path / "j" / "00000000000000000001.seg.torn").write_bytes(b"x")
    journal = open_journal(tmp_path / "j")
    assert journal.last_seq == 50
    check_rows(read_all(read_folder(tmp_path / "j")), range(1, 51))


def spool_segment(folder: Path, first: int, count: int, name: str | None = None) -> Path:
    """Write a preallocated segment as a rank leaves it: zeros behind its frames."""
    folder.mkdir(exist_ok=True)
    path = folder / (name or segment_name(first))
    header = encode_segment_header(RUN_HASH, PRODUCER, first, 0)
    path.write_bytes((header + frames_of(first, count)).ljust(512 * 1024, b"\0"))
    return path


def test_a_spool_folder_is_read_through_its_zero_tails(tmp_path: Path) -> None:
    for first in range(1, 100, 10):
        spool_segment(tmp_path / "s", first, 10)
    reader = read_folder(tmp_path / "s", after_seq=15)
    check_rows(read_all(reader), range(16, 101))
    assert reader.producer == PRODUCER
    assert (reader.damages, reader.missing, reader.torn_bytes) == ([], [], 0)


def test_a_spool_folder_with_wrong_names_is_read_in_order(tmp_path: Path) -> None:
    names = [segment_name(n) for n in range(1, 11)]
    random.Random(1).shuffle(names)
    for first, name in zip(range(1, 100, 10), names, strict=True):
        spool_segment(tmp_path / "s", first, 10, name)
    check_rows(read_all(read_folder(tmp_path / "s")), range(1, 101))


def test_a_missing_segment_of_a_spool_shows_as_missing(tmp_path: Path) -> None:
    for first in (1, 11, 31):
        spool_segment(tmp_path / "s", first, 10)
    reader = read_folder(tmp_path / "s")
    check_rows(read_all(reader), [*range(1, 21), *range(31, 41)])
    assert reader.missing == [(21, 30)]


def test_a_living_spool_is_followed_frame_by_frame_and_over_segments(tmp_path: Path) -> None:
    """A frame that is half stored is waited for; it is not damage."""
    path = spool_segment(tmp_path / "s", 1, 3)
    reader = read_folder(tmp_path / "s", live=True)
    check_rows(read_all(reader), [1, 2, 3])
    at = 64 + len(frames_of(1, 3))
    frame = encode_frame(2, PRODUCER, 4, payload_of(4))
    with path.open("r+b") as file:
        for part in (frame[28:], frame[:12], frame[:28]):
            assert reader.read() == []
            file.seek(at + (28 if part == frame[28:] else 0))
            file.write(part)
            file.flush()
        check_rows(read_all(reader), [4])
        # The last frame of this segment and the next segment appear between two reads.
        file.seek(at + len(frame))
        file.write(encode_frame(2, PRODUCER, 5, payload_of(5)))
    spool_segment(tmp_path / "s", 6, 2)
    check_rows(read_all(reader), [5, 6, 7])
    assert (reader.damages, reader.missing) == ([], [])


def test_a_spool_that_ends_in_a_half_frame_has_a_torn_tail(tmp_path: Path) -> None:
    path = spool_segment(tmp_path / "s", 1, 3)
    with path.open("r+b") as file:
        file.seek(64 + len(frames_of(1, 3)))
        file.write(frames_of(4, 1)[:50])
    reader = read_folder(tmp_path / "s")
    check_rows(read_all(reader), [1, 2, 3])
    assert (reader.damages, reader.missing, reader.torn_bytes) == ([], [], 50)


def test_an_absent_folder_is_an_empty_log(tmp_path: Path) -> None:
    assert read_folder(tmp_path / "nothing").read() == []


def test_a_closed_reader_goes_on_where_it_was(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j")
    journal.receive(*blob_of(1, 100))
    reader = journal.reader(0)
    seen = reader.read(4096)[-1].seq
    reader.close()
    check_rows(read_all(reader), range(seen + 1, 101))
