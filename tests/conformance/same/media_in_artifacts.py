# Media in tables and artifacts.
import io

import numpy as np
from confhelp import attempt, sdk, write

write("a.html", "<p>A</p>")
write("d.html/in.txt", "x")
run = sdk.init(project="conf", id="media2", name="m", mode="offline")
# table with media in cells
h = sdk.Html("<b>cell</b>")
m = sdk.Molecule(io.StringIO("X"), file_type="pdb")
o = sdk.Object3D(np.ones((2, 3)))
t = sdk.Table(
    columns=["h", "n"],
    data=[[h, 1], [sdk.Html("a.html", inject=False), 2], [sdk.Html("a.html"), 3]],
)
attempt("t", run.log, {"tab": t})
t2 = sdk.Table(columns=["m"], data=[[m]])
attempt("t2", run.log, {"tm": t2})
t3 = sdk.Table(columns=["o"], data=[[o]])
attempt("t3", run.log, {"to": t3})
run.log({"h_after": h, "m_after": m})
t5 = sdk.Table(columns=["h"], data=[[h]])
attempt("t5", run.log, {"bound": t5})
art = sdk.Artifact("mine", "dataset")
attempt("add_html", art.add, sdk.Html("in art"), "pages/one")
attempt("add_mol", art.add, sdk.Molecule(io.StringIO("Y"), file_type="pdb", caption="cc"), "mol")
attempt("add_obj", art.add, sdk.Object3D(np.zeros((1, 3))), "o")
attempt("add_hist", art.add, sdk.Histogram([1]), "hist")
hh = sdk.Html("both")
attempt("add_hh", art.add, hh, "hh")
run.log_artifact(art)
run.log({"hh": hh})
run.finish()
attempt("after", run.log, {"x": sdk.Html("late")})


def s():
    run.summary["x"] = sdk.Html("late")


attempt("after_s", s)
