"""Event files: frames, steps, places, damage. What the real writers write is in `frameworks`."""

from __future__ import annotations

import contextlib
import math
import os
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.event_files import event, event_file, framed, message, scalar, scalars, varint

from trackd_agent.tensorboard import Follower, Position, wire
from trackd_agent.tensorboard.event_file import DamagedFileError, masked_crc32c, read_events
from trackd_agent.tensorboard.events import event_of
from trackd_proto.records import Followed, Kind, TensorboardLogs, decode, encode

LATER_S = 100.0


def follower(folder: Path, *logs: TensorboardLogs, **positions: Position) -> Follower:
    made = Follower(folder / "files", 990.0, positions, 0.0)
    for each in logs:
        made.follow(each)
    return made


def read_all(made: Follower, now_s: float = LATER_S, *, final: bool = True) -> list[Followed]:
    """Read and accept until there is nothing more; return what had rows."""
    found: list[Followed] = []
    while batch := made.read(now_s, final=final):
        for followed in batch:
            made.accept(followed)
            found += [followed] if followed.rows else []
    return found


def values(found: list[Followed], key: str) -> list[float]:
    return [row.data[key] for followed in found for row in followed.rows if key in row.data]


def test_the_checksum_is_that_of_the_format() -> None:
    # From RFC 3720: CRC-32C of 32 zero bytes is 0x8A9136AA.
    crc = 0x8A9136AA
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert masked_crc32c(bytes(32)) == masked


def test_values_of_one_step_make_one_row(tmp_path: Path) -> None:
    two = framed(event(1, scalar("a", 1.0))) + framed(event(1, scalar("b", 2.0), time_s=1001.0))
    event_file(tmp_path / "logs", two + framed(event(2, scalar("a", 3.0))))
    [found] = read_all(follower(tmp_path, TensorboardLogs(str(tmp_path / "logs"))))
    assert [row.data for row in found.rows] == [
        {"a": 1.0, "b": 2.0, "global_step": 1},
        {"a": 3.0, "global_step": 2},
    ]
    assert (found.rows[0].time_s, found.rows[0].runtime_s) == (1001.0, 11.0)


def test_the_last_step_waits_for_more_of_it(tmp_path: Path) -> None:
    path = event_file(tmp_path / "logs", framed(event(1, scalar("a", 1.0))))
    made = follower(tmp_path, TensorboardLogs(str(tmp_path / "logs"), root=str(tmp_path / "logs")))
    assert not read_all(made, 0.0, final=False)
    with path.open("ab") as file:
        file.write(framed(event(1, scalar("b", 2.0))))
    assert not read_all(made, 1.0, final=False)
    [found] = read_all(made, 4.0, final=False)
    assert found.rows[0].data == {"a": 1.0, "b": 2.0, "global_step": 1}


def test_a_file_is_read_on_where_the_last_reading_was_accepted(tmp_path: Path) -> None:
    path = event_file(tmp_path / "logs", scalars(0, 50))
    logs = TensorboardLogs(str(tmp_path / "logs"))
    made = follower(tmp_path, logs)
    first = read_all(made)
    made.read(LATER_S, final=True)  # read, but never accepted
    with path.open("ab") as file:
        file.write(scalars(50, 50))
    assert made.read(LATER_S, final=True)
    again = follower(tmp_path, logs, **made.positions)
    assert values(first + read_all(again), "loss") == list(range(100))


