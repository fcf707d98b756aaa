"""TPUs through libtpu.so; a stand-in with its C interface."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.tpu import (
    DUTY,
    ONE_DUTY,
    V3,
    build_library,
    needs_compiler,
    node,
    of,
    served,
)

from trackd_agent.monitor.contract import NoDataError
from trackd_agent.monitor.readers.tpu_library import Form, LibraryMetric, parse_lines

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.machine import Machine


@pytest.fixture(autouse=True)
def no_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_LIBTPU_PATH", "TPU_LIBRARY_PATH", "LIBTPU_PATH"):
        monkeypatch.delenv(name, raising=False)


LIBRARY: dict[str, tuple[str, list[str]]] = {
    "tensorcore_util": ("percent", ["1.5", "bad", "3"]),
    "duty_cycle_pct": ("percent", ["10", "20"]),
    "hbm_capacity_total": ("bytes", ["100", "200"]),
    "hbm_capacity_usage": ("bytes", ["50"]),
    "buffer_transfer_latency": (
        "mean, p50, p90, p95, p999",
        ["[8MB+, 100.00, 200.00, 300.00, 400.00, 500.00]", "x,1,2,3,4", "y,1,2,3", "label"],
    ),
    "inbound_buffer_transfer_latency": ("with p99", ["'A', 1,2,3,4,5"]),
    "tcp_min_rtt": ("", ["1", "2", "3", "4", "5"]),
    "tcp_delivery_rate": ("", ["[1, 2, 3, 4]"]),
    "hlo_execution_timing": ("", ["tensorcore_0,1,nan,3,inf,5"]),
    "hlo_queue_size": ("", ["tensorcore_0: 0", "tensorcore_1: 10", "7", "bad: x"]),
    "host_compute_latency": ("ERROR no such thing today", []),
}
#: Measured: the W&B client 0.31 with the same library.
FROM_LIBRARY = {
    "tpu.0.tensorcoreUtilization": 1.5,
    "tpu.2.tensorcoreUtilization": 3,
    "tpu.0.hbmCapacityTotal": 100,
    "tpu.1.hbmCapacityTotal": 200,
    "tpu.0.hbmCapacityUsage": 50,
    "tpu.0.hbmMemoryUsage": 50,
    "tpu.bufferTransferLatency.8mb_plus.meanUs": 100,
    "tpu.bufferTransferLatency.8mb_plus.p50Us": 200,
    "tpu.bufferTransferLatency.8mb_plus.p90Us": 300,
    "tpu.bufferTransferLatency.8mb_plus.p95Us": 400,
    "tpu.bufferTransferLatency.8mb_plus.p999Us": 500,
    "tpu.bufferTransferLatency.x.p50Us": 1,
    "tpu.bufferTransferLatency.x.p90Us": 2,
    "tpu.bufferTransferLatency.x.p95Us": 3,
    "tpu.bufferTransferLatency.x.p999Us": 4,
    "tpu.bufferTransferLatency.y.stat0Us": 1,
    "tpu.bufferTransferLatency.y.stat1Us": 2,
    "tpu.bufferTransferLatency.y.stat2Us": 3,
    "tpu.inboundBufferTransferLatency.a.meanUs": 1,
    "tpu.inboundBufferTransferLatency.a.p50Us": 2,
    "tpu.inboundBufferTransferLatency.a.p90Us": 3,
    "tpu.inboundBufferTransferLatency.a.p99Us": 4,
    "tpu.inboundBufferTransferLatency.a.p999Us": 5,
    "tpu.grpcTcpMinRtt.meanUs": 1,
    "tpu.grpcTcpMinRtt.p50Us": 2,
    "tpu.grpcTcpMinRtt.p90Us": 3,
    "tpu.grpcTcpMinRtt.p95Us": 4,
    "tpu.grpcTcpMinRtt.p999Us": 5,
    "tpu.grpcTcpDeliveryRate.p50Mbps": 1,
    "tpu.grpcTcpDeliveryRate.p90Mbps": 2,
    "tpu.grpcTcpDeliveryRate.p95Mbps": 3,
    "tpu.grpcTcpDeliveryRate.p999Mbps": 4,
    "tpu.hloExecTiming.tensorcore_0.meanUs": 1,
    "tpu.hloExecTiming.tensorcore_0.p90Us": 3,
    "tpu.hloExecTiming.tensorcore_0.p999Us": 5,
    "tpu.hloQueueSize.tensorcore_0": 0,
    "tpu.hloQueueSize.tensorcore_1": 10,
    "tpu.hloQueueSize.item_2": 7,
}


@needs_compiler
def test_the_library_comes_first_and_the_runtime_fills_in(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TPU_LIBRARY_PATH", str(build_library(tmp_path, LIBRARY)))
    metrics: dict[str, Any] = {
        DUTY: [{**of(0), "gauge": {"as_int": 99}}],  # the library's counts
        "tpu.runtime.hbm.utilization.percent": [{**of(1), "gauge": {"as_int": 61}}],
    }
    with served(machine, metrics, V3) as tpus:
        expected = {f"tpu.{i}.dutyCycle": 10 * (1 + i // 2) for i in range(4)} | FROM_LIBRARY
        assert tpus.settled() == expected | {"tpu.2.runtimeHbmUtilization": 61}


@needs_compiler
def test_a_library_that_hangs_holds_up_nobody(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the real one does outside of Google's cloud: it asks a server that is not there."""
    monkeypatch.setenv("TPU_LIBRARY_PATH", str(build_library(tmp_path, LIBRARY)))
    monkeypatch.setenv("LIBTPU_STUB", "hang")
    with served(machine, ONE_DUTY) as tpus:
        for _ in range(2):
            assert tpus.sample() == {"tpu.0.dutyCycle": 1}


