# More of pages, molecules and shapes: nested, changed and missing files, bytes, equality.
import io
import os

import numpy as np
from confhelp import attempt, obs, sdk, write

h = sdk.Html("<b>shared</b>")
r1 = sdk.init(project="conf", id="multi1", name="m", mode="offline")
r1.log({"h": sdk.Html("a")})
r1.finish()
r2 = sdk.init(project="conf", id="multi2", name="m", mode="offline")
r2.log(
    {"k": {"html": sdk.Html("a"), "n": {"m": [sdk.Html("b"), sdk.Html("c")], "arr": np.arange(34)}}}
)
r2.log({"list_in_list": [[1, np.float32(2)], [np.arange(2)]]})
attempt("lists_of_lists", r2.log, {"x": [[sdk.Html("a")], [sdk.Html("b")]]})
attempt("dict_in_tuple", r2.log, {"x": ({"a": 1},)})
r2.log(
    {
        "m": {
            8: sdk.Html("int"),
            None: sdk.Html("none"),
            True: sdk.Html("t"),
            (1, 2): sdk.Html("tup"),
        }
    }
)
r2.log({"o": {"p": sdk.Object3D(np.zeros((40, 3)))}})
r2.log({"same": sdk.Html("S", inject=False)})
r2.log({"same": sdk.Html("S", inject=False)})
r2.log({"a": sdk.Html("S", inject=False)}, commit=False)
r2.log({"a": sdk.Html("T", inject=False)})
write("f.html", "one")
f = sdk.Html("f.html", inject=False)
write("f.html", "two!!")
attempt("changed", r2.log, {"changed": f})
write("g.html", "one")
g = sdk.Html("g.html", inject=False)
os.remove("g.html")
attempt("gone", r2.log, {"gone": g})
r2.log({"z": 0})
b = io.BytesIO(b"<p>bytes</p>")
attempt("bytesio", sdk.Html, b)
attempt("bytesio2", sdk.Html, b, inject=False)
attempt("molbytes", sdk.Molecule, io.BytesIO(b"x"), file_type="pdb")
attempt("emptyhtml", r2.log, {"e": sdk.Html("")})
attempt("emptyhtml2", r2.log, {"e2": sdk.Html("", inject=False)})
attempt("uni", r2.log, {"u": sdk.Html("ünï😀")})
attempt("nan_pts", r2.log, {"np": sdk.Object3D(np.array([[np.nan, 1, np.inf]]))})
attempt("intpts", r2.log, {"ip": sdk.Object3D(np.array([[1, 2, 3]]))})
attempt("emptypts", r2.log, {"ep": sdk.Object3D(np.zeros((0, 3)))})
attempt(
    "eq",
    lambda: obs(
        "equal",
        [sdk.Html("a") == sdk.Html("a"), sdk.Html("a") == sdk.Html("b"), sdk.Html("a") == 5],
    ),
)
obs("attrs", [sdk.Html("x", inject=False).html])
r2.finish()