@given(cut=st.integers(0, 400))
def test_half_a_frame_is_left_for_later(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("torn")
    whole = scalars(0, 10)
    path = event_file(folder / "logs", whole[: min(cut, len(whole))])
    made = follower(folder, TensorboardLogs(str(folder / "logs")))
    found = read_all(made)
    path.write_bytes(whole)
    assert values(found + read_all(made), "loss") == list(range(10))


def test_frames_larger_than_what_is_read_at_a_time_are_read(tmp_path: Path) -> None:
    large = message(1, message(1, b"x" * 3_000_000))
    path = event_file(tmp_path / "logs", framed(event(1, large)) + scalars(1, 1))
    events, more = read_events(path, 0)
    assert (len(events), more) == (1, True)
    assert values(read_all(follower(tmp_path, TensorboardLogs(str(path.parent)))), "loss") == [1.0]


def test_a_long_file_comes_in_slices(tmp_path: Path) -> None:
    path = event_file(tmp_path / "logs", scalars(0, 10_000))
    found = read_all(follower(tmp_path, TensorboardLogs(str(path.parent))))
    assert len(found) > 1
    assert values(found, "loss") == list(range(10_000))


def test_what_is_behind_damage_is_told_and_left(tmp_path: Path) -> None:
    path = event_file(tmp_path / "logs", scalars(0, 5) + b"garbage" * 10)
    made = follower(tmp_path, TensorboardLogs(str(path.parent)))
    assert values(read_all(made), "loss") == list(range(5))
    assert len(made.problems) == 1
    assert path.name in made.problems[0]
    with pytest.raises(DamagedFileError):
        read_events(path, len(scalars(0, 5)))


def test_a_record_with_a_wrong_checksum_costs_only_itself(tmp_path: Path) -> None:
    bad = bytearray(framed(event(1, scalar("loss", 1.0))))
    bad[-6] ^= 0xFF
    path = event_file(tmp_path / "logs", scalars(0, 1) + bytes(bad) + scalars(2, 1))
    found = read_all(follower(tmp_path, TensorboardLogs(str(path.parent))))
    assert values(found, "loss") == [0.0, 2.0]


@given(st.binary(max_size=200))
def test_no_bytes_confuse_the_reader_of_messages(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        event_of(data)


@given(st.floats(width=32, allow_nan=False))
def test_floats_are_the_shortest_decimals_that_mean_them(number: float) -> None:
    raw = struct.pack("<f", number)
    assert struct.pack("<f", wire.as_float(raw)) == raw
    assert wire.as_float(struct.pack("<f", 0.1)) == 0.1


def test_files_that_were_begun_before_the_run_are_left_alone(tmp_path: Path) -> None:
    event_file(tmp_path / "logs", scalars(0, 2), begun_s=900)
    event_file(tmp_path / "logs", scalars(5, 2), begun_s=1000)
    logs = TensorboardLogs(str(tmp_path / "logs"), since_s=1000.9)
    assert values(read_all(follower(tmp_path, logs)), "loss") == [5.0, 6.0]


def test_event_files_become_files_of_the_run(tmp_path: Path) -> None:
    path = event_file(tmp_path / "logs" / "train", scalars(0, 1))
    logs = TensorboardLogs(str(path.parent), root=str(tmp_path / "logs"))
    [begun] = follower(tmp_path, logs).read(LATER_S)
    assert [(file.path, file.policy) for file in begun.files] == [(f"train/{path.name}", "end")]
    assert (tmp_path / "files" / "train" / path.name).read_bytes() == path.read_bytes()
    unsaved = TensorboardLogs(str(path.parent), root=str(tmp_path / "logs"), save=False)
    [begun] = follower(tmp_path, unsaved).read(LATER_S)
    assert not begun.files


def test_a_folder_that_the_agent_does_not_see_is_told_once(tmp_path: Path) -> None:
    made = follower(tmp_path, TensorboardLogs(str(tmp_path / "elsewhere"), root=str(tmp_path)))
    for now_s in (0.0, 5.0):
        assert not made.read(now_s)
    assert not made.problems
    for now_s in (10.0, 20.0):
        made.read(now_s)
    assert len(made.problems) == 1
    assert str(tmp_path / "elsewhere") in made.problems[0]
    event_file(tmp_path / "elsewhere", scalars(0, 2))
    assert values(read_all(made), "elsewhere/loss") == [0.0, 1.0]


def names(tmp_path: Path, *folders: str, root: str = "", now_s: float = LATER_S) -> set[str]:
    for folder in folders:
        event_file(tmp_path / folder, scalars(0, 1))
    logs = [TensorboardLogs(str(tmp_path / f), root and str(tmp_path / root)) for f in folders]
    return {followed.namespace for followed in follower(tmp_path, *logs).read(now_s)}


def test_the_only_folder_is_its_own_root(tmp_path: Path) -> None:
    assert names(tmp_path, "runs/a") == {""}


def test_the_first_folder_waits_for_a_second_one(tmp_path: Path) -> None:
    assert names(tmp_path, "runs/a", now_s=5.0) == set()


def test_folders_are_named_from_what_the_first_two_have_in_common(tmp_path: Path) -> None:
    assert names(tmp_path, "runs/a", "runs/b", "elsewhere/c") == {"a", "b", ""}
    assert names(tmp_path, "logs", "logs/eval") == {"", "eval"}


def test_a_given_root_names_a_folder_at_once(tmp_path: Path) -> None:
    assert names(tmp_path, "runs/x/a", root="runs") == {"x/a"}


def test_a_folder_keeps_its_name_when_the_agent_is_started_anew(tmp_path: Path) -> None:
    path = event_file(tmp_path / "runs" / "a", scalars(0, 1))
    known = {str(path): Position(0, "a")}
    made = follower(tmp_path, TensorboardLogs(str(path.parent)), **known)
    event_file(tmp_path / "runs" / "b", scalars(1, 1))
    made.follow(TensorboardLogs(str(tmp_path / "runs" / "b")))
    assert {followed.namespace for followed in read_all(made, 0.0)} == {"a", "b"}


# --- what no writer of event files writes ----------------------------------------------------


def image(tag: str) -> bytes:
    return message(1, message(1, tag.encode()) + message(4, message(4, b"\x89PNG")))


def tensor(plugin: str, body: bytes) -> bytes:
    named = message(9, message(1, message(1, plugin.encode())))
    return message(1, message(1, b"tensor") + message(8, body) + named)


def test_a_step_beyond_64_bits_stays_within(tmp_path: Path) -> None:
    frame = event(0, scalar("a", 1.0)).replace(b"\x10\x00", b"\x10" + b"\xff" * 9 + b"\x7f", 1)
    event_file(tmp_path / "logs", framed(frame))
    [found] = read_all(follower(tmp_path, TensorboardLogs(str(tmp_path / "logs"))))
    assert decode(Kind.FOLLOWED, encode(found)) == found


@pytest.mark.parametrize("time_s", [math.nan, math.inf, -1.0, 1e300])
def test_an_event_without_a_time_has_that_of_the_begin(tmp_path: Path, time_s: float) -> None:
    event_file(tmp_path / "logs", framed(event(0, scalar("a", 1.0), time_s=time_s)))
    [found] = read_all(follower(tmp_path, TensorboardLogs(str(tmp_path / "logs"))))
    assert (found.rows[0].time_s, found.rows[0].runtime_s) == (990.0, 0.0)
    assert decode(Kind.FOLLOWED, encode(found)) == found


@pytest.mark.parametrize("tag", ["\u4e16" * 120, "../../../x", "..", "a\0b\n", ""])
def test_an_image_has_a_name_that_every_file_system_takes(tmp_path: Path, tag: str) -> None:
    event_file(tmp_path / "logs", framed(event(1, image(tag))))
    [found] = read_all(follower(tmp_path, TensorboardLogs(str(tmp_path / "logs"))))
    [saved] = found.files
    target = tmp_path / "files" / saved.path
    assert target.resolve().parent == tmp_path / "files" / "media" / "images"
    assert target.read_bytes() == b"\x89PNG"


def test_images_that_cannot_be_written_cost_no_row(tmp_path: Path) -> None:
    event_file(tmp_path / "logs", framed(event(1, image("a"), scalar("b", 1.0))))
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "media").write_text("no folder")
    made = follower(tmp_path, TensorboardLogs(str(tmp_path / "logs")))
    [found] = read_all(made)
    assert (found.rows[0].data["b"], found.files) == (1.0, [])
    assert "images are left out" in made.problems[0]


@pytest.mark.parametrize(
    "body",
    [
        b"\x08\x01" + message(4, struct.pack("<f", 0.1) * 3_000_000),
        message(5, struct.pack("<f", 0.1) * 3_000_000),
        message(2, b"".join(message(2, b"\x08" + varint(2**62)) for _ in range(100_000))),
        message(2, message(2, b"\x08" + varint(2**40))) + message(5, struct.pack("<f", 1.0)),
    ],
    ids=["raw", "listed", "dimensions", "repeated"],
)
def test_a_huge_tensor_is_left_out_at_once(tmp_path: Path, body: bytes) -> None:
    content = framed(event(1, tensor("histograms", body), scalar("a", 1.0)))
    event_file(tmp_path / "logs", content)
    made = follower(tmp_path, TensorboardLogs(str(tmp_path / "logs")))
    began = time.process_time()
    [found] = read_all(made)
    assert time.process_time() - began < 2.0
    assert found.rows[0].data == {"a": 1.0, "global_step": 1}


def test_a_huge_histogram_is_left_out_at_once(tmp_path: Path) -> None:
    buckets = message(5, message(6, bytes(16_000_000)) + message(7, bytes(16_000_000)))
    content = framed(event(1, message(1, message(1, b"h") + buckets), scalar("a", 1.0)))
    event_file(tmp_path / "logs", content)
    [found] = read_all(follower(tmp_path, TensorboardLogs(str(tmp_path / "logs"))))
    assert found.rows[0].data == {"a": 1.0, "global_step": 1}


def test_one_record_holds_few_rows(tmp_path: Path) -> None:
    event_file(tmp_path / "logs", scalars(0, 5_000))
    found = read_all(follower(tmp_path, TensorboardLogs(str(tmp_path / "logs"))))
    assert max(len(record.rows) for record in found) < 1_000  # one is decoded without a pause
    assert values(found, "loss") == list(range(5_000))


def test_a_file_whose_name_is_no_text_is_told_and_disturbs_no_other(tmp_path: Path) -> None:
    path = event_file(tmp_path / "logs", scalars(0, 2))
    Path(os.fsdecode(os.fsencode(path) + b"\xff")).write_bytes(scalars(5, 2))
    made = follower(tmp_path, TensorboardLogs(str(tmp_path / "logs")))
    assert values(read_all(made), "loss") == [0, 1]
    [problem] = made.problems
    assert "no UTF-8" in problem.encode().decode()


def test_no_folder_leads_out_of_the_files_of_the_run(tmp_path: Path) -> None:
    outside = event_file(tmp_path / "outside", scalars(0, 2))
    root = tmp_path / "a" / "b"
    logs = TensorboardLogs(str(root / ".." / ".." / "outside"), root=str(root))
    found = follower(tmp_path, logs).read(LATER_S, final=True)
    assert [file.path for record in found for file in record.files] == [outside.name]
    assert (tmp_path / "files" / outside.name).is_symlink()


@pytest.mark.parametrize("folder", ["relative", "/with\0nothing", ""])
def test_what_is_no_folder_is_told(tmp_path: Path, folder: str) -> None:
    made = follower(tmp_path, TensorboardLogs(folder), TensorboardLogs(str(tmp_path)))
    assert made.read(LATER_S, final=True) == []
    assert "must be absolute" in made.problems[0]
