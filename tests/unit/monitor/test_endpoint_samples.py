"""Recorded scrapes and answers through a real HTTP server: exactly the recorded keys and values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.endpoints import TEXT, Endpoints, Page
from tests.support.machine import SAMPLES, Machine, needs_samples

from trackd_agent.monitor import OpenMetricsWish, Subject
from trackd_agent.monitor.collectors.dcgm import DcgmCollector
from trackd_agent.monitor.collectors.openmetrics import OpenMetricsCollector
from trackd_agent.monitor.contract import NoDataError
from trackd_agent.monitor.readers import Readers
from trackd_agent.monitor.series import Series

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackd_agent.monitor.contract import Collector

pytestmark = needs_samples


@pytest.fixture
def endpoints() -> Iterator[Endpoints]:
    with Endpoints() as endpoints:
        yield endpoints


def cases(source: str) -> list[str]:
    return sorted(
        path.parent.name
        for path in SAMPLES.glob("*/case.json")
        if json.loads(path.read_text())["source"] == source
    )


def load(name: str) -> dict[str, Any]:
    return json.loads((SAMPLES / name / "case.json").read_text())


class Sampler:
    """One subscription to one collector."""

    def __init__(self, collector: Collector, readers: Readers, subject: Subject) -> None:
        self.collector, self.target = collector, readers.target(subject)
        self.series = Series()

    def sample(self) -> dict[str, float]:
        try:
            found = self.collector.collect([self.target])
        except NoDataError:
            return {}
        return self.series.values(found.shared + found.by_subject.get(self.target.key, []))


def filters_of(variant: dict[str, Any]) -> Any:
    given: Any = variant.get("x_stats_open_metrics_filters")
    return given if given is None or hasattr(given, "items") else tuple(given)


def same(got: dict[str, float], expected: dict[str, Any]) -> None:
    """Compare: a value that is null stands for one that is no number, which has no key with us."""
    assert got == pytest.approx({k: v for k, v in expected.items() if v is not None}, rel=1e-9)


@pytest.mark.parametrize("name", cases("openmetrics"))
def test_scrape(machine: Machine, endpoints: Endpoints, name: str) -> None:
    case = load(name)
    content_type = case.get("content_type", TEXT)
    (endpoint,) = case["settings"]["x_stats_open_metrics_endpoints"]
    for variant in case.get("filters", [case]):
        readers = Readers.of(machine.config)
        wish = OpenMetricsWish(
            endpoints={endpoint: f"{endpoints.url}/metrics"},
            filters=filters_of(variant),
        )
        sampler = Sampler(
            OpenMetricsCollector(readers), readers, Subject("s", 42, open_metrics=wish)
        )
        for sample in variant["samples"]:
            body = (SAMPLES / name / sample["input"]).read_bytes()
            endpoints.pages["*"] = Page(body, content_type)
            got = sampler.sample()
            if "expect" in sample:
                same(got, sample["expect"])
            else:
                nulls = {key for key in sample["expect_keys"] if key.endswith("app_nan.0")}
                assert got.keys() == set(sample["expect_keys"]) - nulls
        readers.close()


@pytest.mark.parametrize("name", cases("dcgm_query"))
def test_dcgm_query(machine: Machine, endpoints: Endpoints, name: str) -> None:
    case = load(name)
    readers = Readers.of(machine.config)
    url = case["settings"]["x_stats_dcgm_exporter"].replace("http://127.0.0.1:PORT", endpoints.url)
    subject = Subject("s", 42, dcgm_exporter=url)
    collector = DcgmCollector(readers)
    sampler = Sampler(collector, readers, subject)
    for sample in case["samples"]:
        body = (SAMPLES / name / sample["input"]).read_bytes()
        endpoints.pages["*"] = Page(body, "application/json")
        got = sampler.sample()
        also = {key: got.pop(key) for key in case.get("also_accepted", {}) if key in got}
        same(got, sample["expect"])
        same(also, {key: case["also_accepted"][key] for key in also})
    described = collector.describe_for(subject)
    assert {key: described[key] for key in case.get("metadata", {})} == case.get("metadata", {})
    readers.close()


def test_dcgm_exporter_itself(machine: Machine, endpoints: Endpoints) -> None:
    direct = load("dcgm_exposition")["optional_direct"]
    readers = Readers.of(machine.config)
    body = (SAMPLES / "dcgm_exposition" / "metrics.txt").read_bytes()
    endpoints.pages["/metrics"] = Page(body)
    subject = Subject("s", 42, dcgm_exporter=f"{endpoints.url}/metrics")
    collector = DcgmCollector(readers)
    same(Sampler(collector, readers, subject).sample(), direct["expect"])
    assert collector.describe_for(subject)["gpu_count"] == 2
    readers.close()
