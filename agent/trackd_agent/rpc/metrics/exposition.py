"""Metric families as text: OpenMetrics 1.0 and the text format 0.0.4 of Prometheus.

Sources: https://github.com/prometheus/OpenMetrics (specification 1.0) and Prometheus'
"exposition formats". The two differ in the names of counters (the suffix `_total` belongs to the
family in one and to the sample in the other), in `# UNIT` and in the end mark.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

OPEN_METRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_SUFFIX = {"counter": "_total", "gauge": "", "info": "_info"}


@dataclass
class Family:
    """Samples of one name.

    Args:
        name: without the suffixes that the formats add; ends in its unit where it has one.
        kind: what its samples are.
        help: one sentence.
        unit: such as `bytes`; the name ends in it.
    """

    name: str
    kind: Literal["counter", "gauge", "info"]
    help: str
    unit: str = ""
    samples: list[tuple[dict[str, str], float]] = field(
        default_factory=list[tuple[dict[str, str], float]]
    )

    def add(self, value: float, **labels: str) -> Family:
        """Add a sample."""
        self.samples.append((labels, value))
        return self


def render(families: Iterable[Family], *, open_metrics: bool) -> str:
    """Return the text; a family without samples is left out, and of equal series the last.

    Raises:
        ValueError: a name or a label's name is none.
    """
    lines = [line for family in families for line in _lines(family, open_metrics=open_metrics)]
    return "\n".join([*lines, "# EOF", ""] if open_metrics else [*lines, ""])


def _lines(family: Family, *, open_metrics: bool) -> Iterator[str]:
    if not family.samples:
        return
    if not _NAME.fullmatch(family.name) or not family.name.endswith(family.unit):
        raise ValueError(f"a metric cannot be called {family.name!r} (unit {family.unit!r})")
    sample_name = family.name + _SUFFIX[family.kind]
    named = family.name if open_metrics else sample_name
    kind = family.kind if open_metrics or family.kind != "info" else "gauge"
    yield f"# TYPE {named} {kind}"
    if family.unit and open_metrics:
        yield f"# UNIT {named} {family.unit}"
    yield f"# HELP {named} {_escaped(family.help, quotes=open_metrics)}"
    series: set[str] = set()
    for labels, value in family.samples:
        head = sample_name + _label_set(labels)
        if head not in series:
            series.add(head)
            yield f"{head} {_number(value)}"


def _label_set(labels: Mapping[str, str]) -> str:
    for name in labels:
        if not _NAME.fullmatch(name):
            raise ValueError(f"a label cannot be called {name!r}")
    pairs = (f'{name}="{_escaped(value, quotes=True)}"' for name, value in labels.items())
    return f"{{{','.join(pairs)}}}" if labels else ""


def _escaped(text: str, *, quotes: bool) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
    return escaped.replace('"', '\\"') if quotes else escaped


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
