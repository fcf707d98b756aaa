"""The tap on sys.stdout and sys.stderr."""

from __future__ import annotations

import contextlib
import io
import itertools
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from trackd.console.feed import MAX_RECORD_CHARACTERS, Feed

if TYPE_CHECKING:
    from collections.abc import Iterator


class Heard:
    """A listener that keeps everything."""

    def __init__(self) -> None:
        self.records: list[tuple[int, str]] = []

    def __call__(self, time_s: float, stream: int, text: str) -> None:
        assert time_s > 0
        self.records.append((stream, text))

    @property
    def merged(self) -> list[tuple[int, str]]:
        """Neighbours of one stream as one."""
        found: list[tuple[int, str]] = []
        for stream, text in self.records:
            if found and found[-1][0] == stream:
                found[-1] = (stream, found[-1][1] + text)
            else:
                found.append((stream, text))
        return found


def replace_streams(monkeypatch: pytest.MonkeyPatch) -> tuple[io.BytesIO, io.BytesIO]:
    """Put streams of our own in place; by the test itself, for pytest does the same before it."""
    raw = io.BytesIO(), io.BytesIO()
    for name, buffer in zip(("stdout", "stderr"), raw, strict=True):
        stream = io.TextIOWrapper(buffer, encoding="utf-8", write_through=True)
        monkeypatch.setattr(sys, name, stream)
        monkeypatch.setattr(sys, f"__{name}__", stream)
    return raw


@pytest.fixture
def feed() -> Iterator[Feed]:
    made = Feed()
    yield made
    made.abandon()


