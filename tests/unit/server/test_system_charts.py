"""Charts of system metrics on a run's page."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.server.serving import serving

from trackd_server.api import system_charts
from trackd_server.api.series_names import series_names
from trackd_server.api.system_charts import Board, Place, board, number, place_of
from trackd_server.domain import history
from trackd_server.domain.happenings import Happening

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.server.serving import Serving


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serving]:
    """An application."""
    with serving(tmp_path / "data") as opened:
        yield opened


def row(at: float, label: str = "", began: float = 1000.0, **values: float) -> dict[str, Any]:
    """Return a sample; in names of values `__` stands for a dot."""
    suffix = f"/l:{label}" if label else ""
    keys = {f"system.{name.replace('__', '.')}{suffix}": v for name, v in values.items()}
    return {**keys, "_wandb": True, "_runtime": at, "_timestamp": began + at}


def names(found: Board, title: str) -> dict[str, list[str]]:
    """Return the lines of a group's charts."""
    (group,) = (each for each in found.groups if each.title == title)
    return {chart.title: [line.name for line in chart.lines] for chart in group.charts}


@pytest.mark.parametrize(
    ("metric", "place"),
    [
        ("gpu.10.temp", Place("gpu", "temp", "10")),
        ("gpu.0:1.memory", Place("gpu", "memory", "0:1")),
        ("gpu.process.0.memory", Place("gpu.process", "memory", "0")),
        ("trn.1.neuroncore_memory_usage.code", Place("trn", "neuroncore_memory_usage.code", "1")),
        ("trn.host_total_memory_usage", Place("trn", "trn.host_total_memory_usage", "")),
        ("cpu", Place("proc", "cpu", "")),
        ("proc.memory.rssMB", Place("proc", "memory.rssMB", "")),
        ("memory_percent", Place("memory", "memory_percent", "")),
        ("disk./data/v1.5.usageGB", Place("disk", "usageGB", "/data/v1.5")),
        ("disk.in", Place("disk", "in", "all")),
        ("network.sent", Place("network", "sent", "")),
        ("openmetrics.node.up.total.3", Place("node", "up.total", "3")),
        ("system.load15", Place("system", "load", "15 min")),
        ("system.powerWatts", Place("system", "system.powerWatts", "")),
        ("anything", Place("system", "anything", "")),
    ],
)
def test_a_key_has_its_place(metric: str, place: Place) -> None:
    assert place_of(metric) == place


def test_what_counts_most_comes_first_and_numbers_are_short() -> None:
    rows = [
        row(at, proc__memory__rssMB=22_581.4, cpu=5.0, gpu__0__temp=4, gpu__0__gpu=9)
        for at in range(2)
    ]
    gpu, process = board(rows, []).groups
    assert [chart.title for chart in gpu.charts] == ["utilization, %", "temperature, °C"]
    assert [chart.title for chart in process.charts] == ["CPU, %", "memory rss, MB"]
    assert [chart.lines[0].last for chart in process.charts] == ["5", "22,581"]
    assert [number(value) for value in (0.00012, 999, 1000, 250_000, 3e9)] == [
        "0.00012", "999", "1,000", "250 k", "3 G"
    ]  # fmt: skip


def test_each_device_is_a_line_of_its_metric_in_order() -> None:
    rows = [row(at, gpu__2__gpu=at, gpu__10__gpu=50, gpu__2__temp=40 + at) for at in range(5)]
    found = board(rows, [])
    assert names(found, "GPU") == {
        "utilization, %": ["GPU 2", "GPU 10"],
        "temperature, °C": ["GPU 2"],
    }
    chart = found.groups[0].charts[0]
    assert (chart.title, chart.bottom, chart.top) == ("utilization, %", "0", "100")
    assert chart.lines[0].path == "M0.0 120.0L150.0 118.8 300.0 117.6 450.0 116.4 600.0 115.2"
    assert chart.lines[0].last == "4"
    assert (found.first_s, found.last_s) == (0, 4)


def test_what_ranks_of_a_node_see_alike_is_one_line_and_their_processes_are_two() -> None:
    rows = [row(at, "a", gpu__0__gpu=at % 7, cpu=50) for at in range(9)]
    rows += [row(at - 2, "b", began=1002, gpu__0__gpu=at % 7, cpu=50) for at in range(2, 9)]
    found = board(rows, [])
    assert names(found, "GPU") == {"utilization, %": ["GPU 0"]}
    assert names(found, "Process") == {"CPU, %": ["a", "b"]}
    other = [*rows, *(row(at, "c", gpu__0__gpu=at % 7 + 1) for at in range(9))]
    assert names(board(other, []), "GPU") == {"utilization, %": ["GPU 0 · a", "GPU 0 · c"]}


def test_a_figure_with_two_names_is_drawn_once_and_units_are_said_once() -> None:
    keys = ("uncorrectedMemoryErrors", "unCorrectedMemoryErrors", "memoryAllocatedBytes")
    values: dict[str, Any] = {
        f"gpu__0__{key}": 5.0 for key in (*keys, "energyJoules", "powerPercent")
    }
    found = board([row(at, **values, proc__memory__rssMB=1) for at in range(4)], [])
    assert list(names(found, "GPU")) == [
        "uncorrected memory errors",
        "memory allocated, B",
        "energy, J",
        "power, %",
    ]
    assert list(names(found, "Process")) == ["memory rss, MB"]


