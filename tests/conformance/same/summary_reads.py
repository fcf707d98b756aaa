# What reading the summary shows of metrics without one, of None, and of kinds.
from confhelp import attempt, obs, sdk

run = sdk.init(project="conf", id="sumreads", mode="offline")
run.define_metric("m", summary="min,max")
run.define_metric("n", summary="none")
run.log({"m": 1, "n": 1, "q": {"a": 1}, "gone": 1, "first": None})
obs("m", run.summary["m"]["min"])
run.summary["m"] = 10
run.summary["n"] = 5
attempt("read_n", lambda: run.summary["n"])
run.log({"m": 3, "n": 2, "gone": None})
obs("m2", run.summary["m"])
obs("gone", run.summary.get("gone", "absent"))
run.summary["none"] = None
obs("none", run.summary.get("none", "absent"))
run.summary["q"]["b"] = 2
obs("q", sorted(run.summary["q"].keys()))
obs("keys", sorted(k for k in run.summary.keys() if not k.startswith("_")))
run.log({"gone": 3})
obs("back", run.summary.get("gone", "absent"))
run.finish()
