"""Charts that draw columns of a table as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd.plot.chart import CustomChart, plot_table

if TYPE_CHECKING:
    from trackd.tables import Table


def line(
    table: Table,
    x: str,
    y: str,
    stroke: str | None = None,
    title: str = "",
    split_table: bool = False,
) -> CustomChart:
    """Return a line chart.

    Args:
        table: what is drawn.
        x: column of the x axis.
        y: column of the y axis.
        stroke: column that tells lines apart.
        title: of the chart.
        split_table: show the table in a section of its own.

    Raises:
        Error: `table` is no `Table`.
    """
    fields = {"x": x, "y": y, "stroke": stroke}
    return plot_table("wandb/line/v0", table, fields, {"title": title}, split_table)


def scatter(
    table: Table, x: str, y: str, title: str = "", split_table: bool = False
) -> CustomChart:
    """Return a scatter chart.

    Args:
        table: what is drawn.
        x: column of the x axis.
        y: column of the y axis.
        title: of the chart.
        split_table: show the table in a section of its own.

    Raises:
        Error: `table` is no `Table`.
    """
    return plot_table("wandb/scatter/v0", table, {"x": x, "y": y}, {"title": title}, split_table)


def bar(
    table: Table, label: str, value: str, title: str = "", split_table: bool = False
) -> CustomChart:
    """Return a bar chart.

    Args:
        table: what is drawn.
        label: column with the names of the bars.
        value: column with their lengths.
        title: of the chart.
        split_table: show the table in a section of its own.

    Raises:
        Error: `table` is no `Table`.
    """
    fields = {"label": label, "value": value}
    return plot_table("wandb/bar/v0", table, fields, {"title": title}, split_table)


def histogram(table: Table, value: str, title: str = "", split_table: bool = False) -> CustomChart:
    """Return a histogram of the values of a column.

    Args:
        table: what is drawn.
        value: column with the values.
        title: of the chart.
        split_table: show the table in a section of its own.

    Raises:
        Error: `table` is no `Table`.
    """
    return plot_table("wandb/histogram/v0", table, {"value": value}, {"title": title}, split_table)
