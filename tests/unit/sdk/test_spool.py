"""The spool: against a model, at its bounds, on a full disk, after death."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.unit.sdk.small_agent import read_frames

from trackd.recording import spool as spool_module
from trackd.recording.spool import Spool, SpoolLimits
from trackd.recording.spool_place import file_system_of, open_spool
from trackd.recording.spool_reader import SpoolReader
from trackd_proto import layout
from trackd_proto.frames import SEGMENT_HEADER_BYTES, Scanner, decode_segment_header
from trackd_proto.records import Exit, Gap, Kind, encode

SMALL = SpoolLimits(segment_bytes=4096, max_bytes=1 << 20, max_block_s=0.0)


def open_small(folder: Path, limits: SpoolLimits = SMALL) -> Spool:
    return Spool(folder / "spool", producer=77, run_hash=5, limits=limits)


def stored(folder: Path) -> list[tuple[int, int, bytes]]:
    frames = read_frames(folder / "spool")
    return [(frame.seq, frame.kind, bytes(frame.payload)) for frame in frames]


class SpoolMachine(RuleBasedStateMachine):
    """Random writers, reader, acknowledgements and deaths, compared with a list."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = Path(tempfile.mkdtemp(prefix="trackd-spool-"))
        self.spool = open_small(self.folder)
        self.reader = SpoolReader(self.spool)
        self.model: list[bytes] = []
        self.read_seq = 0
        self.acked = 0

    @rule(payload=st.binary(max_size=300))
    def append(self, payload: bytes) -> None:
        assert self.spool.append(Kind.ROW, payload)
        self.model.append(payload)

    @rule(size=st.integers(3000, 20_000))
    def append_large(self, size: int) -> None:
        payload = bytes([size % 251]) * size
        assert self.spool.append(Kind.ROW, payload)
        self.model.append(payload)

    @rule(max_bytes=st.integers(1, 5000), max_frames=st.integers(1, 20))
    def read(self, max_bytes: int, max_frames: int) -> None:
        piece = self.reader.read(max_bytes, max_frames)
        if piece is None:
            assert self.read_seq == len(self.model)
            return
        first, count, data = piece.first_seq, piece.frame_count, piece.frames()
        assert piece.size_bytes == len(data)
        assert first == self.read_seq + 1
        assert 1 <= count <= max_frames
        assert count == 1 or len(data) <= max_bytes
        frames = list(Scanner(data, producer=77))
        assert [frame.seq for frame in frames] == list(range(first, first + count))
        for frame in frames:
            assert bytes(frame.payload) == self.model[frame.seq - 1]
        self.read_seq += count

    @precondition(lambda self: self.read_seq > self.acked)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        self.acked = data.draw(st.integers(self.acked, self.read_seq))
        self.spool.trim(self.acked)

    @rule(data=st.data())
    def seek(self, data: st.DataObject) -> None:
        after = data.draw(st.integers(self.acked, len(self.model)))
        assert self.reader.seek(after)
        self.read_seq = after

    @rule()
    def prepare(self) -> None:
        self.spool.prepare()

    @invariant()
    def disk_holds_what_is_not_acknowledged(self) -> None:
        found = stored(self.folder)
        assert [seq for seq, _, _ in found][-1:] == [len(self.model)][: len(self.model)]
        assert found[0][0] <= self.acked + 1 if found else not self.model
        for seq, _, payload in found:
            assert payload == self.model[seq - 1]
        files = [path for path in (self.folder / "spool").iterdir() if path.suffix != ""]
        assert sum(path.stat().st_size for path in files) == self.spool.size_bytes

    def teardown(self) -> None:
        self.spool.close(delete=True)
        assert not (self.folder / "spool").exists()
        self.folder.rmdir()


TestSpoolMachine = SpoolMachine.TestCase
TestSpoolMachine.settings = settings(max_examples=40, stateful_step_count=40)


