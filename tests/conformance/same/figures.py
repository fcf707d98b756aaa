# Figures of plotly, matplotlib and bokeh, and frames of pandas, straight in a row.
# volatile: png
import matplotlib
from confhelp import attempt, sdk

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
from bokeh.plotting import figure

run = sdk.init(project="conf", id="figs", name="f", mode="offline")
fig = go.Figure(data=go.Scatter(x=[1, 2, 3], y=np.array([1.5, float("nan"), 3])))
run.log({"plotly": fig, "nest": {"p": fig}})
run.log({"px": px.bar(pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}), x="a", y="b")})
run.log({"wrapped": sdk.Plotly(fig)})
f, ax = plt.subplots()
ax.plot([1, 2, 3], [4, 5, 6])
ax.set_title("t")
attempt("fig", run.log, {"mpl": f})
attempt("ax", run.log, {"mplax": ax})
attempt("plt", run.log, {"plt": plt})
f2, ax2 = plt.subplots()
ax2.imshow(np.zeros((4, 4)))
attempt("imfig", run.log, {"imfig": f2})
attempt("implotly", sdk.Plotly, f2)
attempt("badplotly", sdk.Plotly, 5)
attempt("listfig", run.log, {"lf": [fig]})

b = figure(width=100, height=100)
b.line([1, 2], [3, 4])
attempt("bokeh", run.log, {"bk": sdk.data_types.Bokeh(b)})
attempt("bokeh_bad", sdk.data_types.Bokeh, 5)
attempt("bokeh_raw", run.log, {"bkraw": b})
run.summary["fig"] = fig
attempt("df", run.log, {"df": pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})})
attempt("dfsum", run.summary.update, {"dfs": pd.DataFrame({"a": [1, 2]})})
run.finish()
