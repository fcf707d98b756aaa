"""Reading what metric endpoints expose: text format 0.0.4 and OpenMetrics 1.0.

Pure parsing: bytes in, values by key out. It does not know where a body came from nor what keys
look like: whoever makes a `SampleTable` says which key a metric with its labels has.

What counts, as the W&B client of today has it (facts sheet, 3.10): samples whose metric an
earlier `# TYPE` line of the same body declares a gauge or a counter; the last of equal series; a
line that cannot be read costs only itself. Histograms, summaries, infos, state sets and untyped
metrics are passed over, as are timestamps and exemplars.

A body of a megabyte is read in some ten milliseconds the first time and in a few from then on: the
text before a value (the *head*) is the same from scrape to scrape, and what it means is kept.
"""

from trackd_agent.monitor.exposition.filters import FilterRules, MetricFilter, filter_rules
from trackd_agent.monitor.exposition.labels import MAX_SERIES, LabelMap, SeriesNumbers
from trackd_agent.monitor.exposition.lines import parse_value
from trackd_agent.monitor.exposition.pace import Pace
from trackd_agent.monitor.exposition.table import SampleTable, read

__all__ = [
    "MAX_SERIES",
    "FilterRules",
    "LabelMap",
    "MetricFilter",
    "Pace",
    "SampleTable",
    "SeriesNumbers",
    "filter_rules",
    "parse_value",
    "read",
]
