# Summary writes, deletions, nested values, aggregations.
from confhelp import attempt, obs, sdk

run = sdk.init(project="conf", id="sumedges", mode="offline")
run.define_metric("m", summary="min,max")
run.define_metric("h.*", summary="mean")
run.define_metric("n", summary="none")
run.define_metric("f", summary="first,last")
for i in range(4):
    run.log({"m": i, "h": {"a": i, "b": -i}, "n": i, "f": i, "p": i, "t": "x" * i, "l": [i]})
obs("m", dict(run.summary["m"]))
obs("keys", sorted(run.summary.keys()))
obs("p", run.summary.get("p"))
obs("nokey", run.summary.get("zz", 5))
attempt("miss", lambda: run.summary["zz"])
attempt("missattr", lambda: run.summary.zz)
run.summary["m"] = 9
run.log({"m": 1})
obs("m2", run.summary["m"])
run.summary.update({"d": {"x": 1, "y": {"z": 2}}, "k.dot": 1})
run.summary["a.b"] = 1
run.summary["nul"] = None
run.summary["em"] = {}
run.summary["nan"] = float("nan")
run.summary["lst"] = [1, float("nan")]
run.summary["big"] = 2**70
del run.summary["p"]
run.log({"q": 1})
attempt("delmiss", lambda: run.summary.__delitem__("never"))
run.summary["h"]["a"] = 100
run.log({"h": {"a": 5}})
attempt("dict", lambda: dict(run.summary))
obs("items", len(list(run.summary.keys())) > 3)
attempt("itemsm", lambda: run.summary.items())
attempt("intkey", lambda: run.summary.update({5: 1}))
attempt("setattr", lambda: setattr(run.summary, "attr", 3))
obs("attr", run.summary.attr)
run.log({"": 1}) if False else None
run.define_metric("late", summary="max")
run.log({"late": 2})
run.log({"late": 1})
run.define_metric("late", summary="min")
run.log({"late": 0.5})
run.log({"mix": 1})
run.log({"mix": "text"})
run.log({"mix": None})
run.log({"tree": {"a": 1}})
run.log({"tree": 2})
run.log({"tree": {"b": 3}})
run.finish()
attempt("after", lambda: run.summary.update({"x": 1}))
