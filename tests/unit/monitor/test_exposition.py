"""Expositions: which lines count, what they give, and what is remembered of them."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import pytest

from trackd_agent.monitor.exposition import (
    MetricFilter,
    SampleTable,
    SeriesNumbers,
    filter_rules,
    labels,
)
from trackd_agent.monitor.exposition.heads import Heads
from trackd_agent.monitor.exposition.lines import parse_labels, parse_sample, parse_type
from trackd_agent.monitor.exposition.table import MAX_NAME, chunks, is_open_metrics, read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


class Endpoint:
    """An endpoint without filters; keys are `{metric}.{index}`."""

    def __init__(self, max_head_bytes: int = 1024**2, max_series: int = 1000) -> None:
        self.numbers = SeriesNumbers(max_series)
        self.asked = 0

        def key_of(name: str, labels: Callable[[], Mapping[str, str]]) -> str | None:
            self.asked += 1
            number = self.numbers.number(name, labels())
            return None if number is None else f"{name}.{number}"

        self.table = SampleTable(key_of, lambda name: name != "unloved", max_head_bytes)

    def scrape(self, text: str, content_type: str = "") -> dict[str, float]:
        return read(self.table, text.encode(), content_type)


def gauge(*lines: str) -> str:
    return "# TYPE a gauge\n" + "".join(f"{line}\n" for line in lines)


# What wandb 0.31.0 makes of these lines was measured with its own sidecar: the same, but that it
# does not know quoted names nor a blank before the brace, and takes an exemplar's value.
ODD_LINES = [
    ("a 1", 1.0),
    ('a{x="1"} 2', 2.0),
    ('a{x="1",} 3', 3.0),
    ('a{ x="1" , y="2" } 4', 4.0),
    ("a\t5", 5.0),
    ('a{x="1"}\t6', 6.0),
    (' a{x="1"} 7', 7.0),
    ('a{x="1"} 8 ', 8.0),
    ('a{x="1"}  9', 9.0),
    ('a{x="1"}10', 10.0),
    ('a{x="1"y="2"} 11', 11.0),
    ('a{x="1",,y="2"} 11', 11.0),
    ('a{ , x="1"} 11', 11.0),
    ('a{1x="1"} 12', 12.0),
    ('a{x="1"} 13\r', 13.0),
    ("a 1e3", 1000.0),
    ("a +5", 5.0),
    ("a .5", 0.5),
    ("a -6e-3", -0.006),
    ("a 18446744073709551615", 18446744073709551615.0),
    ("a 3 1395066363000", 3.0),
    ("a 3 -5", 3.0),
    ("a 3 soon", 3.0),
    ('a 3 # {trace="1"} 0.5 1.5', 3.0),
    ('a 3 1.5 # {trace="} 7"} 0.5', 3.0),
    ("a{} 4", 4.0),
    ('a {x="1"} 5', 5.0),
    ('{"a",x="1"} 6', 6.0),
    ('a{x="} 7"} 8', 8.0),
    ('a{x="\\\\"} 9', 9.0),
    ("a 0x10", None),
    ("a 1_000", None),
    ("a", None),
    ('a{x="1"}', None),
    ("a{x='1'} 2", None),
    ('a{x="1} 2', None),
    ("a{x=1} 2", None),
    ('a{x="1"', None),
    ("a twelve", None),
    ("b 1", None),
    ("", None),
    ("# a 1", None),
    ("a" * 70_000 + " 1", None),
]


@pytest.mark.parametrize(("line", "value"), ODD_LINES)
def test_a_line_counts_if_its_sample_can_be_read(line: str, value: float | None) -> None:
    endpoint = Endpoint()
    for _ in range(3):  # the second time by what was learnt the first time
        assert endpoint.scrape(gauge(line)) == ({} if value is None else {"a.0": value})


@pytest.mark.parametrize("number", ["NaN", "+Inf", "-Inf", "inf", "1e400"])
def test_what_is_no_finite_number_is_a_series_all_the_same(number: str) -> None:
    (value,) = Endpoint().scrape(gauge(f"a {number}")).values()
    assert not math.isfinite(value)


def test_a_broken_line_costs_only_itself_and_gets_no_index() -> None:
    text = gauge('a{x="1"} 1', 'a{x="2"} 1_0', 'a{x="3', '\udcff{x="4"} 1', 'a{x="5"} 2')
    body = text.encode(errors="surrogateescape")
    assert read(Endpoint().table, body) == {"a.0": 1, "a.1": 2}


def test_a_metric_that_its_name_rules_out_is_not_looked_at() -> None:
    text = '# TYPE unloved gauge\nunloved 1\nunloved{x="1"} 2 3\n# TYPE h histogram\nh{le="1"} 1\n'
    endpoint = Endpoint()
    for _ in range(3):
        assert endpoint.scrape(f'{text}{gauge("a 1")}# TYPE h gauge\nh{{le="1"}} 2\n') == {
            "a.0": 1,
            "h.0": 2,
        }
    assert endpoint.asked == 2


def test_bytes_that_are_no_utf_8_are_replaced() -> None:
    body = b'# TYPE a gauge\na{x="\xff"} 1\na{x="ok"} 2\na{x="\xfe\xfe"} 3\n'
    endpoint = Endpoint()
    for _ in range(2):
        assert read(endpoint.table, body) == {"a.0": 1, "a.1": 2, "a.2": 3}
    told = endpoint.numbers.label_map(1000)[0]
    assert told["a"] == {"0": {"x": "\ufffd"}, "1": {"x": "ok"}, "2": {"x": "\ufffd" * 2}}


def test_labels() -> None:
    line = parse_sample(b'a{p="C:\\\\dir",q="say \\"hi\\"",n="a\\nb",o="\\q",e="",u="\xc3\xa9"} 1')
    assert line is not None
    assert parse_labels(line.labels) == {
        "p": "C:\\dir",
        "q": 'say "hi"',
        "n": "a\nb",
        "o": "\\q",
        "e": "",
        "u": "é",
    }
    quoted = parse_sample(b'{"my.metric", "label.name"="x",b="y"} 1')
    assert quoted is not None
    assert quoted.name == "my.metric"
    assert parse_labels(quoted.labels) == {"label.name": "x", "b": "y"}


def test_types() -> None:
    assert parse_type(b"# TYPE a gauge") == ("a", "gauge")
    assert parse_type(b" \t# TYPE a gauge") == ("a", "gauge")
    assert parse_type(b'#  TYPE  "a.b"\tcounter\r') == ("a.b", "counter")
    for line in (b"#TYPE a gauge", b"# TYPE a gauge of a kind", b"# TYPE a", b"# HELP a gauge"):
        assert parse_type(line) is None


def test_only_what_an_earlier_line_declares_counts() -> None:
    text = (
        "a 1\n# TYPE a gauge\n# TYPE b GAUGE\nb 2\n# TYPE c counter\nc 3\na 4\n"
        "# TYPE d gauge\n# TYPE d untyped\nd 5\n"
    )
    endpoint = Endpoint()
    for _ in range(2):
        assert endpoint.scrape(text) == {"a.0": 4, "c.0": 3}
    # Declared this time, or no more: what was learnt of the lines does not say whether they count.
    assert endpoint.scrape("# TYPE d gauge\nd 6\nc 7\na 8\n") == {"d.0": 6}


def test_blanks_before_a_comment_do_not_matter() -> None:
    endpoint = Endpoint()
    for kind, expected in (("gauge", {"a.0": 1}), ("gauge", {"a.0": 1}), ("histogram", {})):
        assert endpoint.scrape(f"  # HELP a b\n \t# TYPE a {kind}\n a 1\n") == expected


def test_counters_are_named_differently_in_the_two_formats() -> None:
    text = "# TYPE req counter\nreq 1\nreq_total 2\nreq_created 3\n"
    assert Endpoint().scrape(text) == {"req.0": 1}
    assert Endpoint().scrape(text, OPEN_METRICS)["req_total.0"] == 2
    assert Endpoint().scrape(text + "# EOF\n")["req_total.0"] == 2
    assert not is_open_metrics("text/plain; version=0.0.4", text.encode())


def test_the_index_is_that_of_the_label_set() -> None:
    endpoint = Endpoint()
    assert endpoint.scrape(gauge('a{x="1",y="2"} 1', 'a{x="2"} 2')) == {"a.0": 1, "a.1": 2}
    assert endpoint.scrape(gauge('a{x="3"} 3', 'a{y="2",x="1"} 4')) == {"a.2": 3, "a.0": 4}
    assert endpoint.scrape(gauge('a{x="2"} 5', 'a{x="2"} 6')) == {"a.1": 6}  # the last one counts
    assert endpoint.numbers.label_map(1000) == (
        {"a": {"0": {"x": "1", "y": "2"}, "1": {"x": "2"}, "2": {"x": "3"}}},
        43,
    )
    assert endpoint.numbers.label_map(30) == ({"a": {"0": {"x": "1", "y": "2"}}}, 21)


def test_series_beyond_the_limit_are_left_out_and_counted() -> None:
    endpoint = Endpoint(max_series=2)
    for _ in range(2):
        assert endpoint.scrape(gauge(*(f'a{{x="{n}"}} 1' for n in range(4)))).keys() == {
            "a.0",
            "a.1",
        }
    assert endpoint.numbers.left_out == 2


def test_names_and_labels_take_bounded_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "MAX_CHARACTERS", 3000)
    endpoint = Endpoint()
    lines = gauge(*(f'a{{x="{n}{"y" * 1500}"}} 1' for n in range(4)))
    assert endpoint.scrape(lines).keys() == {"a.0", "a.1"}
    assert endpoint.numbers.left_out == 2
    name = "n" * (MAX_NAME + 1)
    assert Endpoint().scrape(f"# TYPE {name} gauge\n{name} 1\n{gauge('a 2')}") == {"a.0": 2}


def test_the_memory_of_heads_is_bounded_and_forgets_the_longest_unused() -> None:
    heads: Heads[int] = Heads(max_bytes=3 * 203)
    for number in range(100):
        heads.put(f"h{number:02}".encode(), number)
        assert len(heads) <= 6
    assert heads.recall(b"h00") is None
    assert heads.recall(b"h96") == 96
    assert heads.young == {b"h99": 99, b"h96": 96}
    endpoint = Endpoint(max_head_bytes=2000)
    text = gauge(*(f'a{{x="{n}"}} {n}' for n in range(100)))
    for _ in range(3):
        assert len(endpoint.scrape(text)) == 100  # forgotten, and learnt anew: the same indices
    assert len(endpoint.table.heads) <= 20


def test_what_is_known_is_not_asked_again() -> None:
    endpoint = Endpoint()
    lines = ('a{x="1"} 1', 'a{x="2"} 2 123', 'a{x="3"} 3 # {t="1"} 4', 'a{x="4"} 5 6 # {t="1"} 4')
    for _ in range(3):
        endpoint.scrape(gauge(*lines))
    assert endpoint.asked == 4


def test_chunks_hold_whole_lines() -> None:
    lines = [f"line {number} {'x' * (number % 50)}".encode() for number in range(1000)]
    for body in (b"\n".join(lines), b"\n".join(lines) + b"\n"):
        found = [line for chunk in chunks(body, 100) for line in chunk]
        assert [line for line in found if line] == lines
    assert list(chunks(b"x" * 1000 + b"\n1", 10)) == [[b"x" * 1000], [b"1"]]
    assert list(chunks(b"")) == []


@pytest.mark.parametrize(
    "line",
    [
        b"a{" + b'x="1"    ' * 5000,
        b"a{" + b'"' * 60_000,
        b'a{x="' + b"\\" * 60_001,
        b"a" + b" " * 60_000 + b"{",
        b"a{" + b"x" * 60_000,
    ],
)
def test_hostile_lines_fail_fast(line: bytes) -> None:
    started_s = time.process_time()
    assert parse_sample(line) is None
    assert time.process_time() - started_s < 2


def admits(filters: object, name: str, **labels: str) -> bool:
    return MetricFilter(filter_rules(filters)).admits(name, lambda: labels)  # pyright: ignore[reportArgumentType]


def test_filters() -> None:
    assert admits(None, "node.a")
    assert admits((), "node.a")
    assert admits(("^x", "de[.]a"), "node.a")
    assert not admits(("^a",), "node.a")
    both = {"[.]a$": {"x": "^1", "y": "2"}, "b": {"x": ""}}
    assert admits(both, "node.a", x="1", y="42")
    assert not admits(both, "node.a", x="1")
    assert not admits(both, "node.a", x="21", y="2")
    assert admits(both, "node.b", x="")
    assert not admits(both, "node.b")
    assert not admits({"a": {}}, "node.a")


def test_a_pattern_that_is_none_matches_nothing_and_is_named() -> None:
    only = MetricFilter(filter_rules(("(bad",)))
    assert not only.admits("node.a", dict)
    assert only.problems == [
        (
            "OpenMetrics filter '(bad' is no regular expression and matches nothing: "
            "missing ), unterminated subpattern at position 0"
        )
    ]
    some = MetricFilter(filter_rules({"a": {"x": "[", "y": ""}, "b": {"x": ""}}))
    assert not some.admits("a", lambda: {"x": "[", "y": ""})
    assert some.admits("b", lambda: {"x": "1"})


def test_a_body_like_the_last_one_is_read_as_if_it_were_the_first() -> None:
    """Whatever changes between two bodies, what was remembered of the first must not show."""
    bodies = [
        '# TYPE a gauge\n# HELP a x\na{x="1"} 1\na{x="2"} 2\nodd\nb 1\n',
        '# TYPE a gauge\n# HELP a y\na{x="1"} 3\na{x="2"} 4\n# TYPE b gauge\nb 1\n',
        '# TYPE a gauge\n# HELP a y\na{x="2"} 4\na{x="1"} 3\n# TYPE b gauge\nb 1\n',
        '# TYPE a histogram\n# HELP a y\na{x="2"} 4\na{x="1"} 3\n# TYPE b gauge\nb 1\n',
        '# TYPE a gaugehistogram\na{x="2"} 4\na{x="1"} 3\n# TYPE b gauge\nb 2 17\n',
        '# TYPE a gauge\na{x="2"} 1_0\na{x="1"} x\n# TYPE b gauge\nb 2\n\n\n',
        '# TYPE a gauge\na{x="1"} 1\na{x="0"} 0\na{x="2"} 2\n# TYPE b gauge\nb 2',
        "",
        '# TYPE a gauge\na{x="2"} 1\n',
    ]
    for before in bodies:
        for body in bodies:
            endpoint = Endpoint()
            for text in (bodies[6], before, body):
                endpoint.scrape(text)
            fresh = Endpoint()
            fresh.scrape(bodies[6])
            assert endpoint.scrape(body) == fresh.scrape(body), (before, body)
