"""Tables: rows, typed columns with media in cells, and what is made of several tables.

Owns: what a table takes (`column_types`, `schema`), how it changes (`rows`), and its two forms in
a run, file and artifact (`table`, `cells`). Knows of artifacts and of the run only what
`trackd.artifacts` and `RunPlace` offer; rows with tables are its only callers.
"""

from trackd.tables.eval_table import EvalTable
from trackd.tables.joins import JoinedTable, PartitionedTable
from trackd.tables.table import Table

__all__ = ["EvalTable", "JoinedTable", "PartitionedTable", "Table"]
