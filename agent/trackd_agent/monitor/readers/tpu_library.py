"""What libtpu.so says, asked through its probe; and how its lines of text are to be read.

Loading the library can take long (`trackd_agent.probes.tpu`), and the runtime service knows most
metrics too: whoever reads does not wait for it. A question that is not answered yet goes on in a
thread of its own, one at a time, and its answer counts for the sample that finds it.
"""

from __future__ import annotations

import enum
import re
from concurrent import futures
from typing import TYPE_CHECKING, Any, NamedTuple

from trackd_agent.monitor.contract import NoDataError
from trackd_agent.monitor.readers.tpu_points import VALUE, Point

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from trackd_agent.monitor.readers.probe import ProbeReader

#: How long a sample waits for the library, which answers in a millisecond once it is loaded.
PATIENCE_S = 0.3
#: Statistics of a line, by how many numbers it has.
_STATISTICS = {
    4: ("p50", "p90", "p95", "p999"),
    5: ("mean", "p50", "p90", "p95", "p999"),
}
_STATISTICS_WITH_P99 = ("mean", "p50", "p90", "p99", "p999")
_DEVICE_AND_SCORE = re.compile(r"(\d+)-(\d+(?:\.\d+)?)")


class Form(enum.Enum):
    """How the library writes the values of a metric."""

    PER_DEVICE = enum.auto()  # "12.5": a number for each device, in their order
    PER_LINK = enum.auto()  # "tray1.chip3.ici0.int: 0", formerly as PER_DEVICE
    SCORE = enum.auto()  # "3-10": the number of a device and its score, or as PER_DEVICE
    STATISTICS = enum.auto()  # "8MB+, 1.0, 2.0, 3.0, 4.0, 5.0": a label and statistics
    FLAT_STATISTICS = enum.auto()  # the same without a label, in one line or a line a number
    NAMED = enum.auto()  # "tensorcore_0: 3"


class LibraryMetric(NamedTuple):
    """The lines of one metric."""

    description: str
    values: Sequence[str]


class TpuLibraryReader:
    """Asks the probe of libtpu without waiting long."""

    def __init__(self, probe: ProbeReader) -> None:
        self._probe = probe
        self._executor = futures.ThreadPoolExecutor(1, "libtpu")
        self._asked: futures.Future[dict[str, Any]] | None = None

    def read(self, names: Collection[str]) -> Mapping[str, LibraryMetric]:
        """Return the metrics that the library knows, of these.

        Raises:
            NoDataError: There is no library, or it has not answered yet.
            ProbeError: It failed, or its process did.
        """
        if self._asked is None:
            self._asked = self._executor.submit(self._probe.ask, {"names": list(names)})
        asked = self._asked
        if not futures.wait([asked], PATIENCE_S).done:
            raise NoDataError("libtpu.so has not answered yet")
        self._asked = None
        return {
            name: LibraryMetric(metric["description"], metric["values"])
            for name, metric in asked.result().items()
            if "values" in metric
        }

    def close(self) -> None:
        """End the probe, and with it the question under way."""
        self._probe.close()
        self._executor.shutdown(wait=False, cancel_futures=True)


def parse_lines(form: Form, metric: LibraryMetric) -> list[Point]:
    """Return the points of a metric; lines that say something else than its form are left out."""
    description, lines = metric
    if form is Form.FLAT_STATISTICS:
        words = _words(lines[0]) if len(lines) == 1 else [line.strip() for line in lines]
        return [Point(None, None, _statistics(description, words))]
    if form is Form.STATISTICS:
        rows = [words for words in map(_words, lines) if len(words) > 1]
        return [Point(None, row[0], _statistics(description, row[1:])) for row in rows]
    return [_parse_line(form, place, line) for place, line in enumerate(lines)]


def _parse_line(form: Form, place: int, line: str) -> Point:
    if form is Form.SCORE and (match := _DEVICE_AND_SCORE.fullmatch(line.strip())):
        return Point(int(match[1]), None, {VALUE: float(match[2])})
    label, colon, text = line.rpartition(":") if form is Form.PER_LINK else line.partition(":")
    if form in (Form.NAMED, Form.PER_LINK) and colon:
        return Point(None, label, _value(text))
    return Point(None if form is Form.NAMED else place, "", _value(line))


def _words(line: str) -> list[str]:
    """Return the fields of a line of comma-separated values, which may be in brackets."""
    words = (word.strip().strip("\"'") for word in line.strip().strip("[]").split(","))
    return [word for word in words if word]


def _statistics(description: str, words: Sequence[str]) -> dict[str, float]:
    text = description.lower()
    names = _STATISTICS.get(len(words)) or [f"stat{place}" for place in range(len(words))]
    if len(words) == len(_STATISTICS_WITH_P99) and "p99" in text and "p95" not in text:
        names = _STATISTICS_WITH_P99
    numbers: dict[str, float] = {}
    for name, word in zip(names, words, strict=True):
        if value := _value(word):
            numbers[name] = value[VALUE]
    return numbers


def _value(text: str) -> dict[str, float]:
    try:
        return {VALUE: float(text)}
    except ValueError:
        return {}
