"""What the node does now, as tables for people: devices, ranks, collectors, events."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from trackd_proto.v1.admin_pb2 import RankReading, ReadNodeResponse

#: A slice of a GPU (MIG) is called `0:1`.
_DEVICE = re.compile(r"(gpu|tpu|ipu|trn)\.(\d+(?::\d+)?)\.(.+?)(?:/l:(.*))?")
_GPU_OF_PROCESS = re.compile(r"gpu\.process\.(\d+(?::\d+)?)\.")
_MB, _GB, _GIB = 1024**2, 1024**3, 1024**3
_KIB = 1024.0
#: Columns of devices: heading, keys of which the first that is there counts, form.
_DEVICE_COLUMNS = (
    ("UTIL", ("gpu", "dutyCycle", "neuroncore_utilization", "ipu utilisation (%)"), "{:.0f} %"),
    ("MEM", ("memoryAllocated", "hbmMemoryUsage"), "{:.0f} %"),
    ("TEMP", ("temp", "average die temp (C)"), "{:.0f} °C"),
    ("POWER", ("powerWatts", "ipu power (W)"), "{:.0f} W"),
    ("OF LIMIT", ("powerPercent",), "{:.0f} %"),
    ("CLOCK", ("smClock", "clock (MHz)", "freq"), "{:.0f} MHz"),
    ("FAN", ("fanSpeed",), "{:.0f} %"),
)
_USED_BYTES = ("memoryAllocatedBytes", "hbmCapacityUsage")
_MAX_EVENTS = 5


@dataclass(frozen=True)
class Section:
    """One table; headings that begin with `>` are those of numbers."""

    title: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]


@dataclass(frozen=True)
class Rates:
    """How fast counters grow, from two readings."""

    before: Mapping[str, float]
    seconds: float

    @classmethod
    def between(cls, earlier: ReadNodeResponse | None, later: ReadNodeResponse) -> Rates:
        """Return the rates of the later reading; without an earlier one there are none."""
        if earlier is None:
            return cls({}, 0.0)
        return cls(dict(earlier.values), later.time_s - earlier.time_s)

    def of(self, key: str, now: float) -> float | None:
        """Return growth per second; None: not known, or the counter began anew."""
        before = self.before.get(key)
        known = before is not None and self.seconds > 0 and now >= before
        return (now - before) / self.seconds if known and before is not None else None


def headline(node: ReadNodeResponse, rates: Rates) -> list[str]:
    """Return what is to be said about the node as a whole, a line each."""
    values = node.values
    clock = time.strftime("%H:%M:%S", time.localtime(node.time_s))
    lines = [f"{node.host}  {clock}  {_counted(len(node.ranks), 'rank')}"]
    facts: list[str] = []
    if loads := [values[key] for key in _LOADS if key in values]:
        facts.append("load " + " ".join(f"{load:.2f}" for load in loads))
    if cores := [values[key] for key in values if key.startswith("cpu.") and "percent" in key]:
        facts.append(f"cpu {sum(cores) / len(cores):.0f} % of {len(cores)} cores")
    if "cpu.powerWatts" in values:
        facts.append(f"{values['cpu.powerWatts']:.0f} W")
    if "memory_percent" in values:
        free = values.get("proc.memory.availableMB", 0) * _MB
        facts.append(f"memory {values['memory_percent']:.0f} % used, {size(free)} free")
    if values.get("swap.used"):
        facts.append(f"swap {size(values['swap.used'])}")
    lines.append("   ".join(facts))
    lines.append("   ".join([*_disks(values), *_traffic(values, rates)]))
    return [line for line in lines if line]


_LOADS = ("system.load1", "system.load5", "system.load15")


def sections(node: ReadNodeResponse, rates: Rates) -> Iterator[Section]:
    """Yield the tables that have something to show."""
    yield from _devices(node.values)
    yield _ranks(node.ranks)
    ill = [each for each in node.collectors if each.state == "failing" or each.problems]
    if ill:
        rows = [(e.name, e.state, e.reason or "; ".join(e.problems)) for e in ill]
        yield Section("collectors", ("COLLECTOR", "STATE", "WHY"), rows)
    if node.events:
        rows = [
            (time.strftime("%H:%M:%S", time.localtime(each.time_s)), each.name, each.text)
            for each in list(node.events)[-_MAX_EVENTS:]
        ]
        yield Section("events", ("TIME", "WHAT", "TEXT"), rows)
    del rates


def _devices(values: Mapping[str, float]) -> Iterator[Section]:
    found: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for key, value in values.items():
        if match := _DEVICE.fullmatch(key):
            found[match[1], match[2], match[4] or ""][match[3]] = value
    if not found:
        return
    rows: list[list[str]] = []
    for (kind, index, node), device in sorted(found.items(), key=_device_order):
        used = next((size(device[key]) for key in _USED_BYTES if key in device), "")
        name = f"{kind}.{index}" + (f" of {node}" if node else "")
        cells = [_first(device, keys, form) for _, keys, form in _DEVICE_COLUMNS]
        rows.append([name, *cells[:2], used, *cells[2:]])
    headings = [heading for heading, _, _ in _DEVICE_COLUMNS]
    headings = ["DEVICE", *(f">{each}" for each in (*headings[:2], "USED", *headings[2:]))]
    shown = [at for at in range(len(headings)) if not at or any(row[at] for row in rows)]
    yield Section(
        "devices",
        tuple(headings[at] for at in shown),
        [tuple(row[at] for at in shown) for row in rows],
    )


def _device_order(found: tuple[tuple[str, str, str], object]) -> tuple[str, list[int], str]:
    kind, index, node = found[0]
    return kind, [int(part) for part in index.split(":")], node


def _first(device: Mapping[str, float], keys: Iterable[str], form: str) -> str:
    return next((form.format(device[key]) for key in keys if key in device), "")


def _ranks(ranks: Iterable[RankReading]) -> Section:
    rows = sorted(
        (
            f"{rank.run.project}/{rank.run.run_id}",
            rank.label or "-",
            str(rank.pid),
            _first(rank.values, ("cpu",), "{:.0f} %"),
            _first(rank.values, ("proc.cpu.threads",), "{:.0f}"),
            size(rank.values["proc.memory.rssMB"] * _MB)
            if "proc.memory.rssMB" in rank.values
            else "",
            _first(rank.values, ("proc.memory.percent",), "{:.1f} %"),
            " ".join(sorted({m[1] for key in rank.values if (m := _GPU_OF_PROCESS.match(key))})),
        )
        for rank in ranks
    )
    headings = ("RUN", "LABEL", ">PID", ">CPU", ">THREADS", ">RSS", ">MEM", "GPUS")
    return Section("ranks", headings, rows)


def _disks(values: Mapping[str, float]) -> Iterator[str]:
    for key, value in sorted(values.items()):
        if key.startswith("disk.") and key.endswith(".usagePercent"):
            path = key.removeprefix("disk.").removesuffix(".usagePercent")
            yield f"disk {path} {value:.0f} % used"


def _traffic(values: Mapping[str, float], rates: Rates) -> Iterator[str]:
    for name, keys, scale in (
        ("disk", ("disk.in", "disk.out"), _MB),
        ("network", ("network.recv", "network.sent"), 1),
    ):
        found = [rates.of(key, values[key]) for key in keys if key in values]
        if found and None not in found:
            told = " / ".join(f"{size(rate * scale)}/s" for rate in found if rate is not None)
            yield f"{name} in / out {told}"


def size(count: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < _KIB:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= _KIB
    return f"{count:.1f} TiB"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def plain(node: ReadNodeResponse, rates: Rates) -> str:
    """Return everything as plain text."""
    parts = ["\n".join(headline(node, rates))]
    for section in sections(node, rates):
        if not section.rows:
            parts.append(f"no {section.title}")
            continue
        table = [tuple(each.lstrip(">") for each in section.headings), *section.rows]
        widths = [max(len(row[at]) for row in table) for at in range(len(section.headings))]
        parts.append("\n".join(_aligned(row, widths, section.headings) for row in table))
    return "\n\n".join(parts)


def _aligned(row: tuple[str, ...], widths: list[int], headings: tuple[str, ...]) -> str:
    cells = (
        cell.rjust(width) if heading.startswith(">") else cell.ljust(width)
        for cell, width, heading in zip(row, widths, headings, strict=True)
    )
    return "  ".join(cells).rstrip()
