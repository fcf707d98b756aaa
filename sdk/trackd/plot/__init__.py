"""Charts to log, drawn from tables: lines, scatter, bars, histograms, curves and own ones.

    run.log({"roc": trackd.plot.roc_curve(y_true, y_scores)})

Owns: how charts are described in the run's configuration, and the numbers behind the curves.
Knows `trackd.tables`; nothing else calls it than users.
"""

from trackd.plot.chart import CustomChart, Visualize, plot_table, visualize
from trackd.plot.curves import pr_curve, roc_curve
from trackd.plot.matrix import confusion_matrix
from trackd.plot.series import line_series
from trackd.plot.simple import bar, histogram, line, scatter

__all__ = [
    "CustomChart",
    "Visualize",
    "bar",
    "confusion_matrix",
    "histogram",
    "line",
    "line_series",
    "plot_table",
    "pr_curve",
    "roc_curve",
    "scatter",
    "visualize",
]