def test_events_are_marked_on_the_charts_of_their_devices() -> None:
    rows = [row(at, gpu__0__gpu=1, memory_percent=2) for at in (0, 100)]
    xid = Happening(1025.0, 25.0, "xid", "Xid 79", "gpu.0.xid", 79.0)
    late = Happening(2000.0, 1000.0, "xid", "Xid 79", "gpu.0.xid", 79.0)
    gpu, memory = board(rows, [xid, late]).groups
    assert [(mark.x, mark.text) for mark in gpu.marks] == [(150.0, "xid: Xid 79")]
    assert not memory.marks


def test_scraped_series_are_called_after_their_labels_where_writers_agree(server: Serving) -> None:
    told: Any = {"node": {"up": {"0": {"job": "a", "host": "<h>"}, "1": {"job": "b"}, "2": 5}}}
    other: Any = {"node": {"up": {"1": {"job": "c"}}, "down": []}}
    environments: Any = {"w1": {"openmetrics": told}, "w2": {"openmetrics": other}, "w3": 7}
    config = {"_wandb": {"value": {"e": environments}}}
    assert series_names(config) == {"openmetrics.node.up.0": "job=a, host=<h>"}
    rows = [row(at, openmetrics__node__up__0=1, openmetrics__node__up__1=2) for at in range(3)]
    found = board(rows, [], config)
    assert names(found, "node") == {"up": ["1", "job=a, host=<h>"]}
    server.upsert(config=json.dumps(config))
    lines = [json.dumps(each) for each in rows]
    server.stream({"files": {"wandb-events.jsonl": {"offset": 0, "content": lines}}})
    assert "job=a, host=&lt;h&gt;" in server.http.get("/local/p/runs/r").text


def test_odd_rows_draw_nothing_odd() -> None:
    rows: list[dict[str, Any]] = [
        row(0, cpu=math.nan, a=math.inf, b=1e308, c=10**400, d=True),
        {"system.cpu": 5},
        {"system.cpu": 5, "_runtime": "now"},
        {"system.e": [1], "system.f": {"a": 1}, "_runtime": 1, "_timestamp": None},
        row(3, g=7),
        row(3, g=7),
        {**row(4, xid=79), "_event": "xid"},
    ]
    found = board(rows, [])
    assert [chart.title for group in found.groups for chart in group.charts] == ["g"]
    assert found.groups[0].charts[0].lines[0].path.count("nan") == 0
    assert board([], []) == Board([])
    assert board([row(1, cpu=5)], []).groups[0].charts[0].lines[0].path.endswith("h2")


def test_a_client_that_sends_everything_gets_a_bounded_page() -> None:
    many = {f"system.m{number}.x": float(number) for number in range(5_000)}
    devices = {f"system.gpu.{number}.gpu": 1.0 for number in range(100)}
    rows = [{**devices, **many, "_runtime": float(at), "_timestamp": 1.0 + at} for at in range(40)]
    found = board(rows, [])
    charts = [chart for group in found.groups for chart in group.charts]
    assert len(charts) == system_charts.MAX_CHARTS and found.left_out > 1_000
    (gpu,) = (chart for chart in charts if chart.title == "utilization, %")
    assert len(gpu.lines) == system_charts.MAX_LINES
    assert gpu.left_out == 100 - system_charts.MAX_LINES
    points = sum(line.path.count(" ") for chart in charts for line in chart.lines)
    assert points <= system_charts.MAX_POINTS


def test_the_page_shows_charts_and_events_and_escapes_both(server: Serving) -> None:
    server.upsert()
    lines = [json.dumps(row(at, "<b>", gpu__0__gpu=at)) for at in range(50)]
    event = {**row(20, "<b>", gpu__0__xid=79), "_event": "<xid>", "_text": "</svg><script>"}
    lines.insert(20, json.dumps(event))
    for at in range(0, len(lines), 5):
        part = {"offset": at, "content": lines[at : at + 5]}
        server.stream({"files": {"wandb-events.jsonl": part}}, client="c1")
    page = server.http.get("/local/p/runs/r").text
    assert page.count("<path class=") == 1 and "<script" not in page
    assert "&lt;/svg&gt;&lt;script&gt;" in page
    assert page.count('<line class="mark"') == 1
    assert re.search(r"<b>49</b>", page), "the last value"


def test_a_long_run_costs_a_page_no_more_than_it_shows(server: Serving) -> None:
    server.upsert()
    for start in range(0, 6_000, 100):
        lines = [json.dumps(row(at, cpu=1.0)) for at in range(start, start + 100)]
        server.stream({"files": {"wandb-events.jsonl": {"offset": start, "content": lines}}})
    from trackd_server.domain import run_records
    from trackd_server.domain.run_records import RunPath

    with server.services.database.read() as connection:
        number = run_records.by_path(connection, RunPath("local", "p", "r")).id
        found = list(history.sampled_system_metrics(connection, number, 1_200))
    assert len(found) == history.MAX_LINES_CHARTED
    assert (found[0]["_runtime"], found[-1]["_runtime"]) == (0, 5_999)
