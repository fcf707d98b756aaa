"""The runs of a project, filtered and in order."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from trackd.api.errors import NotThereError, refusing
from trackd.api.history import framed
from trackd.api.operations import runs as operations
from trackd.api.paginator import SizedPaginator
from trackd.api.runs import Run
from trackd.remote.answers import part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd.api.errors import Node
    from trackd.remote.connection import Remote

_OLDEST_FIRST = "+created_at"
_FORMATS = ("default", "pandas", "polars")


class Runs(SizedPaginator[Run]):
    """Runs of a project.

    Args:
        remote: the server.
        entity: user or team.
        project: name of the project.
        filters: on fields of runs, in the manner of MongoDB.
        order: `+field` or `-field`; default: the oldest first.
        per_page: length of a page.
        include_sweeps: accepted and ignored.
        lazy: leave configuration, summary and system metrics out until they are needed.
    """

    def __init__(  # noqa: PLR0913 - the signature of the reference
        self,
        remote: Remote,
        entity: str,
        project: str,
        filters: Mapping[str, Any] | None = None,
        order: str = _OLDEST_FIRST,
        per_page: int = 50,
        include_sweeps: bool = False,
        lazy: bool = True,
    ) -> None:
        del include_sweeps
        self.entity = entity
        self.project = project
        self.filters = dict(filters or {})
        self.order = order or _OLDEST_FIRST
        self._lazy = lazy
        variables: Node = {
            "project": project,
            "entity": entity,
            "order": self.order,
            "filters": json.dumps(self.filters),
        }
        chosen = operations.LIGHT_RUNS if lazy else operations.FULL_RUNS
        super().__init__(remote, chosen, variables, per_page)

    def __repr__(self) -> str:
        return f"<Runs {self.entity}/{self.project}>"

    @refusing
    def histories(
        self,
        samples: int = 500,
        keys: list[str] | None = None,
        x_axis: str = "_step",
        format: Literal["default", "pandas", "polars"] = "default",
        stream: Literal["default", "system"] = "default",
    ) -> Any:
        """Return a sample of the rows of all runs, each with its `run_id`.

        Args:
            samples: how many rows of a run at most.
            keys: only rows that have all of these.
            x_axis: with `keys`: the column that comes with them.
            format: `default` for a list of dictionaries, or a data frame of `pandas` or `polars`,
                its columns by name.
            stream: `default` for what was logged, `system` for system metrics.

        Raises:
            RefusedError: another format, or `keys` that cannot be asked for.
            ImportError: the library is not installed.
        """
        if format not in _FORMATS:
            raise ValueError(f"format={format!r}: use one of {', '.join(_FORMATS)}")
        rows = [
            {**row, "run_id": run.id}
            for run in self
            for row in run.history(samples, keys, x_axis, pandas=False, stream=stream)
        ]
        return rows if format == "default" else framed(rows, format)

    def upgrade_to_full(self) -> None:
        """Fetch configuration, summary and system metrics with each run from now on."""
        self._lazy = False
        self._operation = operations.FULL_RUNS

    @property
    def cursor(self) -> str | None:
        """Where the next page starts."""
        edges = part(self.last_response, "edges")
        return edges[-1]["cursor"] if edges else None

    def _connection(self, answer: Node) -> Node:
        project = answer.get("project")
        if project is None:
            raise NotThereError(f"there is no project {self.entity}/{self.project}")
        return {**project["runs"], "totalCount": project["runCount"]}

    def _made(self, edge: Node) -> Run | None:
        node = edge["node"]
        return Run(self._remote, self.entity, self.project, node["name"], node, self._lazy)
