# Members of Run, online-only ones offline, refused assignments.
import datetime

from confhelp import attempt, obs, sdk

run = sdk.init(
    project="conf",
    id="members",
    mode="offline",
    tags=["t1"],
    notes="n",
    group="g",
    job_type="j",
    name="nm",
)
for n in [
    "id",
    "name",
    "project",
    "entity",
    "group",
    "job_type",
    "notes",
    "path",
    "url",
    "project_url",
    "sweep_url",
    "sweep_id",
    "offline",
    "disabled",
    "resumed",
    "starting_step",
    "step",
]:
    attempt("get_" + n, getattr, run, n)
    obs(n, getattr(run, n))
obs("tags", list(run.tags))
run.tags += ("t2",)
run.tags = ["a", "b"]
run.tags = [""]
obs("tags2", list(run.tags))
run.tags = run.tags + ("x" * 65,)
obs("tags3", list(run.tags))
run.name = "new"
run.notes = "nn"
run.name = ""
obs("nm", run.name)
attempt("set_foo", lambda: setattr(run, "foo", 1))
attempt("set_id", lambda: setattr(run, "id", "x"))
attempt("set_tags_str", lambda: setattr(run, "tags", "single"))
obs("tags4", list(run.tags))
attempt("status", run.status)
attempt("display", run.display)
attempt("to_html", run.to_html)
attempt("mark", run.mark_preempting)
attempt("pin", run.pin_config_keys, ["a", "b"])
attempt("pinbad", run.pin_config_keys, "a")
for n, a, k in [
    ("ok", ("t", "x"), {}),
    ("lvl", ("t", "x", "WARN"), {}),
    ("lvl2", ("t", "x"), dict(level=sdk.AlertLevel.ERROR)),
    ("lower", ("t", "x", "warn"), {}),
    ("bad", ("t", "x", "zz"), {}),
    ("dur", ("t", "x"), dict(wait_duration=5)),
    ("dur0", ("t", "x"), dict(wait_duration=0)),
    ("durf", ("t", "x"), dict(wait_duration=1.5)),
    ("td", ("t", "x"), dict(wait_duration=datetime.timedelta(minutes=2))),
    ("durbad", ("t", "x"), dict(wait_duration="5")),
    ("none", (None, "x"), {}),
    ("int", (5, 6), {}),
    ("long", ("t" * 200, "x"), {}),
]:
    attempt("alert_" + n, run.alert, *a, **k)
attempt("use_artifact", run.use_artifact, "x:latest")
attempt("use_model", run.use_model, "x:latest")
attempt("log_code_none", run.log_code, "nodir")
attempt("watch_bad", run.watch, 5)
attempt("watch_log", run.watch, [], log="zz")
attempt("unwatch", run.unwatch)
attempt("modlog", sdk.log, {"x": 1})
obs("start", isinstance(run.start_time, float))
obs("settings", run.settings.project)
obs("dirtype", isinstance(run.dir, str))
sdk.config["viamod"] = 1
sdk.summary["viasum"] = 2
sdk.config.update({"u": 1})
run.finish()
run.finish()
for n in [
    "log",
    "save",
    "define_metric",
    "alert",
    "log_code",
    "mark_preempting",
    "status",
    "log_artifact",
]:
    attempt(
        "after_" + n,
        getattr(run, n),
        *(
            {
                "log": ({},),
                "save": ("x",),
                "define_metric": ("x",),
                "alert": ("a", "b"),
                "log_artifact": ("x",),
            }.get(n, ())
        ),
    )
attempt("after_name", lambda: setattr(run, "name", "z"))
attempt("after_tags", lambda: setattr(run, "tags", ["z"]))
obs("id_after", run.id)
attempt("after_cfg", lambda: run.config.update({"z": 1}))
attempt("after_write", run.write_logs, "x")
attempt("after_sum", lambda: run.summary.get("x"))
attempt("mod_after", sdk.log, {})
attempt("modcfg", lambda: sdk.config["x"])
attempt("modsum", lambda: sdk.summary["x"])
obs("runnone", sdk.run is None)
for n in [
    "log",
    "save",
    "define_metric",
    "alert",
    "log_artifact",
    "use_artifact",
    "log_model",
    "use_model",
    "link_model",
    "watch",
    "unwatch",
    "mark_preempting",
]:
    attempt("pre_" + n, getattr(sdk, n), "x")
