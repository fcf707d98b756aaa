"""Google TPUs: utilization and memory of the devices, latencies of what runs on them.

Keys of devices: `tpu.{i}.tensorcoreUtilization` (%), `dutyCycle` (%), `hbmCapacityTotal` and
`hbmCapacityUsage` (bytes), `hbmMemoryUsage` (% = usage / total), `runtimeHbmUtilization` (%),
`tensorcoreIdleDuration` (s), `iciLinkHealth` (0 is healthy, 10 unusable), `throttleScore` (0 to
10: tenths); and under their former names `memoryUsageBytes` and `memoryUsage`, the usage and its
percentage. Of what is no device: `tpu.{metric}.{label}.{statistic}{unit}`, as the table says.

Each metric comes from the library where it has values of it, else from the runtime. Formulas and
names are those of the W&B client 0.31 (tried against it); beyond that client, links with a name
are `tpu.iciLinkHealth.{link}`, and scores with the number of a device are understood.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trackd_agent.monitor.contract import NoDataError, Readings, Registration
from trackd_agent.monitor.readers.probe import ProbeError
from trackd_agent.monitor.readers.tpu_library import Form, parse_lines
from trackd_agent.monitor.readers.tpu_points import VALUE, Point

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.readers.tpu import TpuModel
    from trackd_agent.monitor.readers.tpu_library import LibraryMetric
    from trackd_agent.monitor.subject import Target

#: Values that are reported in a tick: a few hundred are usual. And the longest part of a key.
MAX_VALUES = 4096
MAX_LABEL = 256
_MEGASCALE = "megascale.{}_latencies.microsecond.cumulative.distribution"


@dataclass(frozen=True, slots=True)
class _Metric:
    """A metric, and what its sources call it."""

    name: str  # in our keys
    form: Form
    runtime: str = ""  # empty: the runtime does not have it
    library: tuple[str, ...] = ()  # newest name first
    unit: str = ""  # ends the names of statistics
    of_chips: bool = False  # every device of a chip has the chip's value

    @property
    def is_of_devices(self) -> bool:
        return self.form in (Form.PER_DEVICE, Form.PER_LINK, Form.SCORE)


def _latency(name: str, library: str, runtime: str) -> _Metric:
    return _Metric(name, Form.STATISTICS, _MEGASCALE.format(runtime), (library,), "Us")


_METRICS = (
    _Metric(
        "tensorcoreUtilization",
        Form.PER_DEVICE,
        library=("tensorcore_util", "tensorcore_utilization"),
    ),
    _Metric(
        "dutyCycle",
        Form.PER_DEVICE,
        "tpu.runtime.tensorcore.dutycycle.percent",
        ("duty_cycle_pct",),
        of_chips=True,
    ),
    _Metric(
        "hbmCapacityTotal",
        Form.PER_DEVICE,
        "tpu.runtime.hbm.memory.total.bytes",
        ("hbm_capacity_total",),
    ),
    _Metric(
        "hbmCapacityUsage",
        Form.PER_DEVICE,
        "tpu.runtime.hbm.memory.usage.bytes",
        ("hbm_capacity_usage",),
    ),
    _Metric(
        "tensorcoreIdleDuration", Form.PER_DEVICE, "tpu.runtime.tensorcore.idle_duration.seconds"
    ),
    _Metric("runtimeHbmUtilization", Form.PER_DEVICE, "tpu.runtime.hbm.utilization.percent"),
    _Metric("iciLinkHealth", Form.PER_LINK, library=("ici_link_health",)),
    _Metric("throttleScore", Form.SCORE, library=("tpu_throttle_score",)),
    _latency("bufferTransferLatency", "buffer_transfer_latency", "dcn_transfer"),
    _latency(
        "inboundBufferTransferLatency", "inbound_buffer_transfer_latency", "dcn_inbound_transfer"
    ),
    _latency(
        "hostToDeviceTransferLatency",
        "host_to_device_transfer_latency",
        "host_to_device_transfer",
    ),
    _latency(
        "deviceToHostTransferLatency",
        "device_to_host_transfer_latency",
        "device_to_host_transfer",
    ),
    _latency("collectiveE2ELatency", "collective_e2e_latency", "collective_end_to_end"),
    _latency("hostComputeLatency", "host_compute_latency", "mxla_compute"),
    _Metric(
        "grpcTcpMinRtt",
        Form.FLAT_STATISTICS,
        "megascale.grpc_tcp_min_rtt.microsecond.cumulative.distribution",
        ("tcp_min_rtt", "grpc_tcp_min_rtt", "grpc_tcp_min_round_trip_times"),
        "Us",
    ),
    _Metric(
        "grpcTcpDeliveryRate",
        Form.FLAT_STATISTICS,
        "megascale.grpc_tcp_delivery_rate.Mbps.cumulative.distribution",
        ("tcp_delivery_rate", "grpc_tcp_delivery_rate", "grpc_tcp_delivery_rates"),
        "Mbps",
    ),
    _Metric(
        "hloExecTiming",
        Form.STATISTICS,
        "hlo.execution.timing.distribution.microseconds",
        ("hlo_execution_timing", "hlo_exec_timing"),
        "Us",
    ),
    _Metric("hloQueueSize", Form.NAMED, "hlo.queue.size.gauge", ("hlo_queue_size",)),
)


class TpuCollector:
    """Reports the keys of TPUs, the same to every rank of the node."""

    def __init__(self, readers: Readers) -> None:
        self._tpu = readers.tpu

    def collect(self, targets: Sequence[Target]) -> Readings:
        """Read both sources, if there are chips."""
        model = self._tpu.chips().model
        found, reasons = Readings(), list[str]()
        values: dict[str, float] = {}
        library = self._read_library(found, reasons)
        rest: list[_Metric] = []
        for metric in _METRICS:
            given = _values(metric, _library_points(metric, model, library))
            values |= given
            if metric.runtime and not given:
                rest.append(metric)
        runtime = self._read_runtime(rest, found, reasons)
        for metric in rest:
            points = runtime.get(metric.runtime, ())
            values |= _values(metric, _runtime_points(metric, model, points))
        if not values and not found.problems:
            raise NoDataError("; ".join(reasons) or "neither libtpu.so nor the runtime has values")
        if len(values) > MAX_VALUES:
            found.problem(f"there are more than the {MAX_VALUES} values that are reported")
            values = dict(itertools.islice(values.items(), MAX_VALUES))
        for key, value in (values | _memory_percentages(values)).items():
            found.now(key, value)
        return found

    def describe(self) -> dict[str, Any]:
        """Return `tpu`: the chips' name, memory (GiB), devices per chip, and how many there are."""
        chips = self._tpu.chips()
        return {
            "tpu": {
                "name": chips.model.name,
                "hbmGib": chips.model.hbm_gib,
                "devicesPerChip": chips.model.devices_per_chip,
                "count": chips.count,
            }
        }

    def _read_library(self, found: Readings, reasons: list[str]) -> Mapping[str, LibraryMetric]:
        try:
            return self._tpu.library.read([name for each in _METRICS for name in each.library])
        except NoDataError as reason:
            reasons.append(str(reason))
        except ProbeError as error:
            # The runtime may know the rest; and what changes from tick to tick is no new problem.
            found.problem(str(error).partition("; next try")[0])
        return {}

    def _read_runtime(
        self, metrics: Iterable[_Metric], found: Readings, reasons: list[str]
    ) -> Mapping[str, Sequence[Point]]:
        try:
            answer = self._tpu.runtime.read([metric.runtime for metric in metrics])
        except NoDataError as reason:
            reasons.append(str(reason))
            return {}
        for problem in answer.problems:
            found.problem(problem)
        return answer.points


