"""The importance of features, as a bar chart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd.plot import bar
from trackd.tables import Table

if TYPE_CHECKING:
    from trackd.runs.run import Run


def log_importance(run: Run, rows: list[list[Any]], *, commit: bool | None = None) -> None:
    """Log names and importance of features.

    Args:
        run: where to.
        rows: name and importance of each feature.
        commit: see `Run.log`.
    """
    table = Table(columns=["Feature", "Importance"], data=rows)
    chart = bar(table, "Feature", "Importance", title="Feature Importance")
    run.log({"Feature Importance": chart}, commit=commit)
