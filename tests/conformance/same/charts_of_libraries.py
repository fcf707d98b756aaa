# volatile: png
# matplotlib, plotly and bokeh values.
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import plotly.graph_objects as go
from confhelp import attempt, sdk

run = sdk.init(project="conf", id="figures", mode="offline")
fig = go.Figure(go.Scatter(x=[1, 2], y=[3, 4]))
run.log({"plotly": fig, "wrapped": sdk.Plotly(fig)})
f, ax = plt.subplots()
ax.plot([1, 2], [3, 4])
attempt("mpl", run.log, {"mpl": f})
attempt("plt", run.log, {"plt": plt})
attempt("img", run.log, {"img": sdk.Image(f)})
attempt("imgplt", run.log, {"imgplt": sdk.Image(plt)})
attempt("ax", run.log, {"ax": ax})
attempt("plotlybad", sdk.Plotly, 5)
attempt("list", run.log, {"list": [fig]})
attempt("cfg", run.config.update, {"fig": fig})
attempt("cfgimg", run.config.update, {"img": sdk.Html("x")})
attempt("sum", lambda: run.summary.update({"fig": fig}))
run.finish()