def test_segment_files_follow_the_format(tmp_path: Path) -> None:
    spool = open_small(tmp_path)
    for _ in range(100):
        spool.append(Kind.ROW, b"x" * 100)
    names = sorted(path.name for path in spool.folder.glob("*.seg"))
    assert names[0] == layout.segment_name(1)
    for name in names:
        header = decode_segment_header((spool.folder / name).read_bytes()[:SEGMENT_HEADER_BYTES])
        assert header is not None
        assert (header.run_hash, header.producer) == (5, 77)
        assert layout.segment_name(header.first_seq) == name
    spool.close(delete=True)


def test_a_full_spool_drops_the_newest_and_says_how_many(tmp_path: Path) -> None:
    spool = open_small(tmp_path, SpoolLimits(segment_bytes=4096, max_bytes=8192, max_block_s=0.0))
    kept = sum(spool.append(Kind.ROW, b"%04d" % i + b"x" * 96) for i in range(200))
    assert 0 < kept < 200
    assert spool.dropped == {"spool_full": 200 - kept}
    time.sleep(0.11)
    spool.trim(spool.first_segment.tail[1])
    assert spool.append(Kind.ROW, b"again")
    frames = stored(tmp_path)
    gap = msgspec.msgpack.decode(frames[-2][2], type=Gap)
    assert frames[-2][1] == Kind.GAP
    assert gap == Gap(200 - kept, "spool_full")
    assert frames[-1][2] == b"again"
    assert [seq for seq, _, _ in frames] == list(range(frames[0][0], spool.last_seq + 1))
    spool.close(delete=True)


def test_a_full_spool_waits_only_while_somebody_drains_it(tmp_path: Path) -> None:
    limits = SpoolLimits(segment_bytes=4096, max_bytes=8192, max_block_s=100.0)
    spool = open_small(tmp_path, limits)
    before_s = time.monotonic()
    while spool.append(Kind.ROW, b"x" * 100):
        pass
    assert time.monotonic() - before_s < 90
    spool.close(delete=True)

    spool = open_small(tmp_path, limits)
    spool.is_drained = lambda: True
    while spool.last_seq < 75 and spool.append(Kind.ROW, b"x" * 100):
        if spool.last_seq == 50:
            threading.Timer(0.1, lambda: spool.trim(spool.first_segment.tail[1])).start()
    assert spool.dropped == {}
    spool.close(delete=True)


def test_a_full_disk_is_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = open_small(tmp_path)
    real = os.posix_fallocate

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spool_module.os, "posix_fallocate", full)
    while spool.append(Kind.ROW, b"x" * 100):
        pass
    for _ in range(9):
        assert not spool.append(Kind.ROW, b"lost")
    assert spool.dropped == {"disk_full": 10}
    monkeypatch.setattr(spool_module.os, "posix_fallocate", real)
    time.sleep(0.11)
    assert spool.append(Kind.ROW, b"again")
    frames = stored(tmp_path)
    assert msgspec.msgpack.decode(frames[-2][2], type=Gap) == Gap(10, "disk_full")
    assert not list(spool.folder.glob("*.tmp"))
    spool.close(delete=True)


def test_a_loss_at_the_end_is_told_too(tmp_path: Path) -> None:
    spool = open_small(tmp_path, SpoolLimits(segment_bytes=4096, max_bytes=8192, max_block_s=0.0))
    while spool.append(Kind.ROW, b"x" * 100):
        pass
    spool.trim(spool.first_segment.tail[1])
    spool.settle()
    assert stored(tmp_path)[-1][1] == Kind.GAP
    spool.close(delete=True)


def test_the_end_of_a_run_fits_also_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_small(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spool_module.os, "posix_fallocate", full)
    while spool.append(Kind.ROW, b""):  # the smallest frames leave the least room
        pass
    spool.settle()
    assert spool.append(Kind.EXIT, encode(Exit(1, time.time(), 1e6)))
    *_, gap, end = stored(tmp_path)
    assert msgspec.msgpack.decode(gap[2], type=Gap) == Gap(1, "disk_full")
    assert end[1] == Kind.EXIT
    spool.close(delete=True)


