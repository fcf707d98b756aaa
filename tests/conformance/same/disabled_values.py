# What a disabled run keeps.

import numpy as np
from confhelp import attempt, obs, sdk

run = sdk.init(
    project="conf", id="dis", mode="disabled", config={"a": np.float32(1.5), "m": {1: 2}}
)
attempt(
    "l", run.log, {"h": sdk.Html("x"), "arr": np.arange(40), "o": object(), "n": np.float32(2.5)}
)
obs("h", run.summary["h"])
obs("arr", type(run.summary["arr"]).__name__)
obs("n", type(run.summary["n"]).__name__)
obs("o", run.summary["o"])
run.summary["x"] = sdk.Histogram([1, 2])
obs("x", run.summary["x"])
run.summary["d"] = {"a": 1}
obs("d", run.summary["d"]["a"])
obs("get", run.summary.get("nope", 5))
obs("keys", list(run.summary.keys()))
attempt("bad", run.log, 5)
attempt("intkey", run.log, {1: 2})
obs("cfg", dict(run.config))
obs("m", repr(run.config["m"]))


def g():
    return run.summary["missing"]


attempt("miss", g)
run.finish()
