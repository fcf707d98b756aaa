"""Flipped bytes, torn tails, zeros, foreign bytes: only the damaged record is lost."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.unit.journal.support import (
    PRODUCER,
    blob_of,
    check_rows,
    frames_of,
    open_journal,
    payload_of,
    read_all,
)

from trackd_agent.journal import JournalConfig, read_folder
from trackd_proto.frames import SEGMENT_HEADER_BYTES, Scanner, encode_frame

if TYPE_CHECKING:
    from pathlib import Path

BIG = JournalConfig()
RECORDS = 62


def content_of(seq: int) -> bytes:
    """Return a payload that makes 62 records fill 64 KiB."""
    return (b"%05d" % seq) * 205 + b"\xa5\xd7\x02"  # the magic of a frame, misleadingly


def journal_of_64_kib(folder: Path) -> tuple[Path, bytes]:
    """Fill a journal; return its only segment and its bytes."""
    journal = open_journal(folder, BIG)
    for seq in range(1, RECORDS + 1):
        journal.append(2, content_of(seq))
    journal.close()
    (segment,) = journal.segments
    raw = segment.path.read_bytes()
    assert 0.98 < len(raw) / 65536 < 1.02
    return segment.path, raw


def test_a_flip_of_any_byte_loses_at_most_the_damaged_record(tmp_path: Path) -> None:
    """Headers against the whole journal; payload bytes against the records around them."""
    _, raw = journal_of_64_kib(tmp_path / "j")
    view = bytearray(raw)
    frame_bytes = (len(raw) - SEGMENT_HEADER_BYTES) // RECORDS
    for at in range(SEGMENT_HEADER_BYTES, len(raw)):
        hit, offset = divmod(at - SEGMENT_HEADER_BYTES, frame_bytes)
        near = 1 if 28 <= offset < frame_bytes - 8 else RECORDS
        first, last = max(0, hit - near), min(RECORDS - 1, hit + near)
        begin = SEGMENT_HEADER_BYTES + first * frame_bytes
        end = SEGMENT_HEADER_BYTES + (last + 1) * frame_bytes
        flip = 1 << at % 8 if at & 8 else 0xFF
        view[at] ^= flip
        scanner = Scanner(view[begin:end], 0, PRODUCER)
        found = {frame.seq: bytes(frame.payload) for frame in scanner}
        view[at] ^= flip
        lost = set(range(first + 1, last + 2)) - set(found)
        assert lost <= {hit + 1}
        assert lost or offset >= frame_bytes - 8  # only a flip in the padding does no harm
        assert all(payload == content_of(seq) for seq, payload in found.items())
        if lost and first < hit < last:
            assert [damage.length for damage in scanner.damages] == [frame_bytes]


def test_every_bit_of_a_header_loses_at_most_its_record(tmp_path: Path) -> None:
    """Three records around; the first one's length may then reach over all of them."""
    frames = bytearray(frames_of(1, 4))
    second = len(frames_of(1, 1))
    for bit in range(28 * 8):
        frames[second + bit // 8] ^= 1 << bit % 8
        check_rows(Scanner(frames, producer=PRODUCER), [1, 3, 4])
        frames[second + bit // 8] ^= 1 << bit % 8


@pytest.mark.parametrize("how", ["recovered", "read as a folder"])
def test_flips_on_disk_are_reported_and_survived(tmp_path: Path, how: str) -> None:
    path, raw = journal_of_64_kib(tmp_path / "j")
    for at in [*range(200), *range(200, len(raw), 211), *range(len(raw) - 40, len(raw))]:
        path.write_bytes(raw[:at] + bytes((raw[at] ^ 0xFF,)) + raw[at + 1 :])
        if how == "recovered":
            journal = open_journal(path.parent, BIG)
            reader = journal.reader(0)
        else:
            journal, reader = None, read_folder(path.parent, PRODUCER)
        frames = read_all(reader, 8192)
        found = {frame.seq: bytes(frame.payload) for frame in frames}
        assert len(found) == len(frames) >= RECORDS - 1
        assert all(payload == content_of(seq) for seq, payload in found.items())
        lost = set(range(1, RECORDS + 1)) - set(found)
        gone = {seq for first, last in reader.missing for seq in range(first, last + 1)}
        assert lost - {RECORDS} <= gone <= lost
        if journal:
            assert journal.last_seq == max(found)  # a torn last record is asked for again
            assert bool(lost - {RECORDS}) <= bool(reader.damages)
            assert bool(lost & {RECORDS}) == bool(journal.torn_bytes)
            journal.close()
        reader.close()


def test_a_page_of_zeros_in_the_middle_loses_only_its_records(tmp_path: Path) -> None:
    path, raw = journal_of_64_kib(tmp_path / "j")
    path.write_bytes(raw[:20480] + bytes(4096) + raw[24576:])
    reader = open_journal(path.parent, BIG).reader(0)
    found = [frame.seq for frame in read_all(reader, 4096)]
    assert len(found) >= RECORDS - 6
    ((first, last),) = reader.missing
    assert [*found, *range(first, last + 1)].sort() == list(range(1, RECORDS + 1)).sort()
    assert len(reader.damages) == 1
    check_folder = read_folder(path.parent)
    assert [frame.seq for frame in read_all(check_folder)] == found


@pytest.mark.parametrize("cut", [1, 8, 27, 28, 29, 100, 1063, 1064, 1065])
def test_a_torn_tail_is_cut_kept_aside_and_asked_for_again(tmp_path: Path, cut: int) -> None:
    path, raw = journal_of_64_kib(tmp_path / "j")
    os.truncate(path, len(raw) - cut)
    journal = open_journal(path.parent, BIG)
    frame_bytes = len(encode_frame(2, PRODUCER, 1, content_of(1)))
    lost = (cut - 1) // frame_bytes + 1
    padding = frame_bytes - 28 - len(content_of(1))
    if cut <= padding:
        lost = 0
    assert journal.last_seq == RECORDS - lost
    torn = path.with_name(path.name + ".torn")
    assert torn.exists() == (journal.torn_bytes > 0)
    for seq in range(journal.last_seq + 1, RECORDS + 2):
        journal.append(2, content_of(seq))
    reader = journal.reader(0)
    assert [f.payload for f in read_all(reader)] == [content_of(n + 1) for n in range(RECORDS + 1)]
    assert not reader.damages
    assert path.stat().st_size % 8 == 0


@pytest.mark.parametrize("tail", [bytes(64 * 1024), os.urandom(5000), b"\xa5\xd7" * 5000])
def test_what_a_crash_left_behind_the_end_is_cut(tmp_path: Path, tail: bytes) -> None:
    path, raw = journal_of_64_kib(tmp_path / "j")
    path.write_bytes(raw + tail)
    offline = read_folder(path.parent)
    assert len(read_all(offline)) == RECORDS
    assert (offline.torn_bytes > 0) == bool(tail.strip(b"\0"))
    assert not offline.damages
    journal = open_journal(path.parent, BIG)
    assert journal.last_seq == RECORDS
    assert path.read_bytes() == raw
    torn = path.with_name(path.name + ".torn")
    assert (torn.read_bytes() if torn.exists() else b"") == tail.rstrip(b"\0")


def test_the_kept_part_of_a_torn_tail_is_bounded(tmp_path: Path) -> None:
    path, raw = journal_of_64_kib(tmp_path / "j")
    path.write_bytes(raw + os.urandom(300_000))
    journal = open_journal(path.parent, JournalConfig(torn_max_bytes=1000))
    assert journal.torn_bytes == path.with_name(path.name + ".torn").stat().st_size == 1000


def test_a_long_stretch_of_garbage_is_skipped_in_small_slices(tmp_path: Path) -> None:
    path, raw = journal_of_64_kib(tmp_path / "j")
    fake = encode_frame(2, PRODUCER, 9, bytes(60_000))[:40]  # claims to reach far ahead
    garbage = (fake + os.urandom(1000 * 8)) * 100
    half = SEGMENT_HEADER_BYTES + 31 * len(encode_frame(2, PRODUCER, 1, content_of(1)))
    path.write_bytes(raw[:half] + garbage + raw[half:])
    for reader in (open_journal(path.parent, BIG).reader(0), read_folder(path.parent)):
        assert len(read_all(reader, 4096)) == RECORDS
        assert sum(damage.length for damage in reader.damages) == len(garbage)
        assert not reader.missing


def test_a_frame_larger_than_the_slice_is_read_whole(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j", BIG)
    sizes = [10, 500_000, 3, 8 * 1024 * 1024, 70_000, 1]
    for size in sizes:
        journal.append(2, b"z" * size)
    reader = journal.reader(0)
    assert [len(frame.payload) for frame in read_all(reader, 4096)] == sizes
    assert not reader.damages
    journal.close()
    assert open_journal(tmp_path / "j", BIG).last_seq == len(sizes)


def test_a_segment_without_its_header_loses_nothing(tmp_path: Path) -> None:
    path, raw = journal_of_64_kib(tmp_path / "j")
    path.write_bytes(os.urandom(64) + raw[64:])
    assert len(read_all(read_folder(path.parent))) == RECORDS
    journal = open_journal(path.parent, BIG)
    assert journal.last_seq == RECORDS
    assert len(read_all(journal.reader(0))) == RECORDS


def test_frames_of_another_producer_are_no_rows_of_this_one(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j", BIG)
    journal.receive(*blob_of(1, 3))
    journal.close()
    (segment,) = journal.segments
    with segment.path.open("ab") as file:
        file.write(encode_frame(2, PRODUCER ^ 1, 4, payload_of(4)))
    journal = open_journal(tmp_path / "j", BIG)
    assert journal.last_seq == 3
    assert journal.torn_bytes > 0