def test_a_line_is_heard_before_print_returns(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = replace_streams(monkeypatch)
    heard = Heard()
    feed.join(heard)
    print("one", 1)
    assert heard.merged == [(1, "one 1\n")]
    sys.stderr.write("to stderr\n")
    assert heard.merged == [(1, "one 1\n"), (2, "to stderr\n")]
    assert streams[0].getvalue() == b"one 1\n"
    assert streams[1].getvalue() == b"to stderr\n"


def test_a_part_of_a_line_is_heard_at_the_next_tick(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_streams(monkeypatch)
    heard = Heard()
    feed.join(heard)
    sys.stdout.write("50%\r")
    assert heard.records == []
    feed.tick()
    assert heard.records == [(1, "50%\r")]


def test_parts_of_both_streams_keep_their_order(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_streams(monkeypatch)
    heard = Heard()
    feed.join(heard)
    sys.stdout.write("a")
    sys.stderr.write("b")
    sys.stdout.write("c")
    sys.stderr.write("d\n")
    assert heard.merged == [(1, "a"), (2, "b"), (1, "c"), (2, "d\n")]


def test_a_flood_is_heard_whole_and_in_few_pieces(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_streams(monkeypatch)
    heard = Heard()
    feed.join(heard)
    for i in range(50_000):
        print(i)
    feed.tick()
    assert "".join(text for _, text in heard.records) == "".join(f"{i}\n" for i in range(50_000))
    assert len(heard.records) < 200


def test_lines_of_many_threads_are_all_heard(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_streams(monkeypatch)
    heard = Heard()
    feed.join(heard)

    def work(number: int) -> None:
        for i in range(2_000):
            sys.stdout.write(f"{number} {i}\n")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    feed.leave(heard)
    lines = "".join(text for _, text in heard.records).splitlines()
    assert sorted(lines) == sorted(f"{n} {i}" for n in range(4) for i in range(2_000))


@pytest.mark.parametrize("switch_interval_s", [0.005, 0.0001])
def test_floods_of_many_threads_and_both_streams_are_heard_whole(
    feed: Feed, monkeypatch: pytest.MonkeyPatch, switch_interval_s: float
) -> None:
    replace_streams(monkeypatch)
    before = sys.getswitchinterval()
    heard = Heard()
    feed.join(heard)
    done = threading.Event()

    def tick() -> None:
        while not done.wait(0.003):
            feed.tick()

    def work(number: int) -> None:
        for i in range(10_000):
            print(number, i)
            if i % 1000 == 0:
                print(number, i, file=sys.stderr)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    ticker = threading.Thread(target=tick)
    sys.setswitchinterval(switch_interval_s)
    try:
        for thread in (ticker, *threads):
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        done.set()
        ticker.join()
        sys.setswitchinterval(before)
    feed.leave(heard)
    pieces = {stream: "".join(t for s, t in heard.records if s == stream) for stream in (1, 2)}
    # `print` writes text and line end apart, so lines of threads may be torn, but none is lost.
    assert pieces[1].count("\n") == 40_000
    assert len(pieces[1]) == sum(len(f"{n} {i}\n") for n in range(4) for i in range(10_000))
    assert pieces[2].count("\n") == 40


def test_a_flood_keeps_the_order_of_both_streams(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_streams(monkeypatch)
    heard = Heard()
    feed.join(heard)
    expected: list[tuple[int, str]] = []
    for i in range(30_000):
        print(i)
        expected.append((1, f"{i}\n"))
        if i % 7_000 == 0:
            print("error", i, file=sys.stderr)
            expected.append((2, f"error {i}\n"))
        if i % 3_000 == 0:
            feed.tick()
    feed.leave(heard)
    assert [s for s, _ in heard.merged] == [
        s for s, _ in itertools.groupby(expected, lambda e: e[0])
    ]
    for stream in (1, 2):
        said = "".join(text for s, text in heard.records if s == stream)
        assert said == "".join(text for s, text in expected if s == stream)


def test_very_long_text_is_split(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_streams(monkeypatch)
    heard = Heard()
    feed.join(heard)
    text = "x" * (2 * MAX_RECORD_CHARACTERS + 5) + "\n"
    sys.stdout.write(text)
    assert "".join(piece for _, piece in heard.records) == text
    assert max(len(piece) for _, piece in heard.records) == MAX_RECORD_CHARACTERS


def test_each_of_two_listeners_hears_while_it_is_there(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_streams(monkeypatch)
    first, second = Heard(), Heard()
    feed.join(first)
    print("one")
    feed.join(second)
    print("both")
    feed.leave(first)
    print("two")
    feed.leave(second)
    print("nobody")
    assert first.merged == [(1, "one\nboth\n")]
    assert second.merged == [(1, "both\ntwo\n")]


def test_the_streams_are_left_as_they_were(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_streams(monkeypatch)
    heard = Heard()
    feed.join(heard)
    assert "write" in vars(sys.stdout)
    feed.leave(heard)
    assert "write" not in vars(sys.stdout)
    theirs = sys.stdout.write
    sys.stdout.write = theirs  # type: ignore[method-assign] - somebody else's wrapper
    feed.join(heard)
    feed.leave(heard)
    assert sys.stdout.write == theirs


def test_a_wrapper_around_ours_survives_us(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_streams(monkeypatch)
    heard = Heard()
    feed.join(heard)
    ours = sys.stdout.write
    seen: list[str] = []

    def theirs(text: str) -> int:
        seen.append(text)
        return ours(text)

    sys.stdout.write = theirs  # type: ignore[method-assign]
    print("one")
    feed.leave(heard)
    print("two")
    assert heard.merged == [(1, "one\n")]
    assert seen == ["one", "\n", "two", "\n"]


def test_what_cannot_be_printed_is_not_heard(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_streams(monkeypatch)
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "__stdout__", stream)
    heard = Heard()
    feed.join(heard)
    with pytest.raises(UnicodeEncodeError):
        sys.stdout.write("é\n")
    with pytest.raises(TypeError):
        sys.stdout.write(b"bytes")  # type: ignore[arg-type]
    assert heard.records == []


def test_output_that_somebody_diverted_at_the_start_is_heard_when_it_comes_back(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = replace_streams(monkeypatch)
    heard = Heard()
    with contextlib.redirect_stdout(io.StringIO()):
        feed.join(heard)
        print("diverted")
    print("back")
    assert heard.merged == [(1, "diverted\nback\n")]
    assert streams[0].getvalue() == b"back\n"


def test_a_tee_to_the_real_stream_is_heard_once(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_streams(monkeypatch)

    class Tee:
        def write(self, text: str) -> None:
            sys.__stdout__.write(text)  # type: ignore[union-attr]

    monkeypatch.setattr(sys, "stdout", Tee())
    heard = Heard()
    assert feed.join(heard) == []
    print("one")
    assert heard.merged == [(1, "one\n")]


def test_bytes_and_partial_writes_of_other_objects(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_streams(monkeypatch)

    class Narrow:
        def write(self, data: str | bytes) -> int:
            return min(3, len(data))

    monkeypatch.setattr(sys, "stdout", Narrow())
    heard = Heard()
    feed.join(heard)
    sys.stdout.write("abcdef")
    sys.stdout.write(b"\xffxyz")  # type: ignore[arg-type]
    feed.tick()
    assert heard.merged == [(1, "abc\N{REPLACEMENT CHARACTER}xy")]


def test_a_stream_that_refuses_is_named(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_streams(monkeypatch)

    class Fixed:
        __slots__ = ()

        def write(self, text: str) -> int:
            return len(text)

    monkeypatch.setattr(sys, "stdout", Fixed())
    monkeypatch.setattr(sys, "stderr", None)
    heard = Heard()
    assert feed.join(heard) == ["sys.stdout (Fixed)"]
    print("not heard")
    feed.leave(heard)
    assert heard.records == []


def test_a_listener_that_prints_or_fails_does_no_harm(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_streams(monkeypatch)
    texts: list[str] = []

    def listener(time_s: float, stream: int, text: str) -> None:
        del time_s, stream
        texts.append(text)
        if len(texts) == 1:
            print("from the listener")
        if text.startswith("bad"):
            raise ValueError("a fault of ours")

    feed.join(listener)
    print("first")
    print("bad")
    print("last")
    feed.tick()
    assert "".join(texts) == "first\nfrom the listener\nbad\nlast\n"


def test_while_much_is_printed_ticks_do_not_lead_to_small_pieces(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_streams(monkeypatch)
    heard = Heard()
    feed.join(heard)
    for i in range(1000):
        print(i)
        if i % 100 == 99:
            feed.tick()
    assert heard.merged == [(1, "".join(f"{i}\n" for i in range(1000)))]
    assert len(heard.records) < 30
    feed.tick()
    print("soon")
    assert heard.records[-1] == (1, "soon\n")
