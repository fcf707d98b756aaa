# Metrics that show nothing in the summary, explicit writes to them, globs and dots in names.
from confhelp import obs, sdk


def plain(summary):
    found = {key: summary[key] for key in sorted(summary.keys()) if not key.startswith("_")}
    return {k: plain(v) if hasattr(v, "keys") else v for k, v in found.items()}


run = sdk.init(project="conf", id="none", mode="offline")
for name, kinds in {
    **{"a": "none", "b": "none", "c": "none", "d": "none,max", "g": "none", "n": "none"},
    **{"m.x": "none", "o.x": "none", "t.u": "none", "q.x": "max", "v": "max"},
}.items():
    run.define_metric(name, summary=kinds, overwrite=name == "g")
for glob, kinds in {"e.*": "max", "f*": "max", "s/*": "max", "h\\.*": "max", "k.*": "none"}.items():
    run.define_metric(glob, summary=kinds)


def log(n):
    nested = {name: {"x": n, "y": n} for name in "mnoqehk"} | {"t": {"u": n}}
    run.log({**nested, **dict.fromkeys("abcdgv", n)})
    run.log({"e.x": n, "f.x": n, "fz": n, "s/a": n, "h.x": n, "k.x": n, "k": {"z.w": n}})


log(3)
run.summary["a"] = 10
run.summary["d"] = 12
run.summary["e.x"] = 13
obs("written", plain(run.summary))
log(1)
obs("logged", plain(run.summary))
run.define_metric("a", summary="max")
run.define_metric("b", summary="last")
run.define_metric("c")
run.define_metric("g", summary="none")
run.define_metric("v", summary="none")
log(2)
obs("defined", plain(run.summary))
run.summary["m"] = {"x": 8, "y": 1}
obs("group", plain(run.summary))
run.summary["o"]["x"] = 9
run.summary["q"] = {"x": 4, "y": 2}
run.summary["t"] = 7
run.summary.update({"b": 99})
obs("replaced", plain(run.summary))
log(5)
obs("anew", plain(run.summary))
run.define_metric("q.x", summary="max,min,first")
log(4)
obs("defined_anew", plain(run.summary))
run.define_metric("a", summary="none", overwrite=True)
run.log({"a": 4})
run.summary["a"] = 77
run.log({"a": 5})
run.summary["a"] = {"k": 1}
run.log({"a": 6})
obs("end", plain(run.summary))
run.finish()
