# Everything on a disabled run.
from confhelp import attempt, obs, sdk

run = sdk.init(mode="disabled", config={"a": 1}, id="dis1")
obs(
    "facts",
    [
        run.project,
        run.entity,
        run.name,
        run.disabled,
        run.offline,
        run.step,
        list(run.tags),
        run.path,
        run.group,
        run.job_type,
    ],
)
run.log({"x": 1, "n": {"y": 2}})
run.log({"x": 2}, step=9)
obs("x", run.summary["x"])
obs("sum", str(dict(run.summary)))
obs("cfg", dict(run.config))
run.config["b"] = 2
obs("b", run.config["b"])
obs("save", run.save("x"))
attempt("alert", run.alert, "a", "b")
attempt("define", run.define_metric, "x")
attempt("artifact", run.log_artifact, "nope")
attempt("code", run.log_code)
attempt("mark", run.mark_preempting)
attempt("status", run.status)
attempt("watch", run.watch, None)
attempt("use", run.use_artifact, "x")
attempt("model", run.log_model, "p")
attempt("link", run.link_model, "p", "n")
attempt("restore", run.restore, "x")
attempt("bad", run.log, [1])
attempt("obj", run.log, {"o": object()})
attempt("img", lambda: run.log({"h": sdk.Html("x")}))
attempt("tags", lambda: setattr(run, "tags", ["a"]))
attempt("name", lambda: setattr(run, "name", "q"))
obs("nm", run.name)
obs("dir", isinstance(run.dir, str))
obs("url", run.url)
attempt("step", lambda: run.step)
run.finish()
attempt("after", run.log, {"x": 1})
attempt("fin", run.finish)
