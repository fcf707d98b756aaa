"""The agent reads large pieces where a living rank keeps them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from trackd.recording.spool import Spool, SpoolLimits
from trackd.recording.spool_reader import Piece, SpoolReader
from trackd_agent.core.errors import InvalidRequest
from trackd_agent.runs.spool_window import SpoolWindow
from trackd_proto.records import Kind

if TYPE_CHECKING:
    from pathlib import Path

PRODUCER = 77


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool" / "run", PRODUCER, 1, SpoolLimits(segment_bytes=64 * 1024))


def pieces_of(spool: Spool) -> list[Piece]:
    reader = SpoolReader(spool)
    pieces: list[Piece] = []
    while piece := reader.read(1 << 20, 1000):
        pieces.append(piece)
    return pieces


def test_every_piece_reads_the_same_in_the_window(spool: Spool) -> None:
    for number in range(400):
        assert spool.append(Kind.ROW, bytes([number % 251]) * (number * 13))
        assert spool.append(Kind.CONSOLE, bytearray([number % 251]) * 20_000)
        spool.prepare()
    window = SpoolWindow(PRODUCER)
    window.look_at(spool.folder)
    assert window.is_usable()
    pieces = pieces_of(spool)
    assert len(pieces) > 100
    for piece in pieces:
        found = window.read(piece.segment.first_seq, piece.start, piece.size_bytes)
        assert found == piece.frames()
    window.close()


def test_full_segments_hold_no_descriptors_and_can_be_read_still(spool: Spool) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(64 * 40):
        assert spool.append(Kind.ROW, bytes([number % 251]) * 1000)
        spool.prepare()
    assert len(list(spool.folder.iterdir())) > 40
    assert len(os.listdir("/proc/self/fd")) - before < 12
    assert sum(piece.frame_count for piece in pieces_of(spool)) == 64 * 40
    spool.close(delete=True)
    assert len(os.listdir("/proc/self/fd")) < before


def test_the_spool_of_another_producer_is_not_usable(spool: Spool, tmp_path: Path) -> None:
    window = SpoolWindow(PRODUCER + 1)
    assert not window.is_usable()
    window.look_at(spool.folder)
    assert not window.is_usable()
    window.look_at(tmp_path / "nowhere")
    assert not window.is_usable()


@pytest.mark.parametrize(
    ("segment_seq", "offset", "length"),
    [(2, 64, 100), (1, 60 * 1024, 8 * 1024), (1, 2**63, 10), (2**63, 0, 8)],
)
def test_a_piece_that_is_not_there_is_refused_and_the_frames_are_asked_for(
    spool: Spool, segment_seq: int, offset: int, length: int
) -> None:
    assert spool.append(Kind.ROW, b"x" * 100)
    window = SpoolWindow(PRODUCER)
    window.look_at(spool.folder)
    with pytest.raises(InvalidRequest, match=r"SPOOL_UNREADABLE|slice\.length") as refusal:
        window.read(segment_seq, offset, length)
    assert refusal.value.code == "SPOOL_UNREADABLE"
    assert not window.is_usable()


def test_a_link_in_place_of_a_segment_is_not_followed(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"s" * 4096)
    (spool.folder / f"{5:020d}.seg").symlink_to(tmp_path / "secret")
    window = SpoolWindow(PRODUCER)
    window.look_at(spool.folder)
    with pytest.raises(InvalidRequest):
        window.read(5, 0, 4096)


def test_a_pipe_in_place_of_a_segment_is_not_waited_for(spool: Spool) -> None:
    for number in (0, 9):  # the first that is looked at, and one that is read
        os.mkfifo(spool.folder / f"{number:020d}.seg")
    assert spool.append(Kind.ROW, b"x" * 100)
    window = SpoolWindow(PRODUCER)
    window.look_at(spool.folder)
    assert window.is_usable()
    with pytest.raises(InvalidRequest, match="no plain file"):
        window.read(9, 0, 64)
