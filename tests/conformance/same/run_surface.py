# Facts of a run, attributes that cannot be set, copies, alerts in odd forms, tags and names.
import copy
import pickle

from confhelp import attempt, obs, sdk

run = sdk.init(project="conf", id="at", mode="offline")


def setit(k, v):
    setattr(run, k, v)


attempt("new", setit, "foo", 1)
attempt("id", setit, "id", "x")
attempt("project", setit, "project", "x")
attempt("summary_set", setit, "config", {})
obs("dc", copy.deepcopy(run) is run)
obs("dc2", copy.deepcopy({"a": run})["a"] is run)
attempt("pickle", pickle.dumps, run)
attempt("unpickle", pickle.loads, pickle.dumps(run))
obs("sweep", run.sweep_id)
obs("sweep_url", run.sweep_url)
obs("purl", run.project_url)
obs("url", run.url)
obs("res", run.resumed)
obs("ss", run.starting_step)
obs("off", run.offline)
obs("dis", run.disabled)
s = run.status()
obs("st", [s.sync_items_total, s.sync_items_pending, s.sync_time])
obs("ent", run.entity)
obs("path", run.path)
obs("name", run.name)
obs("notes", run.notes)
obs("tags", run.tags)
obs("g", run.group)
obs("jt", run.job_type)
obs("disp", run.display())
obs("html", isinstance(run.to_html(), str))
obs("wl", run.write_logs("hello")) if hasattr(run, "write_logs") else None
run.pin_config_keys(["b", "a"])
run.pin_config_keys(("a",))
attempt("badpin", run.pin_config_keys, 5)
attempt("t1", run.alert, 5, "x")
attempt("t2", run.alert, "x", None)
attempt("t3", run.alert, "t")
attempt("t4", run.alert, "t", "x", wait_duration=0)
attempt("t5", run.alert, "t", "x", wait_duration=-1)
attempt("t6", run.alert, "t", "x", wait_duration=0.5)
attempt("t7", run.alert, "t" * 100, "x", level="")
attempt("t8", run.alert, "t", "x", "info")
attempt("t9", run.alert, "t", "x", 3)
attempt("t10", run.alert, "t", "x", wait_duration=True)
run.name = "new"
run.notes = "nn"
run.tags = ["a", "b"]
run.tags += ("c",)
attempt("n", setit, "name", None)
attempt("n5", setit, "name", 5)
attempt("nt", setit, "tags", ["", "x"])
obs("tags2", run.tags)
attempt("nt2", setit, "tags", "abc")
obs("tags3", run.tags)
attempt("nt3", setit, "tags", ["a" * 65])
obs("tags4", run.tags)
attempt("nt4", setit, "notes", None)
obs("n2", run.name)
obs("n3", run.notes)
