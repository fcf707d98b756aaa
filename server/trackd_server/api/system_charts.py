"""Charts of system metrics on a run's page: grouped by kind of device, a line for each device.

Pure: rows of `wandb-events.jsonl` in, shapes in the coordinates of an SVG out. Everything is
bounded, because the rows are what some client sent: charts, lines of a chart, points of all.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard, TypeVar

from trackd_proto.wandb_http import EVENT_NAME, LABEL_SEPARATOR, SYSTEM_PREFIX
from trackd_server.api.series_names import series_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trackd_server.domain.happenings import Happening

T = TypeVar("T")

#: What one page shows at most.
MAX_CHARTS = 72
MAX_LINES = 12
MAX_POINTS = 60_000
MAX_SERIES = 2_000
MAX_MARKS = 200
#: Size of the drawing; the page stretches it.
WIDTH, HEIGHT = 600, 120
_MAX_NAME_CHARS = 80
#: Equal readings at so many moments make two lines one.
_COMMON_TIMES = 3
#: What each rank has for itself.
_OWN_KINDS = ("proc", "gpu.process")
_PERCENT_TOP = 100.0
#: Larger values are left out: differences of them are still numbers.
_LARGEST = 1e300
#: A slice of a GPU (MIG) is called `0:1`.
_DEVICE = re.compile(r"(gpu\.process|gpu|tpu|ipu|trn|cpu)\.(\d+(?::\d+)?)\.(.+)")
_LOAD = re.compile(r"system\.load(\d+)")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_GROUPS = {
    "gpu": "GPU",
    "gpu.process": "GPUs of the process",
    "tpu": "TPU",
    "ipu": "IPU",
    "trn": "Trainium",
    "cpu": "CPU",
    "proc": "Process",
    "memory": "Memory",
    "disk": "Disk",
    "network": "Network",
    "system": "Machine",
    "wandb": "Agent",
}
#: What a number in a line's name counts.
_WORDS = {"gpu": "GPU", "gpu.process": "GPU", "tpu": "TPU", "ipu": "IPU", "trn": "core",
          "cpu": "core"}  # fmt: skip
#: A figure that clients send under two names.
_SAME = {"unCorrectedMemoryErrors": "uncorrectedMemoryErrors"}
#: Charts whose key does not say what it measures, and their unit; they come first, in this order.
_TITLES = {
    ("gpu", "gpu"): ("utilization", "%"),
    ("gpu", "memory"): ("memory activity", "%"),
    ("gpu", "memoryAllocated"): ("memory allocated", "%"),
    ("gpu", "powerWatts"): ("power", "W"),
    ("gpu", "temp"): ("temperature", "°C"),
    ("gpu", "smClock"): ("SM clock", "MHz"),
    ("gpu", "memoryClock"): ("memory clock", "MHz"),
    ("gpu", "graphicsClock"): ("graphics clock", "MHz"),
    ("gpu", "fanSpeed"): ("fan", "%"),
    ("gpu", "encoderUtilization"): ("encoder utilization", "%"),
    ("gpu", "pcieTxBytes"): ("PCIe sent", "B/s"),
    ("gpu", "pcieRxBytes"): ("PCIe received", "B/s"),
    ("gpu", "nvlinkTxBytes"): ("NVLink sent", "B/s"),
    ("gpu", "nvlinkRxBytes"): ("NVLink received", "B/s"),
    ("cpu", "cpu_percent"): ("each core", "%"),
    ("proc", "cpu"): ("CPU", "%"),
    ("proc", "cpu.threads"): ("threads", ""),
    ("memory", "memory_percent"): ("memory used", "%"),
    ("memory", "swap.used"): ("swap used", "B"),
    ("disk", "in"): ("read", "MB"),
    ("disk", "out"): ("written", "MB"),
    ("network", "sent"): ("sent", "B"),
    ("network", "recv"): ("received", "B"),
    ("network", "tcpRetransmits"): ("TCP retransmits", ""),
    ("system", "load"): ("load", ""),
    ("system", "system.uptime"): ("uptime", "s"),
    ("wandb", "wandb.cpu"): ("CPU", "%"),
    ("wandb", "wandb.memory.rssMB"): ("memory rss", "MB"),
    ("tpu", "dutyCycle"): ("duty cycle", "%"),
    ("tpu", "hbmMemoryUsage"): ("memory used", "%"),
    ("trn", "neuroncore_utilization"): ("core utilization", "%"),
}
_UNITS = {"Percent": "%", "percent": "%", "MB": "MB", "GB": "GB", "Watts": "W", "Joules": "J",
          "Bytes": "B", "utilization": "%"}  # fmt: skip
_SI = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
#: Thousands below it are written out: 22,581 MB reads better than 22.6 k MB.
_GROUPED_BELOW = 1e5


class Place(NamedTuple):
    """Where a key is drawn: kind of device, chart, line within the chart."""

    kind: str
    chart: str
    line: str


@dataclass(frozen=True)
class Line:
    """One line of a chart."""

    name: str
    path: str  # of an SVG
    last: str


@dataclass(frozen=True)
class Mark:
    """Something that happened, at its place on the time axis."""

    x: float
    text: str


@dataclass(frozen=True)
class Chart:
    """One metric of all devices of a kind."""

    title: str
    top: str
    bottom: str
    lines: list[Line]
    left_out: int  # lines beyond `MAX_LINES`


@dataclass(frozen=True)
class Group:
    """The charts of one kind of device, with what happened to them."""

    title: str
    charts: list[Chart]
    marks: list[Mark]


@dataclass(frozen=True)
class Board:
    """All charts of a page, and what the time axis shows."""

    groups: list[Group]
    first_s: float = 0.0
    last_s: float = 0.0
    left_out: int = 0  # charts beyond `MAX_CHARTS`


@dataclass
class _Track:
    """The points of one key: by seconds since the run began, and the values by wall clock."""

    points: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    by_clock: dict[float, float] = field(default_factory=dict[float, float])

    def is_same(self, other: _Track) -> bool:
        """Whether both are one source: several ranks of a node see the same readings."""
        common = self.by_clock.keys() & other.by_clock.keys()
        return len(common) >= min(_COMMON_TIMES, len(self.by_clock), len(other.by_clock)) and all(
            self.by_clock[at] == other.by_clock[at] for at in common
        )


def board(
    rows: Iterable[Mapping[str, Any]],
    happened: Sequence[Happening],
    config: dict[str, Any] | None = None,
) -> Board:
    """Return the charts of rows, which need not be in order, and of what happened.

    The configuration of the run says what the numbers of scraped series stand for.
    """
    tracks = _tracks(rows)
    times = [time_s for track in tracks.values() for time_s, _ in track.points]
    if not times:
        return Board([])
    axis = min(times), max(times)
    by_chart = _by_chart(tracks, series_names(config or {}))
    chosen = sorted(by_chart, key=_order)[:MAX_CHARTS]
    thin = max(1, math.ceil(len(times) / MAX_POINTS))
    groups: dict[str, list[Chart]] = defaultdict(list)
    for kind, name in chosen:
        groups[kind].append(_chart(kind, name, by_chart[kind, name], axis, thin))
    return Board(
        [
            Group(_GROUPS.get(kind, kind)[:_MAX_NAME_CHARS], charts, _marks(kind, happened, axis))
            for kind, charts in groups.items()
        ],
        *axis,
        left_out=len(by_chart) - len(chosen),
    )


def _by_chart(
    tracks: Mapping[str, _Track], names: Mapping[str, str]
) -> dict[tuple[str, str], dict[str, _Track]]:
    """Return the lines of each chart by name; what several writers saw alike is one line."""
    places: dict[Place, dict[str, _Track]] = defaultdict(dict)
    for key, track in tracks.items():
        metric, _, label = key.partition(LABEL_SEPARATOR)
        place = place_of(metric)
        place = place._replace(line=names.get(metric, place.line))
        found = places[place]
        is_own = place.kind in _OWN_KINDS
        if is_own or not any(track.is_same(other) for other in found.values()):
            found[label] = track
    charts: dict[tuple[str, str], dict[str, _Track]] = defaultdict(dict)
    for place, lines in places.items():
        for label, track in lines.items():
            shown = label if len(lines) > 1 or not place.line else ""
            name = " · ".join(part for part in (place.line, shown) if part)
            charts[place.kind, place.chart][name] = track
    return charts


def place_of(metric: str) -> Place:
    """Return where a key (without `system.` and label) is drawn."""
    if found := _DEVICE.fullmatch(metric):
        return Place(found[1], _SAME.get(found[3], found[3]), found[2])
    parts = metric.split(".")
    match parts[0]:
        case "disk" if len(parts) > 2:
            return Place("disk", parts[-1], ".".join(parts[1:-1]))
        case "disk" | "network":
            return Place(parts[0], ".".join(parts[1:]), "all" if parts[0] == "disk" else "")
        case "system" if found := _LOAD.fullmatch(metric):
            return Place("system", "load", f"{found[1]} min")
        case "openmetrics" if len(parts) > 3:
            return Place(parts[1], ".".join(parts[2:-1]), parts[-1])
        case "proc" if metric == "proc.memory.availableMB":
            return Place("memory", "availableMB", "")
        case "cpu" | "proc" if len(parts) == 1 or parts[0] == "proc":
            return Place("proc", ".".join(parts[1:]) or "cpu", "")
        case "memory_percent" | "memory" | "swap":
            return Place("memory", metric, "")
        case _:
            return Place(parts[0] if len(parts) > 1 else "system", metric, "")


def _tracks(rows: Iterable[Mapping[str, Any]]) -> dict[str, _Track]:
    tracks: dict[str, _Track] = {}
    for row in rows:
        time_s = row.get("_runtime")
        if EVENT_NAME in row or not _is_number(time_s):
            continue
        stamp = row.get("_timestamp")
        clock_s = float(stamp) if _is_number(stamp) else float(time_s)
        for key, value in row.items():
            if not key.startswith(SYSTEM_PREFIX) or not _is_number(value):
                continue
            name = key.removeprefix(SYSTEM_PREFIX)
            if name not in tracks and len(tracks) >= MAX_SERIES:
                continue
            track = tracks.setdefault(name, _Track())
            track.points.append((float(time_s), float(value)))
            track.by_clock[clock_s] = float(value)
    for track in tracks.values():
        track.points.sort()
    return tracks


def _is_number(value: Any) -> TypeGuard[float]:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < _LARGEST  # also no NaN


def _order(chart: tuple[str, str]) -> tuple[int, str, int]:
    kind, name = chart
    return _rank(_GROUPS, kind), kind, _rank(_TITLES, (kind.removesuffix(".process"), name))


def _rank(order: Iterable[T], name: T) -> int:
    """Return the place of a name, or one behind all."""
    places = list(order)
    return places.index(name) if name in places else len(places)


def _chart(
    kind: str, name: str, tracks: Mapping[str, _Track], axis: tuple[float, float], thin: int
) -> Chart:
    names = sorted(tracks, key=_natural)
    shown = names[:MAX_LINES]
    title, unit = _title(kind, name)
    values = [value for each in shown for _, value in tracks[each].points]
    low, high = min(0.0, *values, 0.0), max(values)
    if unit == "%" and low >= 0 and high <= _PERCENT_TOP:
        high = _PERCENT_TOP
    high = high if high > low else low + 1.0
    return Chart(
        title=f"{title}, {unit}" if unit else title,
        top=number(high),
        bottom=number(low),
        lines=[
            Line(
                _shown(kind, each),
                _path(tracks[each].points, axis, (low, high), thin),
                number(tracks[each].points[-1][1]),
            )
            for each in shown
        ],
        left_out=len(names) - len(shown),
    )


def _shown(kind: str, line: str) -> str:
    """Return how a line is called: a bare number beside its value would be one too many."""
    word = _WORDS.get(kind, "") if line[:1].isdigit() else ""
    return (f"{word} {line}".strip() or "now")[:_MAX_NAME_CHARS]


def _title(kind: str, name: str) -> tuple[str, str]:
    known = _TITLES.get((kind.removesuffix(".process"), name))
    if known:
        return known
    ending = next((ending for ending in _UNITS if name.endswith(ending)), "")
    unit = _UNITS.get(ending, "")
    stem = name if ending == "utilization" else name.removesuffix(ending)
    words = _CAMEL.sub(" ", stem.replace("_", " ").replace(".", " ")).strip() or name
    return words[:_MAX_NAME_CHARS].lower(), unit


def _path(
    points: list[tuple[float, float]],
    axis: tuple[float, float],
    values: tuple[float, float],
    thin: int,
) -> str:
    """Return the drawing of a line; a single point is a short stroke."""
    kept = [*points[:-1:thin], points[-1]]
    wide, tall = max(axis[1] - axis[0], 1e-9), values[1] - values[0]
    places = [
        f"{(x - axis[0]) / wide * WIDTH:.1f} {HEIGHT - (y - values[0]) / tall * HEIGHT:.1f}"
        for x, y in kept
    ]
    if len(places) == 1:
        return f"M{places[0]}h2"
    return f"M{places[0]}L{' '.join(places[1:])}"


def _marks(kind: str, happened: Sequence[Happening], axis: tuple[float, float]) -> list[Mark]:
    wide = max(axis[1] - axis[0], 1e-9)
    prefix = kind.partition(".")[0]
    return [
        Mark((event.runtime - axis[0]) / wide * WIDTH, f"{event.name}: {event.text}")
        for event in happened[-MAX_MARKS:]
        if event.key.partition(".")[0] == prefix and axis[0] <= event.runtime <= axis[1]
    ]


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts 2 before 10."""
    return [(int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", name)]


def number(value: float) -> str:
    """Return a number in a few characters."""
    if _SI[-1][0] <= abs(value) < _GROUPED_BELOW:
        return f"{value:,.0f}"
    for size, letter in _SI:
        if abs(value) >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.3g}"
