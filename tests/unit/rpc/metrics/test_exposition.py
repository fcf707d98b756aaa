"""Metric families as text, read back by the parsers of the Prometheus client."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackd_agent.rpc.metrics.exposition import Family, render

parser: Any = pytest.importorskip("prometheus_client.parser")
open_parser: Any = pytest.importorskip("prometheus_client.openmetrics.parser")


def families() -> list[Family]:
    return [
        Family("up_seconds", "gauge", 'Back\\slash, "quotes"\nand a break.', "seconds").add(1.5),
        Family("sent_bytes", "counter", "Sent.", "bytes")
        .add(7, to='a"b\\c\nd')
        .add(2**60, to="é")
        .add(9, to="é"),
        Family("agent", "info", "Who.").add(1, version="0.1"),
        Family("odd", "gauge", "Odd.").add(math.nan, k="n").add(-math.inf, k="i"),
        Family("empty", "gauge", "Nothing."),
    ]


def test_open_metrics_reads_it_as_it_was_meant() -> None:
    text = render(families(), open_metrics=True)
    assert text.endswith("\n# EOF\n")
    found = {f.name: f for f in open_parser.text_string_to_metric_families(text)}
    assert set(found) == {"up_seconds", "sent_bytes", "agent", "odd"}
    assert found["up_seconds"].unit == "seconds"
    assert found["up_seconds"].documentation == 'Back\\slash, "quotes"\nand a break.'
    assert found["sent_bytes"].type == "counter"
    assert [(s.name, s.labels["to"], s.value) for s in found["sent_bytes"].samples] == [
        ("sent_bytes_total", 'a"b\\c\nd', 7),
        ("sent_bytes_total", "é", 2**60),
    ]
    assert found["agent"].samples[0].labels == {"version": "0.1"}
    assert math.isnan(found["odd"].samples[0].value)
    assert found["odd"].samples[1].value == -math.inf


def test_prometheus_reads_the_other_format() -> None:
    text = render(families(), open_metrics=False)
    assert "# EOF" not in text and "# UNIT" not in text
    found = {f.name: f for f in parser.text_string_to_metric_families(text)}
    assert found["sent_bytes"].type == "counter"
    assert found["sent_bytes"].samples[0].labels == {"to": 'a"b\\c\nd'}
    assert found["agent_info"].samples[0].value == 1
    assert found["up_seconds"].documentation.startswith("Back\\slash")


@given(st.text(st.characters(exclude_categories=["Cs"])), st.floats(), st.booleans())
def test_any_text_and_number_come_back(text: str, value: float, is_open: bool) -> None:
    page = render([Family("a", "gauge", text).add(value, of=text)], open_metrics=is_open)
    read = open_parser if is_open else parser
    if any(c in text for c in "\r\x85\x1c\x1d\x1e\x0b\x0c\u2028\u2029"):
        return  # the client's reader cuts lines there, which no specification says
    (family,) = read.text_string_to_metric_families(page)
    (sample,) = family.samples
    assert sample.labels == {"of": text}
    assert sample.value == value or math.isnan(value)


@pytest.mark.parametrize("family", [Family("1a", "gauge", ""), Family("a", "gauge", "", "bytes")])
def test_a_name_that_is_none_is_refused(family: Family) -> None:
    with pytest.raises(ValueError, match="cannot be called"):
        render([family.add(1)], open_metrics=True)
    with pytest.raises(ValueError, match="label"):
        render([Family("a", "gauge", "").add(1, **{"a-b": "c"})], open_metrics=True)
