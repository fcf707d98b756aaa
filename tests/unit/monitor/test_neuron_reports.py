"""What a report of neuron-monitor says, and what of it belongs to a rank."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.neuron import keys, line, runtime

from trackd_agent.monitor.collectors.trainium import values_of
from trackd_agent.probes import neuron as probe

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("local_rank", "expected"),
    [
        ("1", keys(5, "1")),
        ("7", keys(5)),
        ("", {}),
        ("abc", keys(5)),
        ("01", keys(5)),
    ],
)
def test_local_rank_picks_a_core_of_the_first_runtime(
    local_rank: str, expected: dict[str, float]
) -> None:
    """As the W&B client 0.31 does where no runtime is that of the process."""
    report = probe.extract(line(runtime(5, "0", "1", "2"), runtime(6, "1")).encode())
    assert values_of(report["runtimes"], [4242], local_rank) == expected


def test_a_runtime_of_its_own_counts_more_than_the_first_one() -> None:
    report = probe.extract(line(runtime(5, "0", "1"), runtime(6, "1", "2")).encode())
    assert values_of(report["runtimes"], [6], "1") == keys(6, "1")
    without_counters = runtime(6)
    without_counters["report"]["memory_used"] = runtime(6, "1", "2")["report"]["memory_used"]
    partial = probe.extract(line(without_counters).encode())
    assert "trn.2.neuroncore_memory_usage.constants" not in values_of(partial["runtimes"], [6], "1")
    # Two cores a rank: those of rank 3 are 6 and 7, say, and all its own.
    assert values_of(report["runtimes"], [6], "3") == keys(6, "1", "2")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        '{"neuron_runtime_data": [',
        "[1, 2]",
        "7",
        "{}",
        "null",
        '{"neuron_runtime_data": [{"pid": NaN}]}',
        "[" * 100_000,
        '{"neuron_runtime_data": ' + "9" * 5000 + "}",
        line(*(runtime(i, *map(str, range(50))) for i in range(400))),
    ],
)
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        probe.extract(text.encode())


def test_odd_values_cost_only_themselves() -> None:
    """Keys and values are those that the W&B client 0.31 gave for the same report."""
    report = runtime(7, "0", "1")
    used = report["report"]["memory_used"]["neuron_runtime_used_bytes"]
    cores = report["report"]["neuroncore_counters"]["neuroncores_in_use"]
    cores |= {
        "2": {"neuroncore_utilization": None},
        "3": {"neuroncore_utilization": "5"},
        "4": 5,
        "5": {"flops": 3},
        "6": {"neuroncore_utilization": True},
        "-1": {"neuroncore_utilization": -7.5},
        "x": {"neuroncore_utilization": 123456789012345678901234567890},
    }
    used |= {"host": 2**70, "neuron_device": None}
    used["usage_breakdown"]["host"] = {
        "x" * 200: 1,
        "huge": 10**400,
        "tensors": "x",
        "constants": 1.5,
        "new": 5,
        "flag": True,
    }
    used["usage_breakdown"]["neuroncore_memory_usage"] |= {
        "20": {"constants": 3, "nested": {"a": 1}, "nothing": None},
        "21": 3,
    }
    extract = probe.extract(line(5, None, {"pid": "7"}, {"pid": True}, report).encode())
    assert values_of(json.loads(json.dumps(extract))["runtimes"], [7], "") == pytest.approx(
        {
            "trn.host_total_memory_usage": 2**70,
            "trn.host_memory_usage.constants": 1.5,
            "trn.host_memory_usage.new": 5,
            "trn.0.neuroncore_utilization": 10,
            "trn.1.neuroncore_utilization": 11,
            "trn.-1.neuroncore_utilization": -7.5,
            "trn.x.neuroncore_utilization": 123456789012345678901234567890,
            "trn.0.neuroncore_memory_usage.constants": 1,
            "trn.1.neuroncore_memory_usage.constants": 1,
            "trn.20.neuroncore_memory_usage.constants": 3,
        }
    )


@pytest.mark.parametrize("data", [{"neuron_runtime_data": None}, {"neuron_runtime_data": {}}])
def test_a_report_without_runtimes_has_no_keys(data: dict[str, Any]) -> None:
    assert probe.extract(json.dumps(data).encode()) == {"runtimes": [], "hardware": {}}
    assert values_of([], [1], "0") == {}


@pytest.mark.parametrize(
    ("config", "seconds"),
    [
        ('{"period": "1s"}', 15),
        ('{"period": "1m30s"}', 270),
        ('{"period": "500ms"}', 15),
        ('{"period": 7}', 15),
        ("broken", 15),
        ("[]", 15),
    ],
)
def test_how_long_a_report_is_believed(tmp_path: Path, config: str, seconds: float) -> None:
    path = tmp_path / "config.json"
    path.write_text(config)
    assert probe.patience_s(str(path)) == seconds
    assert probe.patience_s("/not/there") == probe.patience_s("") == 15
