# The summary: odd values, nested writes, deletions, media, what reading gives.
import datetime
import enum

import jax.numpy as jnp
import numpy as np
import pandas as pd
from confhelp import attempt, obs, sdk


class Colour(enum.Enum):
    RED = 1


run = sdk.init(project="conf", id="oddsummary", name="o", mode="offline")
run.log({"a": 1, "n": {"x": 1, "y": 2}, "f": np.float32(1.5), "arr": np.arange(40), "none": None})
obs("a", run.summary["a"])
obs("x", run.summary["n"]["x"])
obs("f", run.summary.get("f"))
obs("none", run.summary.get("none", "default"))
obs("keys", sorted(run.summary.keys()))
obs("hist", run.summary["arr"]["_type"])
run.summary["a"] = 5
run.summary["n"]["x"] = 9
run.summary["new"] = {"deep": {"er": 1}}
obs("a2", run.summary["a"])
obs("x2", run.summary["n"]["x"])
run.summary["new"]["deep"]["more"] = 2
run.summary.update({"u1": 1, "u2": {"z": 1}})
del run.summary["u1"]
del run.summary["n"]["y"]
run.summary.update(
    {"null": None, "empty": {}, "list": [], "nan": float("nan"), "inf": float("inf")}
)
run.summary["nans"] = [float("nan"), np.float32("nan"), {"in": float("nan")}]
run.summary.update({"dotted.key": 1, "a/b": 2, "big": 2**64})
run.summary.update({"enum": Colour.RED, "enums": [Colour.RED], "day": datetime.date(2024, 1, 2)})
run.summary.update({"utc": datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC)})
run.summary.update({"ts": pd.Timestamp("2024-01-02 03:04:05.123456789"), "nat": pd.NaT})
run.summary.update({"large": np.linspace(0, 1, 101), "largenan": np.full(40, np.nan)})
run.summary.update(
    {"jax": jnp.float32(1.5), "jaxlarge": jnp.arange(40.0), "jnan": jnp.array(jnp.nan)}
)
run.summary.update(
    {"small": np.array([1, np.nan]), "one": np.array([[7]]), "set": {3}, "tuple": (1, 2)}
)
run.summary["html"] = sdk.Html("<b>x</b>")
run.summary["nest"] = {"h": sdk.Html("deep"), "hist": sdk.Histogram([1, 2, 3], num_bins=2)}
run.summary["pages"] = [sdk.Html("1"), sdk.Html("2")]


def put(key, value):
    run.summary[key] = value


attempt("object", put, "x", object())
attempt("intkeys", put, "x", {1: 2})
attempt("intkey", put, 5, 2)
attempt("series", put, "x", pd.Series([1]))
attempt("range", put, "x", range(3))
attempt("texts", put, "x", np.array(["a"] * 40))
attempt("mix", run.summary.update, {"ok1": 1, "bad": object(), "ok2": 2})
attempt("missing", lambda: run.summary["missing"])
attempt("attribute", lambda: run.summary.missing)
run.summary.attr = 3
obs("attr", run.summary.attr)
del run.summary.attr
run.log({"a": 7, "new": 3})
obs("a3", run.summary["a"])
run.finish()
attempt("late", put, "x", 1)