def _library_points(
    metric: _Metric, model: TpuModel, library: Mapping[str, LibraryMetric]
) -> list[Point]:
    name = next((name for name in metric.library if name in library), None)
    if name is None:
        return []
    points = parse_lines(metric.form, library[name])
    return list(_devices_of_chips(points, model)) if metric.of_chips else points


def _runtime_points(metric: _Metric, model: TpuModel, points: Sequence[Point]) -> list[Point]:
    """Return points with our numbers of devices and with labels, where the runtime has neither."""
    if not metric.is_of_devices:
        return [Point(None, point.label or "", point.numbers) for point in points]
    chips = [Point(point.device or 0, None, point.numbers) for point in points]
    if metric.of_chips:
        return list(_devices_of_chips(chips, model))
    per_chip = model.numbered_per_chip
    return [Point((chip.device or 0) * per_chip, None, chip.numbers) for chip in chips]


def _devices_of_chips(chips: Iterable[Point], model: TpuModel) -> Iterator[Point]:
    for chip in chips:
        for place in range(model.numbered_per_chip):
            device = (chip.device or 0) * model.numbered_per_chip + place
            yield Point(device, None, chip.numbers)


def _values(metric: _Metric, points: Iterable[Point]) -> dict[str, float]:
    """Return the values of a metric by key; of two with one key the later counts."""
    values: dict[str, float] = {}
    for place, point in enumerate(points):
        if metric.unit:
            names = {f"{name}{metric.unit}": name for name in point.numbers if name != VALUE}
        else:
            names = {"": VALUE} if VALUE in point.numbers else {}
        for ending, name in names.items():
            key = _key(metric, point, place)
            values[f"{key}.{ending}" if ending else key] = point.numbers[name]
    return values


def _key(metric: _Metric, point: Point, place: int) -> str:
    if point.device is not None:
        return f"tpu.{point.device}.{metric.name}"
    if point.label is None:
        return f"tpu.{metric.name}"
    label = _label(point.label) if point.label else f"item_{place}"
    return f"tpu.{metric.name}.{label}"


def _label(text: str) -> str:
    """Return a label as a part of a key: lower case, with words of letters and digits."""
    text = text.lower().replace("+", "_plus_").replace("%", "pct")
    return re.sub("[^a-z0-9]+", "_", text[:MAX_LABEL]).strip("_") or "unknown"


def _memory_percentages(values: Mapping[str, float]) -> dict[str, float]:
    """Return `hbmMemoryUsage` of each device, and what the first version of the keys had."""
    derived: dict[str, float] = {}
    for key, used_bytes in values.items():
        device, dot, name = key.rpartition(".")
        if not dot or name != "hbmCapacityUsage":
            continue
        derived[f"{device}.memoryUsageBytes"] = used_bytes
        if (total_bytes := values.get(f"{device}.hbmCapacityTotal", 0)) > 0:
            percent = 100 * used_bytes / total_bytes
            derived |= {f"{device}.hbmMemoryUsage": percent, f"{device}.memoryUsage": percent}
    return derived


COLLECTOR = Registration("tpu", TpuCollector)
