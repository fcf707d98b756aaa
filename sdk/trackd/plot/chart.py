"""Charts as such: a table, and a description of how to draw it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trackd.errors import Error
from trackd.recording.chart import Chart
from trackd.tables import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd.recording.recordable import RunPlace

_SPLIT_SECTION = "Custom Chart Tables"
_RUN_FIELDS = ("id", "name", "_defaultColorIndex")


@dataclass
class CustomChartSpec:
    """How a table is drawn.

    Attributes:
        spec_name: id of a Vega specification, such as `wandb/line/v0`.
        fields: column of the table by field of the specification.
        string_fields: texts such as titles, by field.
        key: under which the chart is logged.
        panel_type: kind of panel.
        split_table: show the table in a section of its own.
    """

    spec_name: str
    fields: dict[str, Any]
    string_fields: dict[str, Any]
    key: str = ""
    panel_type: str = "Vega2"
    split_table: bool = False

    @property
    def table_key(self) -> str:
        """Key of the table in the row.

        Raises:
            Error: the chart has no key yet.
        """
        if not self.key:
            raise Error("a chart has no key before it is logged: run.log({key: chart})")
        key = f"{self.key}_table"
        return f"{_SPLIT_SECTION}/{key}" if self.split_table else key

    @property
    def config_key(self) -> tuple[str, str, str]:
        """Where the chart is described in the configuration."""
        return ("_wandb", "visualize", self.key)

    @property
    def config_value(self) -> dict[str, Any]:
        """The description."""
        runs = "${runSets}"
        table_arguments = [{"name": "tableKey", "value": self.table_key}]
        of_runs: list[dict[str, Any]] = [
            *({"name": name, "fields": []} for name in _RUN_FIELDS),
            {"name": "summaryTable", "args": table_arguments, "fields": []},
        ]
        query: dict[str, Any] = {
            "name": "runSets",
            "args": [{"name": "runSets", "value": runs}],
            "fields": of_runs,
        }
        return {
            "panel_type": self.panel_type,
            "panel_config": {
                "panelDefId": self.spec_name,
                "fieldSettings": self.fields,
                "stringSettings": self.string_fields,
                "transform": {"name": "tableWithLeafColNames"},
                "userQuery": {"queryFields": [query]},
            },
        }


@dataclass
class CustomChart(Chart):
    """A table and how to draw it; logged like any value.

    Attributes:
        table: what is drawn.
        spec: how.
    """

    table: Table
    spec: CustomChartSpec

    def set_key(self, key: str) -> None:
        """Say under which key the chart is logged."""
        self.spec.key = key

    def settle(self, place: RunPlace, key: str) -> tuple[str, Any]:
        """Describe the chart in the configuration; return key and table for the row."""
        self.set_key(key)
        place.set_config(list(self.spec.config_key), self.spec.config_value)
        return self.spec.table_key, self.table


@dataclass
class VisualizeSpec:
    """How a table is drawn along the steps of a run.

    Attributes:
        name: id of the visualisation.
        key: under which it is logged.
    """

    name: str
    key: str = ""

    @property
    def config_key(self) -> tuple[str, str, str]:
        """Where it is described in the configuration."""
        return ("_wandb", "viz", self.key)

    @property
    def config_value(self) -> dict[str, Any]:
        """The description."""
        settings = {"x-axis": "_step", "key": self.key}
        return {"id": self.name, "historyFieldSettings": settings}


@dataclass
class Visualize(Chart):
    """A table and the visualisation that shows it; logged like any value.

    Attributes:
        table: what is shown.
        spec: how.
    """

    table: Table
    spec: VisualizeSpec

    def set_key(self, key: str) -> None:
        """Say under which key it is logged."""
        self.spec.key = key

    def settle(self, place: RunPlace, key: str) -> tuple[str, Any]:
        """Describe it in the configuration; return key and table for the row."""
        self.set_key(key)
        place.set_config(list(self.spec.config_key), self.spec.config_value)
        return key, self.table


def plot_table(
    vega_spec_name: str,
    data_table: Table,
    fields: Mapping[str, Any],
    string_fields: Mapping[str, Any] | None = None,
    split_table: bool = False,
) -> CustomChart:
    """Return a chart that draws a table with a Vega specification.

    Args:
        vega_spec_name: id of the specification.
        data_table: what is drawn.
        fields: column of the table by field of the specification.
        string_fields: texts such as titles, by field.
        split_table: show the table in a section of its own.

    Raises:
        Error: `data_table` is no `Table`.
    """
    _check_table("plot_table(data_table=)", data_table)
    spec = CustomChartSpec(
        vega_spec_name, dict(fields), dict(string_fields or {}), split_table=split_table
    )
    return CustomChart(data_table, spec)


def visualize(id: str, value: Table) -> Visualize:
    """Return a table to be shown by a visualisation that the server knows.

    Args:
        id: of the visualisation.
        value: what is shown.

    Raises:
        Error: `value` is no `Table`.
    """
    _check_table("visualize(value=)", value)
    return Visualize(value, VisualizeSpec(id))


def _check_table(where: str, table: object) -> None:
    if not isinstance(table, Table):
        raise Error(f"{where} needs a trackd.Table, got {type(table).__name__}: make a Table of it")
