# What a finished run refuses.
from confhelp import attempt, obs, sdk

run = sdk.init(project="conf", id="f1", mode="offline")
run.finish(exit_code=3)
run.finish(exit_code=9)
attempt("log", run.log, {"a": 1})
attempt("status", run.status)
attempt("alert", run.alert, "a", "b")
attempt("name", setattr, run, "name", "x")
attempt("notes", setattr, run, "notes", "x")
attempt("tags", setattr, run, "tags", ("x",))
attempt("config", run.config.update, {"a": 1})
attempt("summary", run.summary.update, {"a": 1})
attempt("preempting", run.mark_preempting)
attempt("metric", run.define_metric, "a")
attempt("save", run.save, "x")
attempt("pin", run.pin_config_keys, ["a"])
attempt("log_code", run.log_code)
attempt("log_artifact", run.log_artifact, "x")
attempt("id", getattr, run, "id")
attempt("settings", getattr, run, "settings")
obs("read", dict(run.summary))
attempt("enter", run.__enter__)
attempt("module_finish", sdk.finish)
attempt("module_log", sdk.log, {"a": 1})
with sdk.init(project="conf", id="f4", mode="offline") as run:
    run.finish(7)
with sdk.init(project="conf", id="f5", mode="offline") as run:
    run.log({"a": 1})
    with sdk.init(project="conf", id="f6", mode="offline", reinit="create_new") as inner:
        inner.log({"a": 1})
sdk.init(project="conf", id="f7", mode="offline").finish(-3)
