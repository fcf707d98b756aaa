"""What an endpoint's series mean, remembered from scrape to scrape, and reading with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd_agent.monitor.exposition.heads import Heads
from trackd_agent.monitor.exposition.lines import (
    is_comment,
    parse_labels,
    parse_sample,
    parse_type,
    parse_value,
    plain_head,
)
from trackd_agent.monitor.exposition.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    #: Returns the key of a metric with the labels that the function returns; None: not wanted.
    KeyOf = Callable[[str, Callable[[], Mapping[str, str]]], str | None]

#: Bytes that are read in one go: one or two milliseconds where every line is new.
CHUNK_BYTES = 16 * 1024
#: Lines of a body whose order is remembered.
MAX_LAYOUT_LINES = 200_000
#: Names of metrics of which is remembered whether they are wanted.
MAX_NAMES = 20_000
#: Longest name of a metric that is looked at; it becomes part of a key.
MAX_NAME = 1024
#: Memory for heads of one table, in each of two generations.
MAX_HEAD_BYTES = 16 * 1024**2
_WANTED_TYPES = ("gauge", "counter")
_END = b"# EOF"
_END_BYTES = 64  # within which it stands, blank lines after it included


#: What a head stands for: name of the metric, and its key (None: not wanted). No class, for the
#: garbage collector need not look at plain tuples of texts, and there may be many thousands.
_Meaning = tuple[str, str | None]


def chunks(body: bytes, chunk_bytes: int = CHUNK_BYTES) -> Iterator[list[bytes]]:
    """Yield the lines of a body, some at a time, so that the reader can pause in between."""
    start = 0
    while start < len(body):
        end = body.rfind(b"\n", start, start + chunk_bytes)
        if end < 0:
            end = body.find(b"\n", start)
        if end < 0 or start + chunk_bytes >= len(body):
            end = len(body)
        yield body[start:end].split(b"\n")
        start = end + 1


def is_open_metrics(content_type: str, body: bytes) -> bool:
    """Return whether a body is in OpenMetrics 1.0, as its type says or else its last line.

    It matters for counters alone: `# TYPE a counter` is about `a_total` there, about `a` in text
    format 0.0.4.
    """
    return "openmetrics" in content_type.lower() or body[-_END_BYTES:].rstrip().endswith(
        b"\n" + _END
    )


class SampleTable:
    """Keys of the series of one endpoint."""

    def __init__(
        self,
        key_of: KeyOf,
        may_want: Callable[[str], bool] = lambda _: True,
        max_head_bytes: int = MAX_HEAD_BYTES,
    ) -> None:
        """Start without knowing any series.

        Args:
            key_of: Asked once for each head; equal label sets may have several heads.
            may_want: Whether a metric of this name may have a key; spares a look at its labels.
            max_head_bytes: Memory for what was learnt, in each of two generations.
        """
        self._key_of = key_of
        self._may_want = may_want
        self._names: dict[str, bool] = {}  # what was answered
        self.heads: Heads[_Meaning] = Heads(max_head_bytes)
        #: Heads of metrics that no type made wanted when they were met: name alone.
        self.unkeyed: Heads[str] = Heads(max_head_bytes)
        #: How the lines of the last body began, in their order, each with the key of the value
        #: that follows (None: not wanted; empty: not that simple, the line is to be read in full).
        #: A comment is there as a whole, for what it declares holds for the lines after it.
        self.layout: list[tuple[bytes, str | None]] = []

    def scan(self, *, is_open_metrics: bool) -> Scan:
        """Begin to read a body."""
        return Scan(self, is_open_metrics=is_open_metrics)

    def learn(self, line: bytes, wanted: set[str]) -> tuple[str | None, float] | None:
        """Return key and value of a line that is read in full.

        None where the line is no sample, or one of a metric that is not wanted.
        """
        sample = parse_sample(line)
        if sample is None:
            return None
        head, name = sample.head, sample.name
        if name not in wanted:
            if head not in self.unkeyed.young and self.unkeyed.recall(head) is None:
                self.unkeyed.put(head, name)
            return None
        if (value := parse_value(sample.value)) is None:
            return None
        meaning = self.heads.young.get(head) or self.heads.recall(head)
        if meaning is None:
            is_wanted = self._wants(name)
            key = self._key_of(name, lambda: parse_labels(sample.labels)) if is_wanted else None
            meaning = (name, key)
            self.heads.put(head, meaning)
        return meaning[1], value

    def is_of_no_use(self, head: bytes, name: str, wanted: set[str]) -> bool:
        """Return whether the name alone decides that a line does not count, and remember it."""
        if name not in wanted:
            self.unkeyed.put(head, name)
            return True
        if self._wants(name):
            return False
        self.heads.put(head, (name, None))
        return True

    def _wants(self, name: str) -> bool:
        if len(name) > MAX_NAME:
            return False
        may_want = self._names.get(name)
        if may_want is None:
            if len(self._names) >= MAX_NAMES:
                self._names.clear()
            may_want = self._names[name] = self._may_want(name)
        return may_want


class Scan:
    """One body being read."""

    def __init__(self, table: SampleTable, *, is_open_metrics: bool) -> None:
        self._table = table
        self._is_open_metrics = is_open_metrics
        #: Metrics that a line has declared wanted so far, by name of their samples.
        self._wanted: set[str] = set()
        self._line = 0
        self.values: dict[str, float] = {}

    def feed(self, lines: list[bytes]) -> None:
        """Read the next lines."""
        if others := self._feed_expected(lines):
            line = self._line + len(lines) - len(others)
            del self._table.layout[line:]
            self._feed_others(others)
        self._line += len(lines)

    def _feed_expected(self, lines: list[bytes]) -> list[bytes]:
        """Read lines as long as they are those of the last body; return the others.

        A line that begins as it did, after lines that did, means what it meant. This is the hot
        loop: a tenth of a microsecond for a line that is not wanted, three for one that is.
        """
        values = self.values
        coming = iter(lines)
        expected = self._table.layout[self._line : self._line + len(lines)]
        for (beginning, key), line in zip(expected, coming, strict=False):
            if not line.startswith(beginning):
                return [line, *coming]
            if key is None:
                continue
            if not key:
                if line != beginning if beginning else is_comment(line):
                    return [line, *coming]
                self._feed_unknown(line)
                continue
            text = line[len(beginning) :]
            if b"_" in text:  # no number, see parse_value
                continue
            try:
                values[key] = float(text)
            except ValueError:
                self._feed_unknown(line)
        return list(coming)

    def _feed_others(self, lines: list[bytes]) -> None:
        """Read lines by what is known of their heads, and note what they were."""
        heads, unkeyed = self._table.heads.young, self._table.unkeyed.young
        wanted, values = self._wanted, self.values
        layout = self._table.layout
        for line in lines:
            head, _, text = line.rpartition(b" ")
            meaning = heads.get(head)
            if meaning is None and (head not in unkeyed or unkeyed[head] in wanted):
                self._feed_unknown(line)
                meaning = heads.get(head)
            elif meaning is not None and meaning[1] is not None and meaning[0] in wanted:
                value = parse_value(text)
                if value is not None:
                    values[meaning[1]] = value
            if len(layout) < MAX_LAYOUT_LINES:
                layout.append(self._expectation(line, head, meaning))

    def _expectation(
        self, line: bytes, head: bytes, meaning: _Meaning | None
    ) -> tuple[bytes, str | None]:
        """Return how a line will begin and the key of what follows (see `SampleTable.layout`)."""
        if meaning is not None:
            return head + b" ", meaning[1] if meaning[0] in self._wanted else None
        if head in self._table.unkeyed.young:
            return head + b" ", None
        return (line if is_comment(line) else b""), ""

    def _feed_unknown(self, line: bytes) -> None:
        if is_comment(line):
            if declared := parse_type(line):
                self._declare(*declared)
            return
        if plain := plain_head(line):
            if self._table.is_of_no_use(*plain, self._wanted):
                return
            found = self._table.learn(line, self._wanted)
        else:
            found = self._beyond_value(line) or self._table.learn(line, self._wanted)
        if found is not None and found[0] is not None:
            self.values[found[0]] = found[1]

    def _beyond_value(self, line: bytes) -> tuple[str | None, float] | None:
        """Return key and value of a line with a known head and more than a value.

        Nothing but a whole head is ever known: whatever follows one is value and timestamp.
        """
        for before in (line, line.partition(b" # {")[0]):
            head, _, rest = before.rpartition(b" ")
            for _ in range(2):  # the value alone; value and timestamp
                meaning = self._table.heads.young.get(head)
                if meaning is not None and meaning[0] in self._wanted:
                    value = parse_value(rest)
                    return None if value is None else (meaning[1], value)
                head, _, rest = head.rpartition(b" ")
        return None

    def _declare(self, name: str, kind: str) -> None:
        names = [name, f"{name}_total"] if kind == "counter" and self._is_open_metrics else [name]
        if kind in _WANTED_TYPES:
            self._wanted.update(names)
        else:
            self._wanted.difference_update(names)


def read(table: SampleTable, body: bytes, content_type: str = "") -> dict[str, float]:
    """Return the values of a whole body by key, NaN and infinities among them.

    Lets other threads run every few milliseconds: a body may keep the processor for long.
    """
    scan = table.scan(is_open_metrics=is_open_metrics(content_type, body))
    pace = Pace()
    for lines in chunks(body):
        scan.feed(lines)
        pace.step()
    return scan.values
