"""Figures of plotly, matplotlib and bokeh."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import trackd
from trackd.media.bokeh import Bokeh

if TYPE_CHECKING:
    from pathlib import Path

    from trackd.media.stored import Media


def content(made: Media) -> Any:
    return json.loads(made.read_bytes())


@pytest.fixture
def plotly_figure() -> Any:
    graph: Any = pytest.importorskip("plotly.graph_objects")
    return graph.Figure(data=graph.Scatter(x=[1, 2], y=[1.5, 3.0]))


@pytest.fixture
def pyplot() -> Any:
    matplotlib: Any = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    plots: Any = pytest.importorskip("matplotlib.pyplot")
    yield plots
    plots.close("all")


def test_a_figure_of_plotly_is_stored_as_its_json(plotly_figure: Any) -> None:
    made = content(trackd.Plotly(plotly_figure))
    assert made["data"][0]["type"] == "scatter"
    assert made["data"][0]["x"] == [1, 2]


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")  # between plotly and matplotlib
@pytest.mark.parametrize("part", ["figure", "axes", "pyplot"])
def test_a_figure_of_matplotlib_is_converted(pyplot: Any, part: str) -> None:
    pytest.importorskip("plotly")
    figure, axes = pyplot.subplots()
    axes.plot([1, 2, 3], [4, 5, 6])
    given = {"figure": figure, "axes": axes, "pyplot": pyplot}[part]
    made = trackd.Plotly.make_plot_media(given)
    assert isinstance(made, trackd.Plotly)
    assert content(made)["data"][0]["y"] == [4, 5, 6]


def test_a_figure_of_matplotlib_with_images_is_an_image(pyplot: Any) -> None:
    pytest.importorskip("PIL")
    figure, axes = pyplot.subplots()
    axes.imshow(np.zeros((4, 4)))
    assert isinstance(trackd.Plotly.make_plot_media(figure), trackd.Image)
    with pytest.raises(ValueError, match=r"use trackd\.Image\(figure\)"):
        trackd.Plotly(figure)


def test_what_is_no_figure_is_refused() -> None:
    with pytest.raises(ValueError, match="val is of type int"):
        trackd.Plotly(5)


def test_a_figure_in_a_row_needs_no_wrapping(plotly_figure: Any, place: Path) -> None:
    run = trackd.init(project="p", id="r", mode="disabled")
    run.log({"figure": plotly_figure})
    assert run.summary["figure"] is plotly_figure
    run.finish()


def test_plots_of_bokeh_equal_in_content_have_equal_bytes(tmp_path: Path) -> None:
    plotting: Any = pytest.importorskip("bokeh.plotting")
    figure = plotting.figure(width=100, height=100)
    figure.line([1, 2], [3, 4])
    made = Bokeh(figure)
    assert content(made)["roots"]
    stored = tmp_path / "plot.bokeh.json"
    stored.write_bytes(made.read_bytes())
    assert Bokeh(str(stored)).read_bytes() == made.read_bytes()
    assert content(Bokeh(made.b_obj))["roots"] == content(made)["roots"]
    with pytest.raises(TypeError, match="data_or_path is of type int"):
        Bokeh(5)