def test_a_record_beyond_the_frame_limit_is_dropped_and_counted(tmp_path: Path) -> None:
    spool = open_small(tmp_path, SpoolLimits(segment_bytes=4096, max_bytes=1 << 30))
    assert not spool.append(Kind.CONFIG, b"x" * (8 * 1024 * 1024 + 1))
    assert spool.dropped == {"record_too_large": 1}
    assert spool.append(Kind.ROW, b"next")
    spool.close(delete=True)


def test_a_signal_handler_may_log_in_the_middle_of_a_log_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_small(tmp_path)
    real = zlib.crc32
    nested: list[bool] = []

    class Interrupted:
        @staticmethod
        def crc32(*arguments: Any) -> int:
            if not nested:
                nested.append(spool.append(Kind.ROW, b"from the handler"))
            return real(*arguments)

    monkeypatch.setattr(spool_module, "zlib", Interrupted)
    spool.append(Kind.ROW, b"outer")
    assert [payload for _, _, payload in stored(tmp_path)] == [b"outer", b"from the handler"]
    spool.close(delete=True)


def test_the_lock_is_held_for_life(tmp_path: Path) -> None:
    spool = open_small(tmp_path)
    with (spool.folder / layout.SPOOL_LOCK).open() as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        spool.append(Kind.ROW, b"x")
        spool.close(delete=False)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert len(stored(tmp_path)) == 1


MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /home rw,relatime shared:1 - nfs4 server:/home rw
31 30 254:1 / /home/scratch\\040disk rw,relatime - xfs /dev/vdb rw
"""


def test_the_file_system_of_a_path_is_the_one_of_its_nearest_mount() -> None:
    assert file_system_of(Path("/var/lib"), MOUNTS) == "ext4"
    assert file_system_of(Path("/home/me/data"), MOUNTS) == "nfs4"
    assert file_system_of(Path("/home/scratch disk/x"), MOUNTS) == "xfs"


def test_network_file_systems_are_refused_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = tmp_path / "remote"

    def is_remote(path: Path) -> str:
        return "nfs4" if path == remote else ""

    monkeypatch.setattr("trackd.recording.spool_place.network_file_system", is_remote)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "local"))
    said: list[str] = []
    spool = open_spool(remote, ("p", "r", 77), SMALL, said.append)
    assert spool.folder.is_relative_to(tmp_path / "local")
    assert "nfs4" in said[0]
    assert "TRACKD_DIR" in said[0]
    spool.close(delete=True)


def test_what_a_signal_handler_recorded_stays_although_the_handler_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_small(tmp_path)
    checksum = zlib.crc32

    def interrupted(data: bytes, start: int = 0) -> int:
        monkeypatch.setattr(spool_module.zlib, "crc32", checksum)
        assert spool.append(Kind.ROW, b"from the handler")
        raise KeyboardInterrupt

    monkeypatch.setattr(spool_module.zlib, "crc32", interrupted)
    with pytest.raises(KeyboardInterrupt):
        spool.append(Kind.ROW, b"never returned")
    assert stored(tmp_path) == [(1, Kind.ROW, b"from the handler")]
    assert spool.append(Kind.ROW, b"next")
    assert [payload for _, _, payload in stored(tmp_path)] == [b"from the handler", b"next"]


@pytest.mark.parametrize("delete", [False, True])
def test_a_signal_handler_may_end_the_run_in_the_middle_of_a_log_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delete: bool
) -> None:
    folder = tmp_path / "w"
    spool = open_small(folder)
    real = zlib.crc32
    ended: list[bool] = []

    class Interrupted:
        @staticmethod
        def crc32(*arguments: Any) -> int:
            if not ended:
                ended.append(True)
                spool.append(Kind.ROW, b"from the handler")
                spool.settle()
                spool.append(Kind.EXIT, b"the end")
                spool.close(delete=delete)
            return real(*arguments)

    spool.append(Kind.ROW, b"before")
    monkeypatch.setattr(spool_module, "zlib", Interrupted)
    spool.append(Kind.ROW, b"interrupted")
    assert not spool.append(Kind.ROW, b"after the end")
    if delete:
        assert not (folder / "spool").exists()
    else:
        there = [payload for _, _, payload in stored(folder)]
        assert there == [b"before", b"from the handler", b"the end"]
