"""NVIDIA GPUs of a whole cluster as DCGM sees them: by Prometheus queries, or from its exporter.

Values are as DCGM has them: memory in MiB, energy in mJ, and the activity of units (`smActive`,
`smOccupancy`, `pipe…Active`) as a ratio of 0 to 1. The W&B client hands them on so, where the
same names without a label, from NVML, are percentages. Both ways to DCGM give the same unit.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from trackd_agent.monitor.contract import (
    NobodyAsksError,
    NoDataError,
    Readings,
    Registration,
)
from trackd_agent.monitor.exposition import Pace, SampleTable, parse_value, read
from trackd_agent.monitor.readers.http import HttpError, HttpRequest, shown
from trackd_agent.monitor.sharing import Shared

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.readers.http import HttpAnswer
    from trackd_agent.monitor.subject import Subject, Target

#: Fields of DCGM, `DCGM_FI_` left out → last part of the key; others are passed over.
_FIELDS = {
    "DEV_GPU_TEMP": "temp",
    "DEV_POWER_USAGE": "powerWatts",
    "DEV_GPU_UTIL": "gpu",
    "DEV_MEM_COPY_UTIL": "memory",
    "DEV_SM_CLOCK": "smClock",
    "DEV_FB_USED": "memoryUsed",
    "DEV_FB_TOTAL": "memoryTotal",
    "DEV_FB_FREE": "memoryFree",
    "PROF_PCIE_TX_BYTES": "pcieTxBytes",
    "PROF_PCIE_RX_BYTES": "pcieRxBytes",
    "PROF_NVLINK_TX_BYTES": "nvlinkTxBytes",
    "PROF_NVLINK_RX_BYTES": "nvlinkRxBytes",
    "DEV_MEMORY_TEMP": "memoryTemp",
    "DEV_GPU_MAX_OP_TEMP": "maxOpTemp",
    "DEV_MEM_MAX_OP_TEMP": "memoryMaxOpTemp",
    "DEV_TOTAL_ENERGY_CONSUMPTION": "totalEnergyConsumption",
    "PROF_SM_ACTIVE": "smActive",
    "PROF_SM_OCCUPANCY": "smOccupancy",
    "PROF_PIPE_TENSOR_ACTIVE": "pipeTensorActive",
    "PROF_PIPE_FP64_ACTIVE": "pipeFp64Active",
    "PROF_PIPE_FP32_ACTIVE": "pipeFp32Active",
    "PROF_PIPE_FP16_ACTIVE": "pipeFp16Active",
}
NAMES = {f"DCGM_FI_{name}": last for name, last in _FIELDS.items()}
#: Largest answer to a query: its JSON is taken apart in one go, in which nothing else runs.
MAX_ANSWER_BYTES = 4 * 1024**2
#: Keys of one source; more are left out.
MAX_KEYS = 20_000
#: Longest key of a series, and longest name of a model; those of longer labels are passed over.
MAX_KEY = 512
#: GPUs of one source that a run's environment names.
MAX_GPUS = 1024
_MAX_ERROR_CHARS = 200
_NOBODY_ASKS = "no run names a DCGM exporter (x_stats_dcgm_exporter)"
_JSON = "application/json"


class SourceError(Exception):
    """None of the sources gave anything; the text says why."""


class DcgmSource(NamedTuple):
    """What one subject named: an address, and what to send along."""

    url: str
    headers: tuple[tuple[str, str], ...]

    def requests(self) -> list[HttpRequest]:
        """Return the requests of one tick: one for each query, or one to the exporter."""
        try:
            parts = urlsplit(self.url)
        except ValueError:  # no address; the reader says so, and others have theirs all the same
            return [HttpRequest(self.url, self.headers)]
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        queries = [value for name, value in pairs if name == "query"]
        others = [pair for pair in pairs if pair[0] != "query"]
        if not queries:
            return [HttpRequest(self.url, self.headers)]
        return [
            HttpRequest(
                parts._replace(query=urlencode([("query", query), *others])).geturl(),
                self.headers,
                accept=_JSON,
                max_bytes=MAX_ANSWER_BYTES,
            )
            for query in queries
        ]


@dataclass(slots=True)
class DcgmKeys:
    """Keys of one source's series, and the GPUs that they are about."""

    gpus: dict[str, str] = field(default_factory=dict[str, str])  # UUID → name of the model
    _owners: dict[str, str] = field(default_factory=dict[str, str])  # key → device

    @property
    def is_full(self) -> bool:
        """Whether there is no room for a further series."""
        return len(self._owners) >= MAX_KEYS

    def key(self, name: str, labels: Mapping[str, str]) -> str | None:
        """Return the key of a series, None where it is not about a GPU or not known to us.

        The exporter writes `UUID` and `Hostname`, others `uuid` and `hostname`. A MIG slice is a
        device of its own, `{gpu}:{instance}`. Where another device has the key already (above
        several nodes, without a label that tells them apart), the device is a further label.
        """
        index = labels.get("gpu") or labels.get("device", "").removeprefix("nvidia")
        if name not in NAMES or not index:
            return None
        uuid = labels.get("uuid") or labels.get("UUID") or ""
        model = labels.get("modelName", "")
        if uuid and model and len(self.gpus) < MAX_GPUS and len(uuid + model) <= MAX_KEY:
            self.gpus.setdefault(uuid, model)
        if part := labels.get("GPU_I_ID"):
            index = f"{index}:{part}"
        node = labels.get("node") or labels.get("hostname") or labels.get("Hostname")
        key = f"gpu.{index}.{NAMES[name]}" + (f"/l:{node}" if node else "")
        device = uuid or labels.get("instance") or ""
        return self._own(key, device) or self._own(f"{key}/l:{device}", device)

    def _own(self, key: str, device: str) -> str | None:
        """Return a key if it is free or this device has it already."""
        if key not in self._owners:
            if self.is_full or len(key) + len(device) > MAX_KEY:
                return None
            self._owners[key] = device
        return key if self._owners[key] == device or not device else None


