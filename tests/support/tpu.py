"""Stand-ins for TPUs: chips on a PCI bus, a runtime service, a library with its C interface."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from concurrent import futures
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf import json_format

from trackd_agent.monitor.collectors.tpu import COLLECTOR
from trackd_agent.monitor.contract import NoDataError
from trackd_agent.monitor.readers import Readers
from trackd_agent.monitor.series import Series
from trackd_proto.tpu import GET_RUNTIME_METRIC
from trackd_proto.tpu.runtime_pb2 import (
    GetRuntimeMetricRequest,
    GetRuntimeMetricResponse,
    RuntimeMetric,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.support.machine import Machine

    from trackd_agent.monitor.contract import Readings

    Answer = Callable[[str, grpc.ServicerContext], GetRuntimeMetricResponse]

V5P = {"vendor": "0x1ae0", "device": "0x0062", "subsystem_device": "0x0000", "count": 4}
V3 = {"vendor": "0x1ae0", "device": "0x0027", "subsystem_device": "0x004f", "count": 2}
#: Keys of the first version, beside those of the reference.
FORMER = (".memoryUsage", ".memoryUsageBytes")
DUTY = "tpu.runtime.tensorcore.dutycycle.percent"
needs_compiler = pytest.mark.skipif(
    shutil.which("gcc") is None, reason="no C compiler for the stand-in library"
)


def put_chips(sys_root: Path, pci: dict[str, Any]) -> None:
    """Put `pci["count"]` devices on the bus."""
    for number in range(pci["count"]):
        bus = sys_root / "bus" / "pci" / "devices"
        folder = bus / f"0000:00:{len(list(bus.glob('*'))):02x}.{number % 8}"
        folder.mkdir(parents=True)
        for name in ("vendor", "device", "subsystem_device"):
            (folder / name).write_text(f"{pci[name]}\n")


def answers(metrics: dict[str, Any]) -> Answer:
    """Return the service that knows these metrics, in the JSON of the samples."""

    def answer(name: str, context: grpc.ServicerContext) -> GetRuntimeMetricResponse:
        if name not in metrics:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such metric")
        metric = RuntimeMetric(name=name)
        json_format.ParseDict({"metrics": metrics[name]}, metric, ignore_unknown_fields=True)
        return GetRuntimeMetricResponse(metric=metric)

    return answer


@contextlib.contextmanager
def runtime(answer: Answer, address: str = "127.0.0.1:0") -> Generator[str]:
    """Serve as the runtime does; gives the address."""

    def get(
        request: GetRuntimeMetricRequest, context: grpc.ServicerContext
    ) -> GetRuntimeMetricResponse:
        return answer(request.metric_name, context)

    service, method = GET_RUNTIME_METRIC.strip("/").split("/")
    handler = grpc.unary_unary_rpc_method_handler(
        get,
        request_deserializer=GetRuntimeMetricRequest.FromString,
        response_serializer=GetRuntimeMetricResponse.SerializeToString,
    )
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {method: handler}),)
    )
    port = server.add_insecure_port(address)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


def build_library(folder: Path, metrics: dict[str, tuple[str, list[str]]]) -> Path:
    """Build a libtpu.so that says this (description and values by name); returns its path.

    A description that begins with `ERROR` makes the library refuse the metric.
    """
    lines = ["\t".join([name, text, *values]) for name, (text, values) in metrics.items()]
    (folder / "metrics.tsv").write_text("".join(f"{line}\n" for line in lines))
    source = Path(__file__).with_name("libtpu.c")
    path = folder / "libtpu.so"
    file = f'-DMETRICS="{folder / "metrics.tsv"}"'
    subprocess.run(["gcc", "-shared", "-fPIC", file, "-o", path, source], check=True)
    return path


class Node:
    """A machine with TPUs, and the collector on it."""

    def __init__(self, machine: Machine, address: str) -> None:
        config = machine.config.model_copy(update={"tpu_runtime_address": address})
        self.readers = Readers.of(config)
        self.collector = COLLECTOR.make(self.readers)

    def collect(self) -> Readings:
        return self.collector.collect([])

    def sample(self) -> dict[str, float]:
        values = Series().values(self.collect().shared)
        return {key: value for key, value in values.items() if not key.endswith(FORMER)}

    def settled(self) -> dict[str, float]:
        """Sample until the library has answered."""
        deadline_s = time.monotonic() + 120
        while time.monotonic() < deadline_s:
            if "tpu.0.tensorcoreUtilization" in (values := self.sample_or_nothing()):
                return values
            time.sleep(0.05)
        raise AssertionError("the library did not answer")

    def sample_or_nothing(self) -> dict[str, float]:
        try:
            return self.sample()
        except NoDataError:
            return {}


@contextlib.contextmanager
def node(machine: Machine, address: str, pci: dict[str, Any] = V5P) -> Generator[Node]:
    put_chips(machine.sys, pci)
    made = Node(machine, address)
    with contextlib.closing(made.readers):
        yield made


@contextlib.contextmanager
def served(machine: Machine, metrics: dict[str, Any], pci: dict[str, Any] = V5P) -> Generator[Node]:
    with runtime(answers(metrics)) as address, node(machine, address, pci) as made:
        yield made


def of(device: int) -> dict[str, Any]:
    return {"attribute": {"key": "device-id", "value": {"int_attr": device}}}


#: What a runtime says that has one thing to say.
ONE_DUTY: dict[str, Any] = {DUTY: [{**of(0), "gauge": {"as_int": 1}}]}