@needs_compiler
@pytest.mark.parametrize(
    ("mode", "text"),
    [("crash", "ended"), ("no_client", "the TPU is not ready")],
)
def test_a_library_that_fails_is_a_problem_and_the_runtime_goes_on(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, text: str
) -> None:
    monkeypatch.setenv("TPU_LIBRARY_PATH", str(build_library(tmp_path, LIBRARY)))
    monkeypatch.setenv("LIBTPU_STUB", mode)
    with served(machine, ONE_DUTY) as tpus:
        deadline_s = time.monotonic() + 120
        while not (found := tpus.collect()).problems and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert text in found.problems[0]
        assert "next try" not in "".join(tpus.collect().problems)
        assert tpus.sample() == {"tpu.0.dutyCycle": 1}


@needs_compiler
@pytest.mark.parametrize("place", ["folder", "old", "no library at all"])
def test_what_is_no_usable_library_is_no_data(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    path = build_library(tmp_path, LIBRARY)
    if place == "no library at all":
        path.write_text("not an ELF file")
    monkeypatch.setenv("TPU_LIBRARY_PATH", str(tmp_path))  # its folder will do
    monkeypatch.setenv("LIBTPU_STUB", "old" if place == "old" else "")
    with node(machine, "127.0.0.1:1") as tpus:
        if place == "folder":
            assert tpus.settled()["tpu.2.tensorcoreUtilization"] == 3
            return
        deadline_s = time.monotonic() + 120
        reason = ""
        while str(path) not in reason and time.monotonic() < deadline_s:
            with pytest.raises(NoDataError) as caught:
                tpus.collect()
            reason = str(caught.value)
        assert str(path) in reason


def test_lines_as_the_newest_library_describes_them() -> None:
    """Libtpu 0.0.51 says so in its descriptions; the W&B client has no keys for these."""
    links = LibraryMetric("", ["tray1.chip3.ici0.int: 0", "tray1.chip3.ici1.int: 10", "2"])
    assert [tuple(point) for point in parse_lines(Form.PER_LINK, links)] == [
        (None, "tray1.chip3.ici0.int", {"": 0}),
        (None, "tray1.chip3.ici1.int", {"": 10}),
        (2, "", {"": 2}),
    ]
    scores = LibraryMetric("", ["0-0", "5-10", "7"])
    assert [tuple(point) for point in parse_lines(Form.SCORE, scores)] == [
        (0, None, {"": 0}),
        (5, None, {"": 10}),
        (2, "", {"": 7}),
    ]
