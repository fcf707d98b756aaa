"""What keys of system metrics are called at /metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trackd_agent.monitor import NodeView
from trackd_agent.rpc.metrics.exposition import render
from trackd_agent.rpc.metrics.node_families import node_families, series_of
from trackd_agent.runs.options import RunSnapshot, WriterSnapshot


@pytest.mark.parametrize(
    ("key", "name", "labels", "scale"),
    [
        ("cpu", "cpu_percent", {}, 1),
        ("cpu.3.cpu_percent", "cpu_core_percent", {"cpu": "3"}, 1),
        ("cpu.powerWatts", "cpu_power_watts", {}, 1),
        ("system.load15", "load15", {}, 1),
        ("gpu.0.gpu", "gpu_utilization_percent", {"gpu": "0"}, 1),
        ("gpu.0:3.memoryAllocated", "gpu_memory_allocated_percent", {"gpu": "0:3"}, 1),
        ("gpu.12.powerWatts", "gpu_power_watts", {"gpu": "12"}, 1),
        ("gpu.1.memoryAllocatedBytes", "gpu_memory_allocated_bytes", {"gpu": "1"}, 1),
        ("gpu.process.3.memory", "gpu_process_memory_activity_percent", {"gpu": "3"}, 1),
        (
            "gpu.0.temp/l:node-1/l:r",
            "gpu_temperature_celsius",
            {"node": "node-1/l:r", "gpu": "0"},
            1,
        ),
        ("disk./data/v1.5.usageGB", "disk_usage_bytes", {"path": "/data/v1.5"}, 1024**3),
        ("disk./.usagePercent", "disk_usage_percent", {"path": "/"}, 1),
        ("disk.nvme0n1.in", "disk_read_bytes", {"device": "nvme0n1"}, 1024**2),
        ("proc.memory.rssMB", "proc_memory_rss_bytes", {}, 1024**2),
        ("memory_percent", "memory_percent", {}, 1),
        ("proc.memory.availableMB", "memory_available_bytes", {}, 1024**2),
        ("network.tcpRetransmits", "network_tcp_retransmits", {}, 1),
        (
            "trn.1.neuroncore_memory_usage.tensors",
            "trn_neuroncore_memory_usage_tensors",
            {"trn": "1"},
            1,
        ),
        ("ipu.0.average board temp (C)", "ipu_average_board_temp_c", {"ipu": "0"}, 1),
        ("tpu.grpcTcpMinRtt.8mb_plus.p50Us", "tpu_grpc_tcp_min_rtt_8mb_plus_p50_us", {}, 1),
    ],
)
def test_a_key_becomes_name_and_labels(
    key: str, name: str, labels: dict[str, str], scale: float
) -> None:
    assert series_of(key) == (name, labels, scale)


@pytest.mark.parametrize(
    "key", ["disk.in", "openmetrics.node.up.0", "gpu.0.unCorrectedMemoryErrors"]
)
def test_sums_second_names_and_what_comes_from_other_exporters_are_left_out(key: str) -> None:
    assert series_of(key) is None


def test_node_agent_and_ranks_are_told_apart() -> None:
    writer = WriterSnapshot("r0", "00ab", 7, "attached", 1, 1, 1, 0, {}, None)
    facts: dict[str, Any] = {"mode": "online", "state": "running", "url": "", "started_s": 1.0}
    run = RunSnapshot(
        "id", "p", "e", run_dir=Path("/"), upload_problem="", writers=(writer,), **facts
    )
    view = NodeView(
        node={
            "gpu.0.temp": 45,
            "gpu.1.temp": 46,
            "proc.memory.rssMB": 2,
            "proc.memory.availableMB": 1,
            "network.sent": 10,
            "é": 1,
        },
        event_counts={"gpu.1.xid": 2},
        ranks={"00ab": {"cpu": 50, "gpu.process.0.gpu": 9}, "gone": {"cpu": 1}},
    )
    lines = render(node_families(view, [run]), open_metrics=True).splitlines()
    rank = 'entity="e",project="p",run_id="id",label="r0"'
    assert [line for line in lines if not line.startswith("#")] == [
        "trackd_agent_proc_memory_rss_bytes 2097152",
        'trackd_node_gpu_temperature_celsius{gpu="0"} 45',
        'trackd_node_gpu_temperature_celsius{gpu="1"} 46',
        "trackd_node_memory_available_bytes 1048576",
        "trackd_node_network_sent_bytes_total 10",
        f"trackd_rank_cpu_percent{{{rank}}} 50",
        f'trackd_rank_gpu_process_utilization_percent{{{rank},gpu="0"}} 9',
        'trackd_node_events_total{event="xid",device="gpu.1"} 2',
    ]
