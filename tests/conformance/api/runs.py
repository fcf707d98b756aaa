"""What runs, their lists, files, consoles and histories answer, beyond plain reading."""

from pathlib import Path

from telling import api, names, project, tell


def rich(run_id="rich"):
    return api.run(f"{project}/{run_id}")


# --- lists ----------------------------------------------------------------------------------------
for label, wanted in {
    "config": {"config.lr": {"$gte": 0.1}},
    "config, wrapped": {"config.lr.value": 0.1},
    "config, nested": {"config.opt.value.name": "adam"},
    "config, nested plain": {"config.opt.name": "adam"},
    "missing": {"config.nothing": {"$exists": False}, "name": "rich"},
    "summary": {"summary_metrics.loss": {"$lt": 0.3}},
    "contains": {"display_name": {"$contains": "RIC"}},
    "regex": {"display_name": {"$regex": "^ric"}},
    "all tags": {"tags": {"$all": ["a", "b"]}},
    "none of": {"$nor": [{"name": "maker"}, {"name": "taker"}]},
    "not": {"group": {"$not": {"$regex": "^g"}}, "name": {"$in": ["maker", "rich"]}},
    "entity": {"entity": "local"},
    "odd operator of a field": {"tags": {"$near": 1}},
    "odd pattern": {"name": {"$regex": "("}},
}.items():
    tell(f"runs {label}", lambda f=wanted: sorted(r.id for r in api.runs(project, filters=f)))
for order in ("-created_at", "+name", "-config.lr", "+summary_metrics.loss", "nonsense", ""):
    tell(f"runs by {order!r}", lambda o=order: next(api.runs(project, order=o)).id)
tell("runs sliced", lambda: len(api.runs(project, per_page=1, order="+name")[0:2]))
tell("runs beyond", lambda: api.runs(project, per_page=1, order="-name")[17])
tell("runs shown", lambda: repr(api.runs(project)))
tell("histories", lambda: len(api.runs(project, filters={"name": "rich"}).histories(samples=3)))
tell(
    "histories of keys",
    lambda: api.runs(project, filters={"name": "rich"}).histories(keys=["loss"], samples=3),
)
tell(
    "histories framed",
    lambda: list(
        api.runs(project, filters={"name": "rich"}).histories(keys=["loss"], format="pandas")
    ),
)
tell("histories of none", lambda: len(api.runs(project, filters={"name": "x"}).histories()))
tell("histories odd", lambda: api.runs(project).histories(format="xml"))

# --- rows and lines -------------------------------------------------------------------------------
tell("rows of keys", lambda: list(rich().scan_history(keys=["half", "loss"], page_size=2)))
tell("rows of a path", lambda: list(rich().scan_history(keys=["deep.er"])))
tell("rows of what holds others", lambda: list(rich().scan_history(keys=["deep"])))
tell("rows between", lambda: [r["_step"] for r in rich().scan_history(min_step=2, max_step=5)])
tell("older name of scan", lambda: len(list(rich().beta_scan_history())))
tell("sample of a path", lambda: rich().history(keys=["deep.er"], pandas=False))
tell(
    "sample along another axis", lambda: rich().history(keys=["loss"], x_axis="half", pandas=False)
)
tell("columns", lambda: sorted(rich().history().columns))
tell("lines", lambda: [[x.number, x.content] for x in rich().console_logs() if "line" in x.content])
tell("last lines", lambda: [x.content for x in rich().console_logs(last=1)])
tell("lines in pages", lambda: len(list(rich().console_logs(per_page=1))) > 1)

# --- facts ----------------------------------------------------------------------------------------
tell("summary", lambda: [rich().summary["loss"], rich().summary._json_dict["loss"]])
tell("summary as attribute", lambda: rich().summary.loss)
tell("summary without it", lambda: rich().summary["nothing"])
tell("older name of the entity", lambda: rich().username)
tell("no sweep", lambda: [rich().sweep, rich().sweep_name])
tell("run shown", lambda: [repr(rich()), str(rich())])
tell("run None", lambda: api.run(None))
tell("who owns the project", lambda: api.project(project).owner.username)
tell("who asks", lambda: [api.viewer.teams, api.viewer.api_keys, repr(api.viewer)])
tell("team", lambda: [repr(api.team("local")), api.team("local").members])


# --- files ----------------------------------------------------------------------------------------
Path("up/deep").mkdir(parents=True)
Path("up/deep/a b.txt").write_text("uploaded")
Path("up/empty").touch()


def upload(*args, **options):
    file = rich().upload_file(*args, **options)
    with file.download("back", replace=True) as opened:
        return [file.name, file.size, file.mimetype, repr(file), opened.read()]


tell("upload", lambda: upload("up/deep/a b.txt"))
tell("upload under a root", lambda: upload(Path("up/deep/a b.txt"), root="up"))
tell("upload of nothing", lambda: upload("up/empty"))
tell("upload, absolute", lambda: upload(str(Path("up/empty").absolute())))
tell("upload of no file", lambda: upload("up/none"))
tell("upload of a folder", lambda: upload("up"))
tell("upload from outside", lambda: upload("up/empty", root="back"))
tell("uploaded", lambda: sorted(names(rich().files(pattern="up/%"))))
tell("files by page", lambda: len(list(rich().files(per_page=1))) == len(rich().files()))
tell("file without a page", lambda: rich().file("up/empty").to_html())


def delete_file():
    rich().file("up/empty").delete()
    return names(rich().files(names=["up/empty"]))


tell("file is deleted", delete_file)


# --- edits ----------------------------------------------------------------------------------------
def edit_listed():
    (run,) = api.runs(project, filters={"name": "rich"})  # without its configuration
    run.tags = ["from", "a list"]
    run.notes = "kept"
    run.config["new"] = {"a": [1]}
    run.update()
    api.flush()
    return [rich().tags, rich().notes, rich().config, rich().name, rich().summary["loss"]]


def edit_summary():
    run = rich()
    run.summary["made"] = {"up": 1}
    run.summary.update({"more": 2})
    del run.summary["more"]
    run.summary.update()
    api.flush()
    return [dict(rich().summary["made"]), rich().summary.get("more")]


tell("listed run is edited", edit_listed)
tell("summary is edited", edit_summary)
tell("stop", lambda: rich().stop())
tell("state", lambda: [rich().update_state("pending"), rich().update_state("failed")])
tell("odd state", lambda: rich().update_state("asleep"))
tell(
    "pending",
    lambda: type(rich()).create(api, run_id="made", project=project, state="pending").state,
)


def delete_with_artifacts():
    run = rich()
    logged = names(run.logged_artifacts())
    run.delete(delete_artifacts=True)
    return [logged, api.artifact_exists(f"{project}/of-rich:v0")]


tell("run is deleted with its artifacts", delete_with_artifacts)
tell("run is gone", lambda: [api.flush(), rich()])
