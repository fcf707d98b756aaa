"""The console of a run as files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.support.frames import start

from trackd_agent.runs.console import ConsoleFiles, LogPosition, console_file_name
from trackd_agent.runs.console import files as console_files

if TYPE_CHECKING:
    from pathlib import Path


def line(content: str, second: int = 0) -> str:
    return json.dumps({"ts": f"2026-01-02T03:04:{second:02}.123456", "content": content})


def opened(run_dir: Path, position: LogPosition | None = None, **settings: Any) -> ConsoleFiles:
    return ConsoleFiles(run_dir, start(settings=settings), position)


def numbered(first: int, *contents: str) -> dict[int, str]:
    return {first + at: line(content) for at, content in enumerate(contents)}


def test_names() -> None:
    assert console_file_name("") == "output.log"
    assert console_file_name("rank/0:a") == "output_rank_0:a.log"
    assert console_file_name(" a. ") == "output_a.log"
    assert console_file_name("..") == "output_.log"


def test_edits_reach_the_file(tmp_path: Path) -> None:
    files = opened(tmp_path)
    files.write(numbered(0, "a", "b"), ["a\nb"])
    files.write(numbered(1, "B", "c"), ["\rB\nc\n"])
    assert (tmp_path / "files" / "output.log").read_text() == "a\nB\nc\n"
    assert (tmp_path / "logs" / "console.raw").read_bytes() == b"a\nb\rB\nc\n"
    assert files.finish() == ["output.log"]


def test_nothing_printed_makes_no_file(tmp_path: Path) -> None:
    files = opened(tmp_path)
    assert (files.write({}), files.finish()) == ([], [])
    assert list(tmp_path.iterdir()) == []


def test_without_capture_there_is_no_file(tmp_path: Path) -> None:
    files = opened(tmp_path, console="off")
    assert files.write(numbered(0, "of a logger")) == []
    assert files.finish() == []
    assert list(tmp_path.iterdir()) == []


def test_it_goes_on_from_a_position(tmp_path: Path) -> None:
    texts = [f"line {i}" for i in range(500)]
    files = opened(tmp_path)
    files.write(numbered(0, *texts[:300]), [f"{text}\n" for text in texts[:300]])
    saved = msgspec.convert(
        msgspec.msgpack.decode(msgspec.msgpack.encode(files.position), strict=False), LogPosition
    )
    files.write(numbered(300, *texts[300:400], "lost", "lost"), ["lost\n"])
    again = opened(tmp_path, saved)
    again.write(numbered(300, *texts[300:]), [f"{text}\n" for text in texts[300:]])
    expected = "".join(f"{text}\n" for text in texts)
    assert (tmp_path / "files" / "output.log").read_text() == expected
    assert (tmp_path / "logs" / "console.raw").read_text() == expected


def test_the_raw_text_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_files, "MAX_RAW_BYTES", 10)
    files = opened(tmp_path)
    for i in range(10):
        files.write({}, [f"{i:04}\n"])
    assert (tmp_path / "logs" / "console.raw").read_text() == "0008\n0009\n"
    assert (tmp_path / "logs" / "console.raw.1").read_text() == "0006\n0007\n"


def parts(tmp_path: Path) -> list[str]:
    folder = tmp_path / "files" / "logs"
    return [path.read_text() for path in sorted(folder.iterdir())]


def test_parts_by_size(tmp_path: Path) -> None:
    files = opened(tmp_path, console_multipart=True, console_chunk_max_bytes=6)
    closed = files.write(numbered(0, "aa", "bb", "cc", "dd", "ee"))
    assert [name.rpartition("_")[2] for name in closed] == ["123456000.log", "123456002.log"]
    assert closed[0] == "logs/output_20260102_030405_123456000.log".replace("030405", "030400")
    assert parts(tmp_path) == ["aa\nbb\n", "cc\ndd\n", "ee\n"]
    files.write({3: line("too late"), 4: line("EE")})
    assert parts(tmp_path) == ["aa\nbb\n", "cc\ndd\n", "EE\n"]
    assert len(files.finish()) == 1


def test_parts_by_age(tmp_path: Path) -> None:
    files = opened(tmp_path, console_multipart=True, console_chunk_max_seconds=2)
    assert files.write({0: line("a", 0), 1: line("b", 1), 2: line("c", 2)}) == []
    assert len(files.write({3: line("d", 3), 4: line("e", 9)})) == 2
    assert parts(tmp_path) == ["a\nb\nc\n", "d\n", "e\n"]


def test_one_part_without_limits(tmp_path: Path) -> None:
    files = opened(tmp_path, console_multipart=True)
    for i in range(5):
        assert files.write({i: line(f"line {i}", i)}) == []
    assert parts(tmp_path) == ["".join(f"line {i}\n" for i in range(5))]


def test_a_disk_that_was_full_for_a_while_costs_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = opened(tmp_path)
    files.write(numbered(0, "a"), ["a\n"])
    with monkeypatch.context() as patched:
        patched.setattr(console_files, "_opened", full)
        for i in range(1, 200):
            with pytest.raises(OSError, match="No space"):
                files.write(numbered(i, str(i)), [f"{i}\n"])
    files.write(numbered(200, "z"), ["z\n"])
    expected = "".join(f"{text}\n" for text in ["a", *range(1, 200), "z"])
    assert (tmp_path / "files" / "output.log").read_text() == expected


def full(path: Path) -> Any:
    raise OSError(28, "No space left on device", str(path))


def test_what_waits_for_a_disk_that_never_takes_it_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_files, "MAX_WAITING_LINES", 10)
    files = opened(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(console_files, "_opened", full)
        for i in range(100):
            with pytest.raises(OSError, match="No space"):
                files.write(numbered(i, str(i)))
    assert len(files.position.open) == 10
    files.write(numbered(100, "z"))
    expected = "".join(f"{text}\n" for text in [*range(90, 100), "z"])
    assert (tmp_path / "files" / "output.log").read_text() == expected


def test_lines_that_never_came_leave_no_trace(tmp_path: Path) -> None:
    files = opened(tmp_path)
    for i in range(0, 1000, 2):
        files.write(numbered(i, str(i)))
    expected = "".join(f"{i}\n" for i in range(0, 1000, 2))
    assert (tmp_path / "files" / "output.log").read_text() == expected


def test_a_file_that_lost_its_end_gets_no_hole(tmp_path: Path) -> None:
    files = opened(tmp_path)
    files.write(numbered(0, *["text"] * 300), ["text\n"] * 300)
    (tmp_path / "files" / "output.log").write_text("text\n")
    (tmp_path / "logs" / "console.raw").unlink()
    files.write(numbered(300, "more"), ["more\n"])
    text = (tmp_path / "files" / "output.log").read_text()
    assert text == "text\n" * (1 + 128) + "more\n"
    assert (tmp_path / "logs" / "console.raw").read_text() == "more\n"


def test_the_raw_text_survives_a_crash_after_it_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_files, "MAX_RAW_BYTES", 20)
    files = opened(tmp_path)
    for i in range(3):
        files.write({}, [f"{i:04}\n"])
    saved = msgspec.structs.replace(files.position)
    for i in range(3, 5):
        files.write({}, [f"{i:04}\n"])
    again = opened(tmp_path, saved)
    again.write({}, ["0003\n"])
    again.write({}, ["0004\n"])
    assert (tmp_path / "logs" / "console.raw.1").read_text() == "0000\n0001\n0002\n0003\n"
    assert (tmp_path / "logs" / "console.raw").read_text() == "0004\n"


def test_limits_that_are_no_numbers_limit_nothing(tmp_path: Path) -> None:
    odd: dict[str, Any] = {"console_chunk_max_bytes": "many", "console_chunk_max_seconds": [1]}
    files = opened(tmp_path, console_multipart=True, **odd)
    assert files.write(numbered(0, "a", "b")) == []
    assert parts(tmp_path) == ["a\nb\n"]


def test_a_long_label_makes_no_long_name() -> None:
    names = {console_file_name("\u4e16" * 128), console_file_name("\u4e16" * 127)}
    assert len(names) == 2
    assert all(len(name.encode()) <= 200 for name in names)
