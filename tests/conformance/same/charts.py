# Charts: every plot function, nested and repeated.
import random

import numpy as np
from confhelp import attempt, obs, sdk

run = sdk.init(project="p", id="plots", name="s", mode="offline")
P = sdk.plot
T = sdk.Table
t = T(columns=["x", "y", "g"], data=[[1, 2.5, "a"], [2, 3.5, "b"]])
run.log({"line": P.line(t, "x", "y", stroke="g", title="L"), "acc": 1})
run.log(
    {
        "scatter": P.scatter(
            T(columns=["x", "y"], data=[[1, 2]]), "x", "y", title="S", split_table=True
        )
    }
)
run.log({"bar": P.bar(T(columns=["x", "y"], data=[["u", 2]]), "x", "y")})
run.log({"hist": P.histogram(T(columns=["x"], data=[[1], [2]]), "x", title="H")}, commit=False)
run.log(
    {
        "ser": P.line_series(
            [0, 1, 2], [[1, 2, 3], [4, 5, 6]], keys=["p", "q"], title="T", xname="st"
        )
    }
)
run.log({"ser2": P.line_series([[0, 1], [0, 1, 2]], [[1, 2], [4, 5, 6]])})
attempt("ser3", P.line_series, [[0, 1]], [[1, 2], [4, 5, 6]])
attempt("ser4", P.line_series, [0, 1], [[1, 2], [4, 5]], keys=["a"])
run.log(
    {"cm": P.confusion_matrix(preds=[0, 1, 2, 1], y_true=[0, 1, 1, 1], class_names=["a", "b", "c"])}
)
run.log({"cm2": P.confusion_matrix(preds=["x", "y"], y_true=["x", "x"], title="CM")})
run.log({"cm3": P.confusion_matrix(probs=[[0.1, 0.9], [0.8, 0.2]], y_true=[1, 1])})
attempt("cm4", P.confusion_matrix, probs=[[0.1, 0.9]], preds=[1], y_true=[1])
attempt("cm5", P.confusion_matrix, preds=[1, 2], y_true=[1])
attempt("cm6", P.confusion_matrix, preds=[0, 1, 2], y_true=[1, 1, 1], class_names=["a", "b"])
attempt("cm7", P.confusion_matrix, preds=[0, 1], y_true=[1, 1])
attempt("cm8", P.confusion_matrix, preds=["x", "y"], y_true=["x", "y"], class_names=["x", "y"])
attempt("cm9", P.confusion_matrix, y_true=[1])
attempt("cm10", P.confusion_matrix, preds=[1])
yt = [0, 1, 2, 2, 1, 0, 1, 2, 0, 1]
rng = random.Random(3)
yp = [[rng.random() for _ in range(3)] for _ in yt]
run.log({"pr": P.pr_curve(yt, yp, labels=["a", "b", "c"])})
run.log(
    {"pr2": P.pr_curve(yt, yp, classes_to_plot=[0, 2], interp_size=5, title="X", split_table=True)}
)
run.log({"roc": P.roc_curve(yt, yp, labels=["a", "b", "c"])})
run.log({"roc2": P.roc_curve(yt, yp, classes_to_plot=[1])})
ys = ["n", "y", "y", "n"]
run.log({"roc3": P.roc_curve(ys, [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])})
run.log(
    {"pr3": P.pr_curve(np.array(ys), np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]]))}
)
attempt("pr4", P.pr_curve, yt, yp[:3])
attempt("pr5", P.pr_curve, yt, yp, classes_to_plot=[9])
attempt("pr6", P.pr_curve, [0.5, 1.5], [[1, 0], [0, 1]])
attempt("roc4", P.roc_curve, yt, [[float("nan")] * 3] * 10)
attempt("roc5", P.roc_curve, yt, [r[:2] for r in yp])
attempt("roc6", P.roc_curve, yt)
attempt("roc7", P.roc_curve, yt, yp, labels=["a"])
attempt("pr8", P.pr_curve)
attempt("plottable", P.plot_table, "my/spec", [[1]], {"x": "y"})
run.log(
    {
        "pt": sdk.plot_table(
            "my/spec", T(columns=["x"], data=[[1]]), {"x": "x"}, {"title": "q"}, split_table=True
        )
    }
)
attempt("viz", sdk.visualize, "id", 3)
c = P.line(t, "x", "y")
run.log({"again": c})
run.log({"again2": c})
run.log({"deep": {"a": {"b": P.bar(t, "x", "y")}, "k": 2}, "z": 3})
obs("type", type(c).__name__)
obs(
    "spec",
    [c.spec.spec_name, c.spec.key, c.spec.table_key, c.spec.split_table, list(c.spec.config_key)],
)
run.finish()
