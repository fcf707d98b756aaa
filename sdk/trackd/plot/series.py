"""Several lines in one chart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from trackd.plot.chart import plot_table
from trackd.tables import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd.plot.chart import CustomChart

_COLUMNS = ("step", "lineKey", "lineVal")


def line_series(
    xs: Sequence[Any],
    ys: Sequence[Iterable[Any]],
    keys: Sequence[str] | None = None,
    title: str = "",
    xname: str = "x",
    split_table: bool = False,
) -> CustomChart:
    """Return a chart with several lines.

    Args:
        xs: x values that all lines share, or such values for each line.
        ys: y values for each line.
        keys: names of the lines; default: `line_0`, `line_1`, ...
        title: of the chart.
        xname: name of the x axis.
        split_table: show the table in a section of its own.

    Raises:
        ValueError: there are not as many x series, or keys, as lines.
    """
    lines = list(ys)
    is_shared = not isinstance(xs[0], Iterable) or isinstance(xs[0], str | bytes)
    columns: Sequence[Any] = [xs] * len(lines) if is_shared else xs
    names = [f"line_{index}" for index in range(len(lines))] if keys is None else keys
    for what, given in (("xs", columns), ("keys", names)):
        if len(given) != len(lines):
            raise ValueError(
                f"line_series: {what} has {len(given)} items and ys {len(lines)} lines: "
                "give one for each line"
            )
    rows = [
        [x, name, y]
        for name, column, values in zip(names, columns, lines, strict=True)
        for x, y in zip(column, values, strict=False)
    ]
    return plot_table(
        "wandb/lineseries/v0",
        Table(columns=list(_COLUMNS), data=rows),
        {name: name for name in _COLUMNS},
        {"title": title, "xname": xname},
        split_table,
    )
