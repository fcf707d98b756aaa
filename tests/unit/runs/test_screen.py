"""The whole terminal emulation of `wrap_emu` and `redirect`."""

from __future__ import annotations

import json
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackd_agent.runs.console import ScreenConsole
from trackd_proto.records import LOG_LINES, ConsoleOutput

PIECES = st.sampled_from(
    [
        *"ab \n\r\b\t漢[]1;m\x1b\x07",
        *("\n\n\n", "\x1b[A", "\x1b[3B", "\x1b[2C", "\x1b[D", "\x1b[31m", "\x1b[0m", "\x1b[K"),
        *("\x1b[1K", "\x1b[J", "\x1b[2J", "\x1b[H", "\x1b[5;5H", "\x1b[999999999;999999999H"),
    ]
)


def shown(*texts: str, stream: int = 1) -> list[str]:
    console = ScreenConsole("")
    for text in texts:
        console.write(ConsoleOutput(1.0, stream, text))
    return contents(console)


def contents(console: ScreenConsole) -> list[str]:
    taken = console.take()
    return [json.loads(taken[number])["content"] for number in sorted(taken)]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("plain\ntext", ["plain", "text"]),
        ("10%\r20%\r100%\n", ["100%"]),
        ("long\rs\n", ["song"]),
        ("ab\bX", ["aX"]),
        ("one\ntwo\n\x1b[2Aup\n", ["upe", "two"]),
        ("one\n\x1b[Fx", ["xne"]),
        ("one\n\x1b[A\x1b[Ex", ["one", "x"]),
        ("abc\x1b[2Dx", ["axc"]),
        ("abc\x1b[1Gx", ["xbc"]),
        ("a\x1b[3Cb", ["a   b"]),
        ("abc\x1b[1D\x1b[K", ["ab"]),
        ("abc\r\x1b[Cx\x1b[1K", [""]),
        ("abc\x1b[2Kd", ["   d"]),
        ("a\nb\x1b[2J\x1b[Hc", ["c", ""]),
        ("a\nb\nc\x1b[2A\x1b[J", ["a", "", ""]),
        ("bell\x07 nul\x00 tab\tx", ["bell nul tab\tx"]),
        ("\x1b]0;title\x07after \x1b]8;;http://x\x1b\\link", ["after link"]),
        ("\x1b(B\x1b=\x1b[?25lhidden cursor", ["hidden cursor"]),
        ("\x1b[31mred\x1b[0m plain", ["\x1b[31mred\x1b[39m plain"]),
        ("\x1b[1;4;38;5;200mx", ["\x1b[38;5;200m\x1b[1m\x1b[4mx"]),
        ("\x1b[48;2;1;2;3mx\x1b[49my", ["\x1b[48;2;1;2;3mx\x1b[49my"]),
        ("\x1b[1mb\x1b[22mn", ["\x1b[1mb\x1b[22mn"]),
        ("\x1b[41m \x1b[0m ", ["\x1b[41m "]),
        ("blanks   \n", ["blanks"]),
    ],
)
def test_what_a_terminal_shows(text: str, lines: list[str]) -> None:
    assert shown(text) == lines
    assert shown(*text) == lines  # however it is split


def test_lines_of_loggers_are_not_understood() -> None:
    assert shown("\x1b[A a\rb\n\nc\n", stream=LOG_LINES) == ["\x1b[A a\rb", "", "c"]


def test_lines_beyond_the_window_stay() -> None:
    lines = shown("".join(f"{i}\n" for i in range(300)) + "\x1b[500Ax")
    assert lines[:200] == [str(i) for i in range(200)]
    assert lines[201] == "x01"


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.lists(PIECES, max_size=10)), max_size=12))
def test_it_goes_on_from_its_state_and_holds_few_cells(writes: list[tuple[int, list[str]]]) -> None:
    console = ScreenConsole("l")
    for stream, pieces in writes:
        twin = ScreenConsole.from_state(
            msgspec.msgpack.decode(msgspec.msgpack.encode(console.to_state()), strict=False)
        )
        record = ConsoleOutput(1.0, stream, "".join(pieces))
        assert twin.write(record) == console.write(record)
        assert twin.to_state() == console.to_state()
        assert twin.line_count == console.line_count
        assert twin.take() == console.take()


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31ma\x1b[32mb" * 20_000,
        "\x1b[" + "1;" * 100_000 + "m",
        "\x1b[" + "1" * 100_000 + "m",
        "\x1b[1;1H" + "x" * 9_000 + "\x1b[2J" * 2_000,
    ],
    ids=["a long line in colours", "many parameters", "a huge parameter", "erased again and again"],
)
def test_no_output_keeps_the_agent_busy_for_long(text: str) -> None:
    console = ScreenConsole("")
    began = time.process_time()
    console.write(ConsoleOutput(0.0, 1, text))
    assert time.process_time() - began < 1.0
