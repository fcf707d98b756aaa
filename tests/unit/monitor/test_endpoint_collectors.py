"""Endpoints and DCGM for several ranks at once, over time, and when they are not well."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.endpoints import Endpoints, Page

from trackd_agent.monitor import OpenMetricsWish, Subject
from trackd_agent.monitor.collectors import dcgm, openmetrics
from trackd_agent.monitor.collectors.dcgm import DcgmCollector, DcgmKeys, DcgmSource
from trackd_agent.monitor.collectors.openmetrics import OpenMetricsCollector
from trackd_agent.monitor.contract import NobodyAsksError, NoDataError
from trackd_agent.monitor.readers import Readers
from trackd_agent.monitor.registry import REGISTRATIONS
from trackd_agent.monitor.sharing import Shared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.machine import Machine

    from trackd_agent.monitor.contract import Collector


@pytest.fixture
def endpoints() -> Iterator[Endpoints]:
    with Endpoints() as endpoints:
        yield endpoints


class Node:
    """One collector and its subjects."""

    def __init__(self, machine: Machine, kind: type[OpenMetricsCollector | DcgmCollector]) -> None:
        self.readers = Readers.of(machine.config)
        self.collector = kind(self.readers)
        self.problems: list[str] = []
        self.is_described_anew = False

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        self.readers.close()

    def sample(self, *subjects: Subject) -> list[dict[str, float]]:
        collector: Collector = self.collector
        found = collector.collect([self.readers.target(subject) for subject in subjects])
        self.problems = found.problems
        self.is_described_anew = found.is_described_anew
        return [
            {reading.key: reading.amount for reading in found.by_subject.get(subject.key, [])}
            for subject in subjects
        ]


def wanting(key: str, filters: Any = None, **urls: str) -> Subject:
    wish = OpenMetricsWish(endpoints=urls, filters=filters, headers={"X-Key": "s3cret"})
    return Subject(key, 42, open_metrics=wish)


def gauges(**values: float) -> Page:
    lines = [f"# TYPE {name} gauge\n{name} {value}\n" for name, value in values.items()]
    return Page("".join(lines).encode())


def test_nobody_asks(machine: Machine) -> None:
    for kind in (OpenMetricsCollector, DcgmCollector):
        with Node(machine, kind) as node, pytest.raises(NoDataError, match="no run names"):
            node.sample(Subject("r", 42))


def test_who_is_not_due_still_wants(machine: Machine, endpoints: Endpoints) -> None:
    endpoints.pages["*"] = Page(b'# TYPE a gauge\na{x="1"} 1\n')
    rank = wanting("r", e=f"{endpoints.url}/m")
    with Node(machine, OpenMetricsCollector) as node:
        node.sample(rank)
        with pytest.raises(NobodyAsksError):
            node.sample(Subject("other", 42))
        described = {"openmetrics": {"e": {"a": {"0": {"x": "1"}}}}}
        assert node.collector.describe_for(rank) == described
        node.sample(rank)
        assert not node.is_described_anew


def test_ranks_share_requests_and_numbers(machine: Machine, endpoints: Endpoints) -> None:
    endpoints.pages["*"] = Page(b'# TYPE a gauge\na{x="1"} 1\na{x="2"} 2\n')
    ranks = [wanting(f"rank-{n}", e=f"{endpoints.url}/m") for n in range(64)]
    picky = wanting("picky", filters={"a": {"x": "2"}}, e=f"{endpoints.url}/m")
    with Node(machine, OpenMetricsCollector) as node:
        *found, picked = node.sample(*ranks, picky)
        assert found == [{"openmetrics.e.a.0": 1, "openmetrics.e.a.1": 2}] * 64
        assert picked == {"openmetrics.e.a.0": 2}
        assert len(endpoints.requests) == 1
        assert node.is_described_anew
        described = {"openmetrics": {"e": {"a": {"0": {"x": "1"}, "1": {"x": "2"}}}}}
        assert node.collector.describe_for(ranks[5]) == described
        node.sample(ranks[0])
        assert not node.is_described_anew
        # The numbers live as long as anybody wants them.
        endpoints.pages["*"] = Page(b'# TYPE a gauge\na{x="2"} 3\n')
        for rank in ranks[1:]:
            node.collector.forget(rank)
        assert node.sample(wanting("late", e=f"{endpoints.url}/m")) == [{"openmetrics.e.a.1": 3}]
        for key in ("late", "rank-0"):
            node.collector.forget(wanting(key))
        assert node.sample(wanting("new", e=f"{endpoints.url}/m")) == [{"openmetrics.e.a.0": 3}]


def test_an_endpoint_that_fails_costs_its_own_keys_alone(
    machine: Machine, endpoints: Endpoints
) -> None:
    endpoints.pages["/good"] = gauges(a=1)
    endpoints.pages["/bad"] = Page(status=500)
    both = wanting("r", good=f"{endpoints.url}/good", bad=f"{endpoints.url}/bad?token=s3cret")
    with Node(machine, OpenMetricsCollector) as node:
        assert node.sample(both) == [{"openmetrics.good.a.0": 1}]
        (problem,) = node.problems
        assert (
            problem == f"endpoint bad ({endpoints.url}/bad): HTTP status 500 Internal Server Error"
        )
        with pytest.raises(openmetrics.SourceError, match="endpoint bad"):
            node.sample(wanting("q", bad=f"{endpoints.url}/bad"))
        assert len(endpoints.requests) == 3  # none was tried again within its tick
        endpoints.pages["/bad"] = gauges(b=2)
        assert node.sample(both) == [{"openmetrics.good.a.0": 1, "openmetrics.bad.b.0": 2}]
        assert not node.problems


def test_the_name_of_an_endpoint_is_kept_as_it_is(machine: Machine, endpoints: Endpoints) -> None:
    endpoints.pages["*"] = gauges(a=1)
    with Node(machine, OpenMetricsCollector) as node:
        (found,) = node.sample(wanting("r", None, **{"my node.1": f"{endpoints.url}/m"}))
    assert found == {"openmetrics.my node.1.a.0": 1}


def test_half_a_line_counts_only_where_its_end_is_known(
    machine: Machine, endpoints: Endpoints
) -> None:
    body = b"# TYPE a gauge\na 1\n# TYPE b gauge\nb 12"
    endpoints.pages["/framed"] = Page(body)
    endpoints.pages["/cut"] = Page(send=lambda write: write(body))
    with Node(machine, OpenMetricsCollector) as node:
        (found,) = node.sample(
            wanting("r", framed=f"{endpoints.url}/framed", cut=f"{endpoints.url}/cut")
        )
    assert found == {
        "openmetrics.framed.a.0": 1,
        "openmetrics.framed.b.0": 12,
        "openmetrics.cut.a.0": 1,
    }


def row(name: str, value: Any = "1", **labels: str) -> dict[str, Any]:
    return {"metric": {"__name__": name, **labels}, "value": [1, value]}


def vector(*rows: Any) -> Page:
    data = {"resultType": "vector", "result": list(rows)}
    body = json.dumps({"status": "success", "data": data}).encode()
    return Page(body, "application/json")


def asking(url: str, key: str = "r") -> Subject:
    return Subject(key, 42, dcgm_exporter=url, open_metrics=OpenMetricsWish(headers={"X-Key": "k"}))


def test_each_query_is_a_request_and_a_failing_one_costs_its_own_rows(
    machine: Machine, endpoints: Endpoints
) -> None:
    def page(request: Any) -> Page:
        if "TEMP" in request.path:
            return vector(row("DCGM_FI_DEV_GPU_TEMP", "50", gpu="0"))
        return Page(b'{"status":"error","errorType":"bad_data","error":"parse error"}', status=400)

    endpoints.choose = page
    url = f"{endpoints.url}/prom/api/v1/query?query=DCGM_TEMP%7Bx%3D%221%22%7D&query=b+c&dedup=1"
    with Node(machine, DcgmCollector) as node:
        assert node.sample(asking(url)) == [{"gpu.0.temp": 50}]
        assert sorted(request.path for request in endpoints.requests) == [
            "/prom/api/v1/query?query=DCGM_TEMP%7Bx%3D%221%22%7D&dedup=1",
            "/prom/api/v1/query?query=b+c&dedup=1",
        ]
        assert {request.headers["x-key"] for request in endpoints.requests} == {"k"}
        (problem,) = node.problems
        assert "HTTP status 400" in problem


def test_what_is_no_address_costs_nobody_else(machine: Machine, endpoints: Endpoints) -> None:
    temperature = row("DCGM_FI_DEV_GPU_TEMP", "40", gpu="0", Hostname="a")
    endpoints.pages["/q"] = vector(temperature)
    good = asking(f"{endpoints.url}/q?query=x", "good")
    with Node(machine, DcgmCollector) as node:
        bad, values = node.sample(asking("http://[::1?query=x", "bad"), good)
        assert (bad, values) == ({}, {"gpu.0.temp/l:a": 40})
        assert "an address that cannot be read" in node.problems[0]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not that of a Prometheus query"),
        (b'{"status":"succ', "not that of a Prometheus query"),
        (b"[1, 2]", "not that of a Prometheus query"),
        (b"<html>login</html>", "not that of a Prometheus query"),
        (b'{"status":"error","error":"parse error"}', "the query failed: parse error"),
        (b'{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}', "'scalar'"),
        (b'{"status":"success","data":{"resultType":"vector","result":{}}}', "not that of"),
        (b'{"status":"success","data":' + b'{"a":' * 9999, "not that of a Prometheus query"),
    ],
)
def test_answers_that_are_none(
    machine: Machine, endpoints: Endpoints, body: bytes, reason: str
) -> None:
    endpoints.pages["*"] = Page(body, "application/json")
    with Node(machine, DcgmCollector) as node, pytest.raises(dcgm.SourceError, match=reason):
        node.sample(asking(f"{endpoints.url}/api/v1/query?query=q"))


def test_rows_that_are_none_cost_themselves(machine: Machine, endpoints: Endpoints) -> None:
    name = "DCGM_FI_DEV_GPU_TEMP"
    endpoints.pages["*"] = vector(
        row(name, "1", gpu="0"),
        row(name, "NaN", gpu="1"),
        row(name, "1_0", gpu="2"),
        row(name, 5, gpu="3"),
        row(name, None, gpu="4"),
        row(name, "1", gpu=""),
        row(name, "1", device="nvidia"),
        row(name, "7", device="nvidia-x"),
        {"metric": {"__name__": name, "gpu": "5"}},
        {"metric": None, "value": [1, "1"]},
        "row",
        row("DEV_GPU_TEMP", "1", gpu="6"),
        row("DCGM_FI_DEV_XID_ERRORS", "1", gpu="6"),
        row(name, "1e300", gpu="8"),
        row(name, "18446744073709551615", gpu="9"),
    )
    with Node(machine, DcgmCollector) as node:
        (found,) = node.sample(asking(f"{endpoints.url}/api/v1/query?query=q"))
    assert str(found.pop("gpu.1.temp")) == "nan"  # no key in the end: see Series
    assert found == {
        "gpu.0.temp": 1,
        "gpu.-x.temp": 7,
        "gpu.8.temp": 1e300,
        "gpu.9.temp": float(2**64 - 1),
    }


def test_no_device_takes_the_key_of_another() -> None:
    keys = DcgmKeys()
    name = "DCGM_FI_PROF_SM_ACTIVE"

    def key(**labels: str) -> str | None:
        return keys.key(name, labels)

    for _ in range(2):
        assert key(gpu="0", Hostname="a", UUID="U1") == "gpu.0.smActive/l:a"
        assert key(gpu="0", hostname="b", uuid="U2") == "gpu.0.smActive/l:b"
        assert key(gpu="0", node="c", hostname="b", uuid="U3") == "gpu.0.smActive/l:c"
        assert key(gpu="0", UUID="U4") == "gpu.0.smActive"
        assert key(gpu="0", UUID="U5") == "gpu.0.smActive/l:U5"
        assert key(gpu="0", instance="h:9400") == "gpu.0.smActive/l:h:9400"
        assert key(gpu="0", Hostname="a", UUID="U6") == "gpu.0.smActive/l:a/l:U6"
        # Slices of one GPU, and one GPU that several pods use.
        assert key(gpu="1", UUID="U7", GPU_I_ID="3") == "gpu.1:3.smActive"
        assert key(gpu="1", UUID="U7", GPU_I_ID="4") == "gpu.1:4.smActive"
        assert key(gpu="2", UUID="U8", pod="p") == "gpu.2.smActive"
        assert key(gpu="2", UUID="U8", pod="q") == "gpu.2.smActive"


def test_labels_that_are_too_long_cost_their_own_row() -> None:
    keys, name, long = DcgmKeys(), "DCGM_FI_DEV_GPU_TEMP", "x" * 1000
    assert keys.key(name, {"gpu": "0", "node": long}) is None
    assert keys.key(name, {"gpu": long}) is None
    assert keys.key(name, {"gpu": "0", "uuid": long, "modelName": "T4"}) is None
    assert not keys.gpus
    assert keys.key(name, {"gpu": "0", "uuid": "u", "pod": long}) == "gpu.0.temp"


def test_gpus_are_counted_once(machine: Machine, endpoints: Endpoints) -> None:
    def gpu(name: str, **labels: str) -> dict[str, Any]:
        return row(name, gpu="0", modelName="H100", **labels)

    endpoints.pages["*"] = vector(
        gpu("DCGM_FI_DEV_GPU_TEMP", UUID="U1", Hostname="a"),
        gpu("DCGM_FI_DEV_GPU_UTIL", UUID="U1", Hostname="a"),
        gpu("DCGM_FI_DEV_GPU_UTIL", uuid="U2", hostname="b"),
        gpu("DCGM_FI_DEV_GPU_UTIL", hostname="c"),
    )
    subject = asking(f"{endpoints.url}/api/v1/query?query=q")
    with Node(machine, DcgmCollector) as node:
        before = node.collector.describe_for(subject)  # a run without metrics has it, too
        node.sample(subject)
        assert node.is_described_anew
        assert before == node.collector.describe_for(subject)
        assert before == {
            "gpu": "H100",
            "gpu_count": 2,
            "gpu_nvidia": [{"name": "H100", "uuid": "U1"}, {"name": "H100", "uuid": "U2"}],
        }
        node.sample(subject)
        assert not node.is_described_anew


def test_an_address_without_queries_is_the_exporter_itself() -> None:
    for url in ("http://h:9400/metrics", "http://h/x?collect[]=a"):
        (request,) = DcgmSource(url, ()).requests()
        assert request.url == url
        assert "text/plain" in request.accept


def test_what_nvml_says_of_a_key_comes_last_and_counts() -> None:
    """DCGM's unlabelled rows may be about the same GPUs, in other units."""
    names = [registration.name for registration in REGISTRATIONS]
    assert names.index("dcgm") < names.index("nvidia")


def test_what_is_shared_lives_as_long_as_somebody_wants_it() -> None:
    made: list[str] = []
    shared: Shared[str, list[str]] = Shared(lambda key: made.append(key) or [key])
    first = shared.get("k", ["a", "b"])
    assert shared.get("k", ["c"]) is first
    assert shared.peek("other") is None
    for subject in ("a", "c", "nobody"):
        shared.forget(subject)
        assert shared.peek("k") is first
    shared.forget("b")
    assert shared.peek("k") is None
    assert len(shared) == 0
    assert made == ["k"]
