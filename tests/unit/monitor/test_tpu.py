"""TPUs through a gRPC service; a PCI bus on paper."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from tests.support.machine import SAMPLES, Machine, needs_samples
from tests.support.tpu import (
    DUTY,
    ONE_DUTY,
    V3,
    V5P,
    answers,
    node,
    of,
    put_chips,
    runtime,
    served,
)

from trackd_agent.monitor.collectors.tpu import MAX_VALUES
from trackd_agent.monitor.contract import DescribesMachine, NoDataError
from trackd_agent.monitor.readers import Readers, tpu_runtime
from trackd_agent.monitor.readers.tpu import LOOK_AGAIN_S, TpuReader, find_chips
from trackd_agent.monitor.readers.tpu_points import percentiles
from trackd_agent.monitor.series import Series

if TYPE_CHECKING:
    from pathlib import Path

    from trackd_proto.tpu.runtime_pb2 import GetRuntimeMetricResponse

TOTAL, USAGE = "tpu.runtime.hbm.memory.total.bytes", "tpu.runtime.hbm.memory.usage.bytes"
TRANSFER = "megascale.dcn_transfer_latencies.microsecond.cumulative.distribution"
H2D = "megascale.host_to_device_transfer_latencies.microsecond.cumulative.distribution"
QUEUE = "hlo.queue.size.gauge"


@pytest.fixture(autouse=True)
def no_library_and_much_patience(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tpu_runtime, "ANSWER_S", 20.0)  # a machine may be busy
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_LIBTPU_PATH", "TPU_LIBRARY_PATH", "LIBTPU_PATH"):
        monkeypatch.delenv(name, raising=False)


def labelled(label: str) -> dict[str, Any]:
    return {"attribute": {"key": "buffer_size", "value": {"string_attr": label}}}


def counted(counts: list[int], bounds: list[Any], **more: Any) -> dict[str, Any]:
    options = {"explicit_buckets": {"bounds": bounds}}
    facts = {"count": sum(counts), "mean": 50.0, "bucket_counts": counts, "bucket_options": options}
    return {"distribution": facts | more}


@needs_samples
@pytest.mark.parametrize(
    "case", sorted(path.parent.name for path in SAMPLES.glob("libtpu*/case.json"))
)
def test_a_recorded_runtime_gives_exactly_the_expected_keys(machine: Machine, case: str) -> None:
    facts = json.loads((SAMPLES / case / "case.json").read_text())
    for sample in facts["samples"]:
        given = json.loads((SAMPLES / case / sample["input"]).read_text())
        with served(machine, given["metrics"], given["pci"]) as tpus:
            assert tpus.sample() == pytest.approx(sample["expect"], rel=1e-9)
            assert isinstance(tpus.collector, DescribesMachine)
            assert tpus.collector.describe() == facts["metadata"]


def test_former_names_of_memory_are_given_too(machine: Machine) -> None:
    metrics: dict[str, Any] = {
        TOTAL: [{**of(1), "gauge": {"as_int": 200}}],
        USAGE: [{**of(1), "gauge": {"as_int": 50}}, {**of(2), "gauge": {"as_int": 9}}],
    }
    with served(machine, metrics) as tpus:
        assert Series().values(tpus.collect().shared) == {
            "tpu.1.hbmCapacityTotal": 200,
            "tpu.1.hbmCapacityUsage": 50,
            "tpu.1.hbmMemoryUsage": 25,
            "tpu.1.memoryUsage": 25,
            "tpu.1.memoryUsageBytes": 50,
            "tpu.2.hbmCapacityUsage": 9,
            "tpu.2.memoryUsageBytes": 9,
        }


def test_chips_with_two_devices_repeat_only_their_duty_cycle(machine: Machine) -> None:
    """As the W&B client 0.31 was seen to do it."""
    metrics: dict[str, Any] = {
        DUTY: [{**of(0), "gauge": {"as_double": 5}}, {**of(1), "gauge": {"as_int": 7}}],
        TOTAL: [{**of(1), "gauge": {"as_int": 100}}],
    }
    with served(machine, metrics, V3) as tpus:
        assert tpus.sample() == {
            "tpu.0.dutyCycle": 5,
            "tpu.1.dutyCycle": 5,
            "tpu.2.dutyCycle": 7,
            "tpu.3.dutyCycle": 7,
            "tpu.2.hbmCapacityTotal": 100,
        }


def test_odd_measures_of_devices(machine: Machine) -> None:
    """Values and keys are those that the W&B client 0.31 gave for the same answers."""
    metrics: dict[str, Any] = {
        TOTAL: [
            {**of(0), "gauge": {"as_int": 100}},
            {**of(-1), "gauge": {"as_int": 9}},
            {**of(4), "gauge": {"as_string": "5"}},
            {**of(5), "gauge": {"as_bool": True}},
            {**of(8), "gauge": {"as_int": 0}},
            {**of(9), "gauge": {"as_double": "NaN"}},
            {**of(10), "gauge": {}},
            {**labelled("3"), "gauge": {"as_int": 33}},  # no number of a device: the first
            {**of(12), "gauge": {"as_int": 9223372036854775807}},
            {**of(6), **counted([1], [1.0])},
        ],
        USAGE: [{**of(i), "gauge": {"as_int": 5}} for i in (8, 9, 12)],
        DUTY: [{**of(0), "gauge": {"as_double": "Infinity"}}],
    }
    with served(machine, metrics) as tpus:
        assert tpus.sample() == pytest.approx(
            {
                "tpu.-1.hbmCapacityTotal": 9,
                "tpu.0.hbmCapacityTotal": 33,
                "tpu.8.hbmCapacityTotal": 0,
                "tpu.8.hbmCapacityUsage": 5,
                "tpu.9.hbmCapacityUsage": 5,
                "tpu.12.hbmCapacityTotal": 9223372036854775807,
                "tpu.12.hbmCapacityUsage": 5,
                "tpu.12.hbmMemoryUsage": 5.421010862427522e-17,
            },
            rel=1e-9,
        )


def test_odd_distributions(machine: Machine) -> None:
    """Values and keys are those that the W&B client 0.31 gave for the same answers."""
    inf = "Infinity"
    metrics: dict[str, Any] = {
        TRANSFER: [
            {**labelled(""), **counted([1, 1], [])},
            {**labelled("100% A"), **counted([], [1.0], count=3)},
            {**labelled("none"), **counted([0, 0], [1.0], count=3)},
            {**labelled("over"), **counted([0, 0, 0, 0, 5], [1.0, 2.0])},
            {**labelled("nan"), **counted([2, 2], [1.0, 5.0], mean="NaN")},
            {**labelled("negative"), **counted([5, -3, 4], [1.0, 5.0])},
            {**labelled("gauge"), "gauge": {"as_int": 5}},
            {**labelled("less than none"), **counted([1, 1], [1.0], count=-1)},
            {**labelled("infinite"), **counted([5, 5], [4.0, inf])},
            {**labelled("twice"), **counted([4, 4], [4.0])},
            {**labelled("twice"), **counted([8], [8.0], mean=3.0)},
        ]
    }

    def key(label: str, mean: float | None, *shares: float) -> dict[str, float]:
        named = zip(("p50", "p90", "p95", "p999"), shares, strict=bool(shares))
        numbers = {} if mean is None else {"mean": mean}
        numbers |= dict(named)
        return {f"tpu.bufferTransferLatency.{label}.{n}Us": v for n, v in numbers.items()}

    expected = (
        key("item_0", 50, 0, 0, 0, 0)
        | key("100pct_a", 50)
        | key("none", 50)
        | key("over", 50, 2, 2, 2, 2)
        | key("nan", None, 1, 4.2, 4.6, 4.992)
        | key("negative", 50, 0.6, 5, 5, 5)
        | key("twice", 3, 4, 7.2, 7.6, 7.992)
        | {"tpu.bufferTransferLatency.infinite.meanUs": 50}
        | {"tpu.bufferTransferLatency.infinite.p50Us": 4}
    )
    with served(machine, metrics) as tpus:
        assert tpus.sample() == pytest.approx(expected, rel=1e-9)


def test_buckets_without_number_cost_nothing(machine: Machine) -> None:
    """A source may announce two thousand million buckets, or fewer than none."""
    options = [
        {
            "exponential_buckets": {
                "num_finite_buckets": 2**31 - 1,
                "growth_factor": 1e300,
                "scale": 1,
            }
        },
        {"linear_buckets": {"num_finite_buckets": 2**31 - 1, "width": 3, "offset": 1}},
        {"linear_buckets": {"num_finite_buckets": -2, "width": 3, "offset": 1}},
    ]
    metrics: dict[str, Any] = {
        TRANSFER: [
            {**labelled(str(i)), **counted([1, 1], [], bucket_options=each)}
            for i, each in enumerate(options)
        ]
    }
    with served(machine, metrics) as tpus:
        values = tpus.sample()
    assert values["tpu.bufferTransferLatency.1.p50Us"] == 4
    assert values["tpu.bufferTransferLatency.1.p90Us"] == pytest.approx(6.4)
    assert values["tpu.bufferTransferLatency.2.p50Us"] == 0


def test_summaries_and_labels(machine: Machine) -> None:
    metrics: dict[str, Any] = {
        H2D: [
            {**labelled("s0"), "summary": {"quantile": [{"quantile": 0.5, "value": 2}]}},
            {**labelled("snan"), "summary": {"sample_count": 2, "sample_sum": "NaN"}},
            {**of(3), "summary": {"sample_count": 2, "sample_sum": 4}},
            {**labelled("ÄÖ++%x_-y__"), "summary": {"sample_count": 2, "sample_sum": 6}},
            {**labelled("   "), "summary": {"sample_count": 2, "sample_sum": 8}},
        ],
        QUEUE: [{**labelled(""), "gauge": {"as_int": 8}}, {**labelled("x"), "gauge": {}}],
    }
    with served(machine, metrics) as tpus:
        assert tpus.sample() == {
            "tpu.hostToDeviceTransferLatency.s0.p50Us": 2,
            "tpu.hostToDeviceTransferLatency.item_2.meanUs": 2,
            "tpu.hostToDeviceTransferLatency.plus_plus_pctx_y.meanUs": 3,
            "tpu.hostToDeviceTransferLatency.unknown.meanUs": 4,
            "tpu.hloQueueSize.item_0": 8,
        }


def test_a_runtime_that_says_too_much_is_cut_short(machine: Machine) -> None:
    many = [{**labelled(f"{i} {'x' * 1000}"), "gauge": {"as_int": i}} for i in range(3000)]
    more = [{**of(i), "gauge": {"as_int": i}} for i in range(3000)]
    with served(machine, {QUEUE: many, DUTY: more}) as tpus:
        found = tpus.collect()
    assert len(found.shared) == MAX_VALUES
    assert max(len(reading.key) for reading in found.shared) < 300
    assert any("more than the 4096 values" in problem for problem in found.problems)


def test_without_chips_nobody_is_asked(machine: Machine) -> None:
    asked: list[str] = []

    def answer(name: str, context: grpc.ServicerContext) -> GetRuntimeMetricResponse:
        asked.append(name)
        return answers({})(name, context)

    with (
        runtime(answer) as address,
        node(machine, address, V5P | {"vendor": "0x10de"}) as tpus,
        pytest.raises(NoDataError, match="no chip of Google's"),
    ):
        tpus.collect()
    assert asked == []


def test_a_runtime_that_comes_later_is_found(machine: Machine) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    with node(machine, address) as tpus:
        with pytest.raises(NoDataError, match=f"no TPU runtime serves metrics at {address}"):
            tpus.collect()
        with runtime(answers(ONE_DUTY), address):
            deadline_s = time.monotonic() + 120
            while not (values := tpus.sample_or_nothing()) and time.monotonic() < deadline_s:
                time.sleep(0.1)
            assert values == {"tpu.0.dutyCycle": 1}


def test_slow_and_failing_metrics_cost_only_themselves(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = threading.Event()

    def answer(name: str, context: grpc.ServicerContext) -> GetRuntimeMetricResponse:
        if name == TOTAL:
            never.wait(60)
        if name == USAGE:
            context.abort(grpc.StatusCode.INTERNAL, "broken")
        return answers(ONE_DUTY)(name, context)

    with runtime(answer) as address, node(machine, address) as tpus:
        for patience_s in (1.0, 5.0, 40.0):  # a machine may be slow: then the others are late, too
            monkeypatch.setattr(tpu_runtime, "ANSWER_S", patience_s)
            found = tpus.collect()
            problems = "\n".join(found.problems)
            if found.shared and f"{USAGE}: the runtime at {address} answers INTERNAL" in problems:
                break
        never.set()
    assert [reading.key for reading in found.shared] == ["tpu.0.dutyCycle"]
    assert f"{TOTAL}: the runtime at {address} answers DEADLINE_EXCEEDED" in problems
    assert f"{USAGE}: the runtime at {address} answers INTERNAL" in problems


def test_something_silent_on_the_port_costs_one_wait(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tpu_runtime, "ANSWER_S", 0.5)
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as silent,
        node(machine, f"127.0.0.1:{silent.getsockname()[1]}") as tpus,
    ):
        found = tpus.collect()
    assert found.shared == []
    assert found.problems


def test_percentiles_of_nothing_and_of_one_bucket() -> None:
    assert percentiles([], [1.0]) == {}
    assert percentiles([0, 0], [1.0]) == {}
    assert percentiles([-1], [1.0]) == {}
    assert percentiles([10], [4.0])["p90"] == pytest.approx(3.6)
    assert percentiles([2**62, 2**62], [1.0, 2.0])["p50"] == 1


@pytest.mark.parametrize(
    ("device", "subsystem", "name", "devices"),
    [
        ("0x0027", "0x004e", "v2", 2),
        ("0x0027", "0x004f", "v3", 2),
        ("0x005e", "0x0000", "v4", 1),
        ("0x0063", "0x0000", "v5e", 1),
        ("0x006F", "0x0000", "v6e", 1),
        ("0x0076", "0x0000", "7x", 2),
    ],
)
def test_generations(tmp_path: Path, device: str, subsystem: str, name: str, devices: int) -> None:
    put_chips(tmp_path, V5P | {"device": device, "subsystem_device": subsystem, "count": 3})
    put_chips(tmp_path, V5P | {"count": 1})  # the most frequent one counts
    put_chips(tmp_path, V5P | {"device": "0xffff", "count": 5})
    chips = find_chips(tmp_path / "bus" / "pci" / "devices")
    assert chips is not None
    assert (chips.model.name, chips.model.devices_per_chip, chips.count) == (name, devices, 3)


def test_chips_are_looked_for_again(machine: Machine) -> None:
    now_s = 0.0
    with closing(Readers.of(machine.config)) as readers:
        tpu = TpuReader(machine.sys, readers.tpu.runtime, readers.tpu.library, lambda: now_s)
        with pytest.raises(NoDataError):
            tpu.chips()
        put_chips(machine.sys, V5P)
        with pytest.raises(NoDataError):
            tpu.chips()
        now_s = LOOK_AGAIN_S
        assert tpu.chips().count == 4
