"""The terminal emulator, against a model that goes character by character."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from trackd_agent.runs.console import Console
from trackd_proto.records import ConsoleOutput

PIECES = st.sampled_from(
    [
        "a",
        "bc",
        " ",
        "   ",
        "\n",
        "\n\n\n\n\n\n\n",
        "\r",
        "\x1b[A",
        "\x1b[B",
        "\x1b[31m",
        "\x1b",
        "[",
        "é",
    ]
)
WRITES = st.lists(st.tuples(st.sampled_from([1, 2]), st.lists(PIECES, max_size=12)), max_size=20)
STDOUT, STDERR = 1, 2


@dataclass
class Screen:
    y: int = 0
    x: int = 0
    view: list[int] = field(default_factory=list[int])
    escape: str = ""


class Model:
    """The reference's emulator, spelled out."""

    def __init__(self) -> None:
        self.lines: list[list[str]] = []
        self.shown: dict[int, str] = {}
        self.terminals = {1: Screen(), 2: Screen()}

    def write(self, stream: int, text: str) -> None:
        terminal = self.terminals[stream]
        for character in text:
            self.feed(terminal, character)

    def feed(self, t: Screen, character: str) -> None:
        if t.escape:
            sequence = t.escape + character
            if sequence == "\x1b[":
                t.escape = sequence
                return
            escape, t.escape = t.escape, ""
            if sequence == "\x1b[A":
                t.y = max(0, t.y - 1)
                return
            if sequence == "\x1b[B":
                self.down(t)
                return
            for literal in escape:
                self.put(t, literal)
        if character == "\x1b":
            t.escape = character
        elif character == "\n":
            t.x = 0
            self.down(t)
        elif character == "\r":
            t.x = 0
        else:
            self.put(t, character)

    def down(self, t: Screen) -> None:
        t.y += 1
        if t.y >= 32:
            t.view[:1] = []
            t.y -= 1

    def put(self, t: Screen, character: str) -> None:
        while t.y >= len(t.view):
            t.view.append(len(self.lines))
            self.shown[len(self.lines)] = ""
            self.lines.append([])
        number = t.view[t.y]
        line = self.lines[number]
        if number >= len(self.lines) - 32 and t.x < 4096:
            while t.x >= len(line):
                line.append(" ")
            if line[t.x] != character:
                line[t.x] = character
                self.shown[number] = "".join(line)
        t.x += 1


def contents(console: Console) -> dict[int, str]:
    return {number: json.loads(line)["content"] for number, line in console.take().items()}


@given(WRITES, st.integers(0, 20))
def test_lines_are_what_the_reference_makes_of_them(
    writes: list[tuple[int, list[str]]], break_at: int
) -> None:
    console, model = Console(""), Model()
    seen: dict[int, str] = {}
    for index, (stream, pieces) in enumerate(writes):
        text = "".join(pieces)
        console.write(ConsoleOutput(1.0, stream, text))
        model.write(stream, text)
        if index == break_at:
            seen.update(contents(console))
            console = Console.from_state(console.to_state())
    seen.update(contents(console))
    assert seen == model.shown


def test_a_progress_bar_is_one_line() -> None:
    console = Console("")
    for percent in range(0, 101, 25):
        console.write(ConsoleOutput(1.0, STDOUT, f"\rloading {percent:3d}%"))
    console.write(ConsoleOutput(2.0, STDOUT, "\nlonger text here\rshort\n"))
    console.write(ConsoleOutput(3.0, STDOUT, "row A\nrow B\n\x1b[A\x1b[Arow X\nafter\n"))
    assert list(contents(console).values()) == [
        "loading 100%",
        "shortr text here",
        "row X",
        "after",
    ]


def test_lines_tell_time_stream_and_label() -> None:
    console = Console("rank 1")
    console.write(ConsoleOutput(1.5, STDOUT, "out\n"))
    console.write(ConsoleOutput(2.25, STDERR, 'err "x"'))
    out, err = (json.loads(line) for line in console.take().values())
    assert out == {"ts": "1970-01-01T00:00:01.500000", "label": "rank 1", "content": "out"}
    assert err == {
        "level": "error",
        "ts": "1970-01-01T00:00:02.250000",
        "label": "rank 1",
        "content": 'err "x"',
    }


def test_only_changed_lines_are_handed_out() -> None:
    console = Console("")
    console.write(ConsoleOutput(1.0, STDOUT, "one\ntwo"))
    assert contents(console) == {0: "one", 1: "two"}
    assert contents(console) == {}
    console.write(ConsoleOutput(1.0, STDOUT, " more"))
    assert contents(console) == {1: "two more"}
    console.write(ConsoleOutput(1.0, STDOUT, "\rtwo"))
    assert contents(console) == {}


def test_a_line_is_cut() -> None:
    console = Console("")
    console.write(ConsoleOutput(1.0, STDOUT, "x" * 5000 + "y"))
    assert contents(console) == {0: "x" * 4096}


def test_more_lines_than_the_window_keep_their_order() -> None:
    console = Console("")
    for number in range(100):
        console.write(ConsoleOutput(1.0, STDOUT, f"line {number}\n"))
    assert contents(console) == {number: f"line {number}" for number in range(100)}
    assert len(console._lines) == 32  # pyright: ignore[reportPrivateUsage]