def parse_vector(body: bytes) -> Iterator[tuple[str, dict[str, str], float]]:
    """Yield name, labels and value of each row of an answer to an instant query.

    A row that is not as it should be costs itself alone. Format: the HTTP API of Prometheus.

    Raises:
        HttpError: It is no answer, tells an error, or is no instant vector.
    """
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise HttpError(f"the answer is not that of a Prometheus query: {error}") from None
    if answer.status != "success":
        raise HttpError(f"the query failed: {answer.error[:_MAX_ERROR_CHARS] or answer.status}")
    if answer.data.resultType != "vector":
        raise HttpError(f"the query gives a {answer.data.resultType!r}, not a vector")
    for raw in answer.data.result:
        try:
            row = msgspec.json.decode(raw, type=_Row)
        except (msgspec.MsgspecError, RecursionError):
            continue
        value = parse_value(row.value[1].encode())
        if value is not None:
            yield row.metric.get("__name__", ""), row.metric, value


class _Vector(msgspec.Struct):
    resultType: str = ""
    result: list[msgspec.Raw] = []


class _Answer(msgspec.Struct):
    status: str
    data: _Vector = msgspec.field(default_factory=_Vector)
    error: str = ""


class _Row(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str]


class _Source:
    """What is known of one source."""

    def __init__(self) -> None:
        self.keys = DcgmKeys()
        self.table = SampleTable(lambda name, labels: self.keys.key(name, labels()))

    def values(self, request: HttpRequest, answer: HttpAnswer | HttpError) -> dict[str, float]:
        """Return the values of an answer by key.

        Raises:
            HttpError: There is no answer, or it is none to a query.
        """
        if isinstance(answer, HttpError):
            raise answer
        if request.accept != _JSON:
            return read(self.table, answer.body, answer.content_type)
        pace = Pace()
        values: dict[str, float] = {}
        for name, labels, value in parse_vector(answer.body):
            pace.step()
            if (key := self.keys.key(name, labels)) is not None:
                values[key] = value
        return values


class DcgmCollector:
    """Reports `gpu.{index}.{name}/l:{node}` of the GPUs that `x_stats_dcgm_exporter` tells of."""

    def __init__(self, readers: Readers) -> None:
        self._http = readers.http
        self._sources: Shared[DcgmSource, _Source] = Shared(lambda _: _Source())

    def collect(self, targets: Sequence[Target]) -> Readings:
        """Ask every source once, whatever number of targets names it."""
        wanting: dict[DcgmSource, list[Target]] = {}
        for target in targets:
            if source := _source(target.subject):
                wanting.setdefault(source, []).append(target)
        if not wanting:
            raise NobodyAsksError(_NOBODY_ASKS)
        requests = {source: source.requests() for source in wanting}
        answers = self._http.get_all(each for some in requests.values() for each in some)
        found = Readings()
        for source, watchers in wanting.items():
            own = {request: answers[request] for request in requests[source]}
            known = self._sources.get(source, (target.key for target in watchers))
            self._report(known, own, watchers, found)
        if not found.by_subject and found.problems:
            raise SourceError("; ".join(found.problems))
        return found

    def describe_for(self, subject: Subject) -> dict[str, Any]:
        """Return the GPUs that the subject's source tells of, each once.

        Raises:
            NoDataError: It names no source, or that names no GPU.
        """
        if (source := _source(subject)) is None:
            raise NoDataError(_NOBODY_ASKS)
        known = self._sources.peek(source)
        gpus = dict(known.keys.gpus if known else self._look(source))
        if not gpus:
            raise NoDataError("no GPU is known from DCGM")
        return {
            "gpu": next(iter(gpus.values())),
            "gpu_count": len(gpus),
            "gpu_nvidia": [{"name": model, "uuid": uuid} for uuid, model in gpus.items()],
        }

    def _look(self, source: DcgmSource) -> dict[str, str]:
        """Return the GPUs of a source that is not sampled (yet)."""
        seen = _Source()
        for request, answer in self._http.get_all(source.requests()).items():
            with contextlib.suppress(HttpError):  # `collect` tells what is wrong
                seen.values(request, answer)
        return seen.keys.gpus

    def forget(self, subject: Subject) -> None:
        """Drop what only this subject wanted."""
        self._sources.forget(subject.key)

    @staticmethod
    def _report(
        source: _Source,
        answers: Mapping[HttpRequest, HttpAnswer | HttpError],
        watchers: Sequence[Target],
        found: Readings,
    ) -> None:
        known_gpus = len(source.keys.gpus)
        for request, answer in answers.items():
            try:
                values = source.values(request, answer)
            except HttpError as error:
                found.problem(f"DCGM at {shown(request.url)}: {error}")
                continue
            for key, value in values.items():
                for target in watchers:
                    found.now(key, value, target)
        if source.keys.is_full:
            found.problem(f"DCGM tells of {MAX_KEYS} series or more: narrow the query")
        if len(source.keys.gpus) != known_gpus:
            found.describe_again()


def _source(subject: Subject) -> DcgmSource | None:
    if not subject.dcgm_exporter:
        return None
    return DcgmSource(subject.dcgm_exporter, tuple(sorted(subject.open_metrics.headers.items())))


COLLECTOR = Registration("dcgm", DcgmCollector)
