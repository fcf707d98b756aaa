"""The runtime service of TPUs: gRPC on the loopback, served by the training process itself.

All metrics are asked at once under one deadline, so that a slow service costs one wait. The
format is `trackd_proto.tpu`; names of metrics are those of libtpu. Nothing here is fatal: there
is a service only while a program uses the TPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import grpc

from trackd_agent.monitor.contract import NoDataError
from trackd_agent.monitor.readers.tpu_points import VALUE, Point, percentiles
from trackd_proto.tpu import GET_RUNTIME_METRIC
from trackd_proto.tpu.runtime_pb2 import (
    Distribution,
    GetRuntimeMetricRequest,
    GetRuntimeMetricResponse,
    Measure,
    Summary,
)

if TYPE_CHECKING:
    from collections.abc import Collection

#: How long all metrics together may take.
ANSWER_S = 1.0
#: Longest answer about one metric; a longer one fails.
MAX_ANSWER_BYTES = 4 * 1024**2
#: Points of one metric that are looked at: devices, cores, or kinds of transfers.
MAX_POINTS = 4096
#: How soon after a refused connection the next one is tried.
_RECONNECT_MS = 1000
_OPTIONS = [
    ("grpc.enable_http_proxy", 0),  # the loopback is not behind a proxy
    ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
    ("grpc.initial_reconnect_backoff_ms", _RECONNECT_MS),
    ("grpc.max_reconnect_backoff_ms", 5 * _RECONNECT_MS),
]
#: How a runtime says that it does not know a metric: libtpu has more of them from year to year.
_UNKNOWN = {
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INVALID_ARGUMENT,
}
_QUANTILES = {0.5: "p50", 0.9: "p90", 0.95: "p95", 0.99: "p99", 0.999: "p999"}
_QUANTILE_TOLERANCE = 1e-9


class RuntimeAnswer(NamedTuple):
    """What the service knew."""

    points: dict[str, list[Point]]  # by name of the metric
    problems: list[str]  # metrics that it knows and could not give


class TpuRuntimeReader:
    """Asks the service at one address; the connection is kept, and made again when it breaks."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._channel: grpc.Channel | None = None

    def read(self, names: Collection[str]) -> RuntimeAnswer:
        """Return the points of these metrics; those that the service does not know are absent.

        Raises:
            NoDataError: Nobody serves at the address.
        """
        ask = self._open().unary_unary(
            GET_RUNTIME_METRIC,
            request_serializer=GetRuntimeMetricRequest.SerializeToString,
            response_deserializer=GetRuntimeMetricResponse.FromString,
        )
        calls = {
            name: ask.future(GetRuntimeMetricRequest(metric_name=name), timeout=ANSWER_S)
            for name in names
        }
        answer = RuntimeAnswer({}, [])
        for name, call in calls.items():
            code = call.code()  # waits
            if code is grpc.StatusCode.OK:
                measures = call.result().metric.metrics[:MAX_POINTS]
                answer.points[name] = [parse_measure(measure) for measure in measures]
            elif code is grpc.StatusCode.UNAVAILABLE:
                raise NoDataError(
                    f"no TPU runtime serves metrics at {self.address}: no program uses the TPU, "
                    "or it serves them elsewhere (monitor.tpu_runtime_address)"
                )
            elif code not in _UNKNOWN:
                problem = f"{name}: the runtime at {self.address} answers {code.name}"
                answer.problems.append(problem)
        return answer

    def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _open(self) -> grpc.Channel:
        if self._channel is None:
            self._channel = grpc.insecure_channel(self.address, options=_OPTIONS)
        return self._channel


def parse_measure(measure: Measure) -> Point:
    """Return a measure as a point; what it says in a way that we do not know is left out."""
    attribute = measure.attribute.value
    kind = attribute.WhichOneof("attr")
    return Point(
        device=attribute.int_attr if kind == "int_attr" else None,
        label=attribute.string_attr if kind == "string_attr" else None,
        numbers=_numbers(measure),
    )


def _numbers(measure: Measure) -> dict[str, float]:
    kind = measure.WhichOneof("measure")
    if kind == "distribution":
        return _of_distribution(measure.distribution)
    if kind == "summary":
        return _of_summary(measure.summary)
    gauge = measure.gauge
    if gauge.WhichOneof("value") == "as_double":
        return {VALUE: gauge.as_double}
    return {VALUE: float(gauge.as_int)} if gauge.HasField("as_int") else {}


def _of_distribution(distribution: Distribution) -> dict[str, float]:
    if distribution.count <= 0:
        return {}
    counts = distribution.bucket_counts
    bounds = _bounds(distribution.bucket_options, len(counts))
    return {"mean": distribution.mean} | percentiles(counts, bounds)


def _bounds(options: Distribution.BucketOptions, longest: int) -> list[float]:
    """Return the bounds of the buckets that have counts; the source may announce any number."""
    kind = options.WhichOneof("options")
    if kind == "explicit_buckets":
        return list(options.explicit_buckets.bounds[:longest])
    if kind == "linear_buckets":
        linear = options.linear_buckets
        many = min(linear.num_finite_buckets, longest)
        return [linear.offset + linear.width * (i + 1) for i in range(many)]
    exponential = options.exponential_buckets  # without any options: one of no buckets
    many = min(exponential.num_finite_buckets, longest)
    return [exponential.scale * _power(exponential.growth_factor, i + 1) for i in range(many)]


def _power(base: float, exponent: int) -> float:
    try:
        return base**exponent
    except OverflowError:
        return float("inf")


def _of_summary(summary: Summary) -> dict[str, float]:
    numbers: dict[str, float] = {}
    if summary.sample_count > 0:
        numbers["mean"] = summary.sample_sum / summary.sample_count
    for each in summary.quantile:
        for share, name in _QUANTILES.items():
            if abs(each.quantile - share) < _QUANTILE_TOLERANCE:
                numbers[name] = each.value
    return numbers
